"""What attacks came to, run by run: collected in ``results/attacks``, shipped in short as results.json."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from shlex import join

from pydantic import TypeAdapter

from expunge.attacks import ATTACKS
from expunge.attacks.controls import RANDOM
from expunge.attacks.lab.arms import ATTACK, HONEST, ORACLE
from expunge.attacks.removal import RETRAINING
from expunge.bench.folder import SCORES
from expunge.errors import StoreError
from expunge.files import write_file
from expunge.records import Score, Setting, read_scores
from expunge.reports.attacks.findings import Findings, read_findings
from expunge.reports.leaderboard.records import read_kept, write_kept
from expunge.reports.summaries import Interval
from expunge.reports.usability import findings as usability
from expunge.shipped import read_shipped

SHIPPED = Path(__file__).with_name("results.json")
KEPT = ".scores.json"  # files of results/attacks end so
LOST = "share of the test examples that are no longer got right"  # success of the usability attack


@dataclass(frozen=True, kw_only=True)
class Result:
    """An attack against the victims of one method: success of the attack and its controls, and by how much it is more.

    ``arms`` are successes by arm, ``excess`` the attack's less that of a control. ``shows`` says whether it has more
    than the control ``against``, beyond the interval; None where a method failed, for a ``reason``.
    """

    run: str
    attack: str
    suite: str
    method: str
    command: str
    models: int
    what: str  # success is
    share: bool  # written in per cent
    against: str
    arms: dict[str, Interval]
    excess: dict[str, Interval]
    shows: bool | None
    lost: Interval | None = None  # utility
    settings: dict[str, Setting] = field(default_factory=dict)  # those that are no defaults
    reason: str = ""
    note: str = ""  # what must be read beside it where it shows


_RESULTS = TypeAdapter(list[Result])


def collect(out: Path, results: Path) -> None:
    """Keep the records of the runs in the folders of ``out`` in ``results``, a file for each."""
    for file in sorted(out.glob(f"*/{SCORES}")):
        write_kept(results / f"{file.parent.name}{KEPT}", read_scores(file))


def summarised(results: Path) -> list[Result]:
    """The results of all runs that are kept there, in the order of ATTACKS; that with its defaults first."""
    found = [each for file in results.glob(f"*{KEPT}") for each in results_of(_name(file), read_kept(file))]
    if not found:
        raise StoreError(f"{results} has no records of attacks; make some with runs/attacks.sh")
    order = list(ATTACKS)
    return sorted(found, key=lambda each: (order.index(each.attack), each.run))


def _name(file: Path) -> str:
    return file.name.removesuffix(KEPT)


def results_of(run: str, scores: Sequence[Score]) -> list[Result]:
    """The results in the records of one run, a method each."""
    if usability.is_usability(scores):
        return list(_of_usability(run, usability.read_findings(scores)))
    return list(_of_lab(run, read_findings(scores)))


def _of_lab(run: str, found: Findings) -> Iterator[Result]:
    default = found.row.config()
    if lacking := default.own.keys() - found.facts.keys():
        raise StoreError(f"the records of {run} do not say {min(lacking)}, which the attack has; run it again")
    settings = _no_defaults(found)
    for each in found.victims:
        reason = next((f"{name}: {arm.reason}" for name, arm in each.arms.items() if arm.reason), "")
        yield Result(
            run=run,
            attack=found.name,
            suite=found.suite,
            method=each.method,
            command=command_of(found),
            models=found.models,
            what=found.success.what,
            share=found.success.share,
            against=each.against,
            arms={name: arm.success for name, arm in each.arms.items() if arm.success is not None},
            excess=dict(each.excess),
            shows=each.shows,
            lost=each.lost.get(ATTACK),
            settings=settings,
            reason=reason,
            note=each.note,
        )


def _no_defaults(found: Findings) -> dict[str, Setting]:
    """The attack's own settings that are no defaults."""
    return {key: found.facts[key] for key, value in found.row.config().own.items() if found.facts[key] != value}


def command_of(found: Findings) -> str:
    """The command that makes the run again, but for its defences."""
    default, methods = found.row.config(), [each.method for each in found.victims]
    words, models = ["expunge", "attack", found.name, found.suite], default.models
    for key, value in _no_defaults(found).items():
        words += ["--set", f"{key}={str(value).lower() if isinstance(value, bool) else value}"]
    for label in [] if methods == [each.label for each in default.methods] else methods:
        method, *given = label.split(", ")
        words += ["--method", method, *(word for each in given for word in ("--set", f"{method}.{each}"))]
    return join([*words, *(["--models", str(found.models)] if found.models != models else [])])


def _of_usability(run: str, found: usability.Findings) -> Iterator[Result]:
    """Accuracy that is lost, beside random records of the same classes and the same records by retraining."""
    for batching, rows in found.served.items():
        exact = next((row.drops.get(ATTACK) for row in rows if row.method == RETRAINING), None)
        for row in rows:
            if row.method == RETRAINING:
                continue
            over = row.excess.get(RANDOM)
            named = {ATTACK: row.drops.get(ATTACK), HONEST: row.drops.get(RANDOM), ORACLE: exact}
            yield Result(
                run=run,
                attack="usability",
                suite=found.suite,
                method=f"{row.method}, {batching} batches",
                command=f"expunge attack usability {found.suite}",
                models=found.models,
                what=LOST,
                share=True,
                against=HONEST,
                arms={name: cell for name, cell in named.items() if cell is not None},
                excess={} if over is None else {HONEST: over},
                shows=None if over is None else row.differs and over.value > 0,
                reason=row.reason,
            )


def write_results(file: Path, results: Sequence[Result]) -> None:
    """Write them, a line each."""
    write_file(file, "[\n" + ",\n".join(json.dumps(asdict(each)) for each in results) + "\n]\n")


@cache
def read_results() -> tuple[Result, ...]:
    """All results that are shipped."""
    return tuple(_RESULTS.validate_json(read_shipped(SHIPPED)))
