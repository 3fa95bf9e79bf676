"""The page of certified methods, in Markdown: claimed epsilon against measured, and what a certificate buys."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from expunge.audits.certification import Certification, measure
from expunge.engine import Watch, Workers
from expunge.errors import MethodFailed, NotApplicable, UserError
from expunge.methods.certified import CERTIFIED
from expunge.reports.certification.entries import AFTER, BEFORE, RETRAINED, UNNOISED, Missing, entries_of
from expunge.reports.studies.entries import write_entries
from expunge.reports.studies.markdown import code, escaped, grid, in_brackets
from expunge.store import write_file
from expunge.suites import Suite

INTRODUCTION = """\
# What certificates claim, and what was measured

Made by `expunge certify page`. Each method trains its models as its theorem asks, once on all data and once on what is
kept, and does to both what it does to unlearn: the second arm, with nothing to forget, is what the claim compares with.
Half of the models choose an event, the other half count it, and a lower bound on epsilon follows, with 95 %
confidence for the whole page: a false REFUTED is on 5 % of pages at most. NOT TESTABLE is a claim above what so many
models could ever refute. *Draws* are draws of the last noise alone, along a shift as long as the theorem allows:
they find noise that is too small, which models cannot see.

NOT CERTIFIED: something that the theorem stands on is known to be false, or it buys no epsilon; the epsilon that was
asked for is tried all the same. VACUOUS: the certificate holds and says nothing, for its bound is no better than the
diameter of the ball, or the noise drowns the weights. *Does not apply*: the theorem does not speak of such networks,
and the method leaves most of their weights as they are."""

FEW = 1000  # from here on, where retrained models hardly vary, two digits of a distance say all

BUYS = """\
## What a certificate buys

Accuracies are means over models, in per cent, with 95 % intervals. The distance is that of a bench: Wasserstein-1
between margins on the examples to be forgotten, in standard deviations of the retrained models; beside it the 95th
percentile of KLoM. The cost is the share of one retraining. *Noise* is its length as a multiple of the length of the
weights: what is many times their length leaves nothing of them.

"""
STANDS = "## What each stands on\n\n"
PLANTED = """\
## Planted faults

Each fault was put into the sound release, and looked for by the check that must find it and must let the sound release
pass. *Cannot be had*: the method has no such part. *Cannot be shown*: so few models or draws cannot.

"""


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
    parts = [INTRODUCTION, *_claims(entries)]
    if rows:
        parts += [BUYS + _buys(rows), STANDS + "\n".join(_stands(each) for each in rows), PLANTED + _planted(rows)]
    if left := sorted(set(CERTIFIED) - {each["method"] for each in entries}):
        parts.append(f"Not on this page: {', '.join(map(code, left))}.")
    return "\n\n".join(parts) + "\n"


def _claims(rows: Sequence[dict[str, Any]]) -> list[str]:
    """A table for each suite, and why each word stands there."""
    head = ["method", "certificate", "epsilon asked", "models: at least", "", "draws: at least", "", "checks"]
    parts = []
    for suite, forget in dict.fromkeys((each["suite"], each["forget set"]) for each in rows):
        some = [each for each in rows if (each["suite"], each["forget set"]) == (suite, forget)]
        parts.append(f"## {escaped(suite)}, {escaped(forget)}{_counted([each for each in some if 'models' in each])}")
        parts.append(grid(head, [_claim(each) for each in some]))
        parts.append("\n".join(f"- {code(each['method'])}: {escaped('; '.join(each['reasons']))}." for each in some))
    return parts


def _counted(tried: Sequence[dict[str, Any]]) -> str:
    if not tried:
        return ""
    counts = " or ".join(map(str, sorted({each["models"] for each in tried})))
    deltas = ", ".join(f"{delta:g}" for delta in sorted({each["delta"] for each in tried}))
    return f": {counts} models an arm, delta {deltas}"


def _claim(entry: dict[str, Any]) -> list[str]:
    if "missing" in entry:
        return [code(entry["method"]), entry["missing"], "-", "-", "", "-", "", "-"]
    faults = [name for name, fault in entry["checks"].items() if fault]
    cells = [code(entry["method"]), entry["verdict"], f"{entry['asked']:.3g}"]
    for name in ("models", "draws of noise"):
        tried = entry["tried"].get(name)
        cells += ["-", ""] if tried is None else [f"{tried['epsilon at least']:.3g}", tried["word"]]
    return [*cells, ", ".join(faults) or "pass"]


def _buys(rows: Sequence[dict[str, Any]]) -> str:
    head = ["suite", "method", "noise", "test accuracy before", "without noise", "released", "retrained"]
    head += ["distance before", "without noise", "released", "KLoM released", "cost"]
    return grid(head, [_bought(each) for each in rows])


def _bought(entry: dict[str, Any]) -> list[str]:
    utility = entry["utility"]
    accuracies = [
        in_brackets(utility[f"{stage}/test"]["accuracy"], 100, 1) for stage in (BEFORE, UNNOISED, AFTER, RETRAINED)
    ]
    distances = [_number(utility[f"{stage}/forget"]["distance"]) for stage in (BEFORE, UNNOISED, AFTER)]
    noise = "-" if entry["noise"] is None else f"{entry['noise']:.3g} x"
    return [
        entry["suite"],
        code(entry["method"]),
        noise,
        *accuracies,
        *distances,
        _number(utility[f"{AFTER}/forget"]["KLoM"]),
        f"{100 * entry['cost']:.3g} %",
    ]


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
        [entry["suite"], code(entry["method"])]
        + [next((each["outcome"] for each in entry["planted"] if each["fault"] == fault), "-") for fault in faults]
        for entry in rows
    ]
    return grid(["suite", "method", *faults], lines)
