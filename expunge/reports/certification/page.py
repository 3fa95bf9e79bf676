"""The page of certified methods, in Markdown: claimed epsilon against measured, and what a certificate buys."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from expunge.audits.certification import DRAWN, MODELS, Certification, measure
from expunge.audits.refutation.arms import counting
from expunge.audits.refutation.guessing import Guessing
from expunge.audits.refutation.judging import tests_in_words
from expunge.audits.refutation.power import POWER
from expunge.engine import Watch, Workers
from expunge.errors import MethodFailed, NotApplicable, UserError
from expunge.files import write_file
from expunge.methods.certified import CERTIFIED
from expunge.metrics.calibration import Estimate
from expunge.reports.certification.entries import AFTER, BEFORE, STAGES, UNNOISED, Missing, entries_of
from expunge.reports.studies.entries import write_entries
from expunge.reports.studies.markdown import code, escaped, grid, in_brackets
from expunge.suites import Suite

INTRODUCTION = """\
# What certificates claim, and what was measured

Made by `expunge certify page`. Each method trains its models as its theorem asks, once on all data and once on what is
kept, and does to both what it does to unlearn: the second arm, with nothing to forget, is what the claim compares with.
Half of the models choose an event, the other half count it, and a lower bound on epsilon follows, with 95 %
confidence for the whole page: a false REFUTED is on 5 % of pages at most. What is measured is epsilon at least. NOT
TESTABLE is a claim above what so many models could ever refute, so nothing is known of it. *Draws* are draws of the
last noise alone, along a shift as long as the theorem allows: they find noise that is too small, which models cannot
see.

NOT CERTIFIED: something that the theorem stands on is known to be false, or it buys no epsilon; the epsilon that was
asked for is tried all the same. VACUOUS: the certificate holds and says nothing, for its bound is no better than the
diameter of the ball, or the noise drowns the weights. *Does not apply*: the theorem does not speak of such networks,
and the method leaves most of their weights as they are.

*At chance*: a certificate says nothing of whether a model is still of any use. Models are at chance where their mean
test accuracy, after the noise, lies within or below the interval of always guessing the most frequent class; near
chance where their own interval reaches it. The interval of models is for the mean of other models, that of guessing for
other test examples, both 95 %."""

CLAIMS = ("method", "certificate", "epsilon asked", "by models", "by draws of noise", "checks")
FEW = 1000  # from here on, where retrained models hardly vary, two digits of a distance say all

BUYS = """\
## What a certificate buys

Accuracies are means over models, in per cent, with 95 % intervals. The distance is that of a bench: Wasserstein-1
between margins on the examples to be forgotten, in standard deviations of the retrained models; beside it the 95th
percentile of KLoM. The cost is the share of one retraining. *Noise* is its length as a multiple of the length of the
weights: what is many times their length leaves nothing of them. Who always guesses names the class that is most
frequent in what is kept."""
ACCURACIES = ("method", "noise", "test accuracy before", "without noise", "released", "retrained")
DISTANCES = ("method", "distance before", "without noise", "released", "KLoM released", "cost")

STANDS = "## What each stands on\n\n"
PLANTED = """\
## Planted faults

