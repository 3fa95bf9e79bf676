"""The usability attack on real data: at the paper's budget, on small companions, and one change at a time.

Each run leaves its findings as one JSON file; the page is made of those, and of nothing else.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import TypeAdapter

from expunge.attacks.condensing.condensed import Condensing
from expunge.attacks.contributions import Owners
from expunge.attacks.injection import BATCHINGS
from expunge.attacks.removal import Attacked
from expunge.attacks.usability import EVERY, Usability, run
from expunge.engine import Watch, Workers, silent
from expunge.errors import StoreError
from expunge.outside import read_bytes
from expunge.reports.usability.findings import Findings, read_findings
from expunge.reports.usability.page import report_usability
from expunge.suites import load_suite

BARE = Attacked("amnesiac", {"epochs": 0})  # without repair: the removal that costs most
SHORT = (BARE, Attacked("first-order"))


@dataclass(frozen=True)
class Run:
    """One attack of the study: its suite, its settings, and what it is there for."""

    suite: str
    config: Usability
    why: str


def _small(why: str, *, images: int = 1, methods: Sequence[Attacked] = SHORT, **settings: object) -> Run:
    """An attack on digits that changes one thing."""
    own = {key: settings.pop(key) for key in tuple(settings) if key in Condensing.__dataclass_fields__}
    config = Usability(
        condensing=Condensing(images=images, **own),  # type: ignore[arg-type]
        methods=tuple(methods),
        models=10,
        draws=4,
        batchings=("shuffled", "isolated"),
        subsets=0,  # random records are the one control
        defences=(),
    )
    return Run("digits", replace(config, **settings), why)  # type: ignore[arg-type]


def _large(why: str, *, images: int = 10, surrogate: str = "") -> Run:
    """An attack on fashion-mnist-10k that changes one thing."""
    small = _small(why, images=images, batchings=("shuffled",), owners=Owners(surrogate=surrogate))
    return replace(small, suite="fashion-mnist-10k")


# The first three are looked at wholly: at the paper's budget, 1 % of the data or less.
WHOLE: dict[str, Run] = {
    "fashion-mnist-10k": Run(
        "fashion-mnist-10k",
        Usability(
            condensing=Condensing(images=10),
            methods=EVERY,
            batchings=("shuffled",),
            subsets=500,
        ),
        "10 images a class, 1 % of the data",
    ),
    "fashion-mnist-10k-layouts": Run(
        "fashion-mnist-10k",
        Usability(
            condensing=Condensing(images=10),
            methods=(BARE, Attacked("amnesiac"), Attacked("first-order")),
            batchings=("dedicated", "isolated"),
            subsets=500,
            defences=(),
        ),
        "the same records in batches of their own",
    ),
    "fashion-mnist-10k-surrogate": _large(
        "condensed from pictures that the victims never saw", surrogate="fashion-mnist"
    ),
    "fashion-mnist-10k-1-image": _large("1 image a class, 0.1 %", images=1),
    "fashion-mnist-10k-20-images": _large("20 images a class, 2 %", images=20),
    "fashion-mnist-10k-50-images": _large("50 images a class, 5 %: beyond the paper's budget", images=50),
    "digits": Run("digits", Usability(condensing=Condensing(images=1), methods=EVERY), "1 image a class"),
    "digits-isolated": Run(
        "digits",
        Usability(
            condensing=Condensing(images=1),
            methods=(BARE, Attacked("amnesiac"), Attacked("first-order")),
            batchings=("isolated",),
            defences=(),
        ),
        "the same records in batches of their own, without momentum",
    ),
    "digits-rounds": _small(
        "10 images a class, asked for in five rounds", images=10, rounds=5, methods=(*SHORT, Attacked("amnesiac"))
    ),
    "tabular": Run(
        "tabular",
        Usability(
            condensing=Condensing(images=2, pixels="free", embedding="perceptron"),
            methods=EVERY,
            batchings=BATCHINGS,
            rounds=4,
        ),
        "a table: 2 records a class, no pictures",
    ),
}
ONE_CHANGE: dict[str, Run] = {
    "seed-1": _small("condensed from another seed", seed=1),
    "seed-2": _small("and another", seed=2),
    "free-pixels": _small("pixels leave their range", pixels="free"),
    "gradient-matching": _small("the generator of the public code", generator="gm"),
    "gradient-matching-noise": _small(
        "as the public code: from noise, pixels free", generator="gm", start="noise", pixels="free", augment="none"
    ),
    "from-noise": _small("distribution matching from noise", start="noise"),
    "5-images": _small("5 images a class, 3.5 %", images=5),
    "10-images": _small("10 images a class, 7 %: beyond the paper's budget", images=10),
    "20-images": _small("20 images a class, 14 %", images=20),
    "convnet-victims": _small("victims of the network that was condensed on", network="convnet"),
    "lenet-victims": _small(
        "victims of a third network, which does not always learn by this recipe: intervals are wide", network="lenet"
    ),
    "two-owners-apart": _small("two owners, each condenses alone", images=2, owners=Owners(count=2, collude=False)),
    "two-owners-collude": _small("two owners, condensed together", images=2, owners=Owners(count=2)),
    "one-of-two-asks": _small("two owners, one asks", images=2, owners=Owners(count=2, asking=1)),
}
RUNS = {**WHOLE, **ONE_CHANGE}
_FINDINGS = TypeAdapter(Findings)


def study_usability(name: str, out: Path, results: Path, *, workers: Workers = 1, watch: Watch = silent) -> Path:
    """Make one run, its report in ``out`` and its findings in ``results``; what is in the store is not made again."""
    chosen = RUNS[name]
    scores = run(load_suite(chosen.suite), chosen.config, out / name, workers=workers, watch=watch)
    report_usability(out / name)
    file = results / f"{name}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(_FINDINGS.dump_json(read_findings(scores), indent=1) + b"\n")
    return file


def read_results(results: Path) -> dict[str, Findings]:
    """The findings of the runs that were made."""
    return {
        name: _FINDINGS.validate_json(read_bytes(file, StoreError))
        for name in RUNS
        if (file := results / f"{name}.json").is_file()
    }