Each fault was put into the sound release, and looked for by the check that must find it and must let the sound release
pass."""
OUTCOMES = {  # what is said of those that are in a table
    "cannot be had": "*Cannot be had*: the method has no such part.",
    "cannot be shown": "*Cannot be shown*: so few models or draws cannot.",
    "refused already": "*Refused already*: the check finds a fault in the release as it is, as the ledger does in what "
    "is NOT CERTIFIED, which no budget pays for.",
    "missed": "*Missed*: the check let the fault pass.",
}


@dataclass(frozen=True)
class Place:
    """Where methods are tried: a suite, a forget set of it, how many models an arm has, and settings by method."""

    suite: Suite
    forget_set: str
    models: int
    settings: Mapping[str, Mapping[str, object]]


def run_page(
    places: Sequence[Place], methods: Sequence[str], *, workers: Workers, watch: Watch
) -> list[Certification | Missing]:
    """Every method at every place; what does not apply, or failed, is a row that says why."""
    return [_tried(place, method, workers, watch) for place in places for method in methods]


def _tried(place: Place, method: str, workers: Workers, watch: Watch) -> Certification | Missing:
    try:
        return measure(
            method,
            place.suite,
            place.forget_set,
            models=place.models,
            settings=place.settings.get(method, {}),
            planted=True,
            workers=workers,
            watch=watch,
        )
    except NotApplicable as error:
        return Missing(place.suite.name, place.forget_set, method, "does not apply", str(error))
    except (UserError, MethodFailed) as error:
        return Missing(place.suite.name, place.forget_set, method, "failed", str(error))


def write_page(page: Sequence[Certification | Missing], folder: Path) -> Path:
    """``certificates.json`` and ``certificates.md`` in ``folder``."""
    entries = entries_of(page)
    folder.mkdir(parents=True, exist_ok=True)
    write_entries(folder / "certificates.json", entries, max((each.get("models", 0) for each in entries), default=0))
    write_file(folder / "certificates.md", certificates_page(entries))
    return folder / "certificates.md"


def certificates_page(entries: Sequence[dict[str, Any]]) -> str:
    """The whole page, of the entries and of nothing else."""
    rows = [each for each in entries if "missing" not in each]
    parts = [INTRODUCTION, *([f"T{_tests(rows)[1:]}."] if rows else [])]
    for suite, forget, some in _by_place(entries):
        parts += [
            f"## {escaped(suite)}, {escaped(forget)}{_counted(some)}",
            grid(CLAIMS, [_claim(each) for each in some]),
            *_power(some),
        ]
        parts.append("\n".join(f"- {code(each['method'])}: {escaped('; '.join(_reasons(each)))}." for each in some))
    if rows:
        parts.append(BUYS)
        for suite, _, some in _by_place(rows):
            parts += [f"### {escaped(suite)}", *_guessed(some), grid(ACCURACIES, [_accuracies(each) for each in some])]
            parts.append(grid(DISTANCES, [_distances(each) for each in some]))
        parts += [STANDS + "\n".join(_stands(each) for each in rows), " ".join([PLANTED, *_legend(rows)])]
        for suite, _, some in _by_place(rows):
            parts += [f"### {escaped(suite)}", _planted(some)]
    if left := sorted(set(CERTIFIED) - {each["method"] for each in entries}):
        parts.append(f"Not on this page: {', '.join(map(code, left))}.")
    return "\n\n".join(parts) + "\n"


def _by_place(entries: Sequence[dict[str, Any]]) -> list[tuple[str, str, list[dict[str, Any]]]]:
    """Suite and forget set, and the entries of them, in the order in which they come first."""
    places = dict.fromkeys((each["suite"], each["forget set"]) for each in entries)
    return [(*place, [each for each in entries if (each["suite"], each["forget set"]) == place]) for place in places]


def _counted(entries: Sequence[dict[str, Any]]) -> str:
    tried = [each for each in entries if "missing" not in each]
    if not tried:
        return ""
    counts = " or ".join(map(str, sorted({each["models"] for each in tried})))
    deltas = ", ".join(f"{delta:g}" for delta in sorted({each["delta"] for each in tried}))
    return f": {counts} models an arm, delta {deltas}"


def tests_of(page: Sequence[Certification | Missing]) -> str:
    """How many tests of claims could have refuted theirs, in words."""
    return _tests([each for each in entries_of(page) if "missing" not in each])


def _tests(entries: Sequence[dict[str, Any]]) -> str:
    return tests_in_words([each["word"] for entry in entries for each in entry["tried"].values()])


def _power(entries: Sequence[dict[str, Any]]) -> list[str]:
    """From which true epsilon on the tests of a place would have refuted its claims, in 80 of 100 cases."""
    parts = [part for kind in (MODELS, DRAWN) for part in _falls(kind, entries)]
    told = f"A false claim is REFUTED in {100 * POWER:.0f} of 100 cases, at best: {'; '.join(parts)}."
    return [f"{told} One that is less false most likely stands."] if parts else []


def _falls(kind: str, entries: Sequence[dict[str, Any]]) -> Iterator[str]:
    """What tests of one kind can see, and of which claims they can see nothing."""
    some = [each for each in entries if kind in each.get("tried", {})]
    counts = " or ".join(map(str, sorted({counting(each["models"]) for each in some})))
    by = f"by {counts} models a side that count" if kind == MODELS else f"by {kind}"
    if powers := [power for each in some if (power := each["tried"][kind]["power"]) is not None]:
        yield f"{by}, from a true epsilon of {_ends(powers)} on"
    if blind := [each for each in some if each["tried"][kind]["power"] is None]:
        cap, asked = max(each["tried"][kind]["cap"] for each in blind), _ends([each["asked"] for each in blind])
        yield f"{by}, at no true epsilon where {asked} is claimed: so many refute nothing above {cap:.3g}"


def _ends(values: Sequence[float]) -> str:
    """The least and the largest; one number where they look the same."""
    return " to ".join(dict.fromkeys(f"{each:.3g}" for each in (min(values), max(values))))


def _reasons(entry: dict[str, Any]) -> list[str]:
    """Why the word is what it is; first, where something is certified, that the models are of no use."""
    return [*([_useful(entry).told()] if _bought(entry) else []), *entry["reasons"]]


def _bought(entry: dict[str, Any]) -> str:
    """Where models are that a certificate is bought with, "" where they are above chance or nothing is certified."""
    if not entry.get("guessing") or entry["verdict"] == "NOT CERTIFIED":
        return ""
    place = _useful(entry).place
    return "" if place == "above chance" else place


def _useful(entry: dict[str, Any]) -> Guessing:
    return Guessing(*(Estimate(*entry["guessing"][name]) for name in ("models", "guess")))


def _guessed(entries: Sequence[dict[str, Any]]) -> list[str]:
    found = dict.fromkeys(in_brackets(each["guessing"]["guess"], 100, 1) for each in entries if each.get("guessing"))
    return [f"Always guessing the most frequent class: {' or '.join(found)}."] if found else []


def _legend(rows: Sequence[dict[str, Any]]) -> list[str]:
    """What is said of outcomes, of those that are there."""
    seen = {each["outcome"] for entry in rows for each in entry["planted"]}
    return [told for outcome, told in OUTCOMES.items() if outcome in seen]


def _claim(entry: dict[str, Any]) -> list[str]:
    if "missing" in entry:
        return [code(entry["method"]), entry["missing"], "-", "-", "-", "-"]
    faults = [name for name, fault in entry["checks"].items() if fault]
    by = [entry["tried"].get(name) for name in (MODELS, DRAWN)]
    measured = ["-" if each is None else f"{each['epsilon at least']:.3g}, {each['word']}" for each in by]
    verdict = ", models ".join([entry["verdict"], *([place] if (place := _bought(entry)) else [])])
    return [code(entry["method"]), verdict, f"{entry['asked']:.3g}", *measured, ", ".join(faults) or "pass"]


def _accuracies(entry: dict[str, Any]) -> list[str]:
    noise = "-" if entry["noise"] is None else f"{entry['noise']:.3g} x"
    found = {stage: in_brackets(entry["utility"][f"{stage}/test"]["accuracy"], 100, 1) for stage in STAGES}
    if entry.get("guessing") and (place := _useful(entry).place) != "above chance":
        found[AFTER] += f", {place}"
    return [code(entry["method"]), noise, *found.values()]


def _distances(entry: dict[str, Any]) -> list[str]:
    utility = [entry["utility"][f"{stage}/forget"] for stage in (BEFORE, UNNOISED, AFTER)]
    distances = [_number(each["distance"]) for each in utility]
    return [code(entry["method"]), *distances, _number(utility[-1]["KLoM"]), f"{100 * entry['cost']:.3g} %"]


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.2f}" if value < FEW else f"{value:.2g}"


def _stands(entry: dict[str, Any]) -> str:
    """Constants and conditions of one method, by their standing, and its settings."""
    parts = []
    for standing in ("assumed", "estimated", "proven"):
        names = [
            f"{name} = {each['value']:.4g}" for name, each in entry["constants"].items() if each["standing"] == standing
        ]
        parts += [f"{standing}: {escaped(', '.join(names))}"] if names else []
    for stands in ("false", "assumed", "held"):
        names = [name for name, each in entry["conditions"].items() if each["stands"] == stands]
        parts += [f"conditions {stands}: {escaped(', '.join(names))}"] if names else []
    settings = [
        f"{name} = {each:.4g}" if isinstance(each, float) else f"{name} = {each}"
        for name, each in entry["config"].items()
    ]
    parts.append(f"settings: {escaped(', '.join(settings))}")
    where = f"{code(entry['method'])} on {escaped(entry['suite'])}"
    return f"- {where}, by {code(entry['theorem'])} ({escaped(entry['source'])}): {'; '.join(parts)}"


def _planted(rows: Sequence[dict[str, Any]]) -> str:
    faults = list(dict.fromkeys(each["fault"] for entry in rows for each in entry["planted"]))
    lines = [
        [code(entry["method"])]
        + [next((each["outcome"] for each in entry["planted"] if each["fault"] == fault), "-") for fault in faults]
        for entry in rows
    ]
    return grid(["method", *faults], lines)
