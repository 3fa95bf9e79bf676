"""Which distance should judge? Each candidate on ensembles whose order is known, and on cheats that must not win.

Needs the oracles of `digits`, which are shipped, and trains some without a part of two forget sets.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy import ndarray
from numpy.random import Generator
from scipy.stats import spearmanr

from expunge.engine import Watch, silent
from expunge.ensembles import Plan, read_margins
from expunge.reports.studies.building import build_lacking
from expunge.reports.studies.cheats import CHEATS, Material
from expunge.reports.studies.rulers import RULERS, Ruler
from expunge.suites import ForgetSet, Suite

MODELS = 100
SETS = ("class-3", "subclass-50", "neighbours-50", "memorised-50", "influential-50", "random-144")
PARTIAL = ("class-3", "memorised-50")  # of whose parts oracles are trained
SHARES = tuple(k / 20 for k in range(21))
PARTS, FEWER = 10, 40  # tenths of a forget set; models trained without each
DRAWS, NULLS = 10, 100
COUNTS = (20, 50, 100)
POWER = 0.8
OTHER = "random-50"  # the set that was forgotten instead
LADDERS = ("mixed", "moved", "kept")

Ladder = Callable[[float], ndarray]


@dataclass(frozen=True)
class Found:
    """What was found of one candidate; means over forget sets, and over draws of the models."""

    order: Mapping[str, float]  # of each ladder: Spearman's correlation of the number with the rung
    steps: Mapping[str, float]  # the share of neighbouring rungs that stand in the right order
    least: Mapping[int, float | None]  # of so many models: the least share of untouched ones told from oracles
    stable: float  # Spearman's correlation of the orders by two halves of the models
    bias: float  # how much higher the floor is with 20 models than with 100, in shares of the gap
    closed: Mapping[str, float]  # the share of the gap that each cheat closes, in the middle of the forget sets


@dataclass(frozen=True)
class Margins:
    """Margins on the examples of one forget set: 100 pretrained models, 200 oracles, and oracles without a part."""

    name: str
    untouched: ndarray
    oracles: ndarray
    other: ndarray
    partly: Mapping[float, ndarray]  # by the share of the set that was left out in training


def study_metrics(suite: Suite, watch: Watch = silent) -> dict[str, Found]:
    """Every candidate by its name; trains what the store lacks."""
    parts = {name: _parts(suite.forget_sets[name]) for name in PARTIAL}
    build_lacking([(Plan(suite, "oracle", each), FEWER) for some in parts.values() for each in some.values()], watch)
    margins = [_margins(suite, name, parts.get(name, {})) for name in SETS]
    found = {}
    for number, (name, ruler) in enumerate(RULERS.items()):
        watch(number, len(RULERS), name)
        found[name] = examine(ruler, margins)
    watch(len(RULERS), len(RULERS), "")
    return found


def _parts(forget: ForgetSet) -> dict[float, ForgetSet]:
    """A forget set's first tenths, in a random order of its examples."""
    order = np.random.default_rng(0).permutation(forget.indices)
    counts = {k / PARTS: round(k / PARTS * len(order)) for k in range(1, PARTS)}
    return {
        share: ForgetSet(f"{forget.name}.{round(100 * share)}", np.sort(order[:count]), f"{share:.0%} of {forget.name}")
        for share, count in counts.items()
    }


def _margins(suite: Suite, name: str, parts: Mapping[float, ForgetSet]) -> Margins:
    forget = suite.forget_sets[name]
    columns = suite.columns(forget)["forget"]

    def read(plan: Plan, models: int) -> ndarray:
        return np.array(read_margins(plan, 0, models).values[:, columns])

    return Margins(
        name,
        read(Plan(suite, "pretrained"), MODELS),
        read(Plan(suite, "oracle", forget), 2 * MODELS),
        read(Plan(suite, "oracle", suite.forget_sets[OTHER]), MODELS),
        {share: read(Plan(suite, "oracle", each), FEWER) for share, each in parts.items()},
    )


def examine(ruler: Ruler, margins: Sequence[Margins]) -> Found:
    """All that is asked of a candidate."""
    rng = np.random.default_rng(0)
    orders: dict[str, list[float]] = {ladder: [] for ladder in LADDERS}
    steps: dict[str, list[float]] = {ladder: [] for ladder in LADDERS}
    halves, biases, closed = [], [], [_closed(ruler, each, np.random.default_rng(1)) for each in margins]
    for each in margins:
        for _ in range(DRAWS):
            reference, held_out = _halves(each.oracles, rng)
            for name, rungs, ladder in _ladders(each, held_out):
                values = [ruler.function(ladder(rung), reference) for rung in rungs]
                orders[name].append(float(spearmanr(rungs, values).statistic))
                steps[name].append(float(np.mean(np.diff(values) > 0)))
            halves.append(_stability(ruler, each, reference, held_out))
            biases.append(_bias(ruler, each, reference, held_out))
    least = {count: _least(ruler, margins, count) for count in COUNTS}
    return Found(
        {name: float(np.mean(values)) for name, values in orders.items()},
        {name: float(np.mean(values)) for name, values in steps.items()},
        least,
        float(np.mean(halves)),
        float(np.mean(biases)),
        {name: float(np.median([each[name] for each in closed])) for name in CHEATS},
    )


def _halves(oracles: ndarray, rng: Generator) -> tuple[ndarray, ndarray]:
    order = rng.permutation(len(oracles))
    return oracles[order[:MODELS]], oracles[order[MODELS:]]


def _ladders(margins: Margins, held_out: ndarray) -> list[tuple[str, Sequence[float], Ladder]]:
    """Ensembles that are farther from the oracles the higher the rung: by more models, by all a bit, by more data."""
    found: list[tuple[str, Sequence[float], Ladder]] = [
        ("mixed", SHARES, partial(_mix, held_out, margins.untouched)),
        ("moved", SHARES, partial(_move, held_out, margins.untouched)),
    ]
    if margins.partly:
        kept = {1 - share: each for share, each in margins.partly.items()}
        kept |= {0.0: held_out[:FEWER], 1.0: margins.untouched[:FEWER]}
        found.append(("kept", sorted(kept), kept.__getitem__))
    return found


def _mix(held_out: ndarray, untouched: ndarray, share: float) -> ndarray:
    """A share of the models is untouched, the others are oracles."""
    count = round(share * len(held_out))
    return np.concatenate([held_out[count:], untouched[:count]])


def _move(held_out: ndarray, untouched: ndarray, share: float) -> ndarray:
    """Oracles moved by a share of what lies between the means of both."""
    moved: ndarray = held_out + np.float32(share) * (untouched.mean(axis=0) - held_out.mean(axis=0))
    return moved


def _stability(ruler: Ruler, margins: Margins, reference: ndarray, held_out: ndarray) -> float:
    """Whether two halves of the models put the rungs of both ladders in one order."""
    rungs = [ladder(share) for _, shares, ladder in _ladders(margins, held_out)[:2] for share in shares[::2]]
    values = [[ruler.function(each[half::2], reference) for each in rungs] for half in (0, 1)]
    return float(spearmanr(*values).statistic)


def _bias(ruler: Ruler, margins: Margins, reference: ndarray, held_out: ndarray) -> float:
    few, many = (ruler.function(held_out[:count], reference) for count in (COUNTS[0], COUNTS[-1]))
    return (few - many) / (ruler.function(margins.untouched, reference) - many)


def _least(ruler: Ruler, margins: Sequence[Margins], count: int) -> float | None:
    """The least share of untouched models, of ``count``, that is told from oracles in 80 % of draws; mean over sets.

    Told: the number lies above 95 % of those of ``count`` held-out oracles. None where some set has no such share.
    """
    shares = []
    for each in margins:
        rng = np.random.default_rng(2)
        null = [ruler.function(held_out[:count], reference) for reference, held_out in _many(each, rng, NULLS)]
        limit, draws = np.quantile(null, 0.95), list(_many(each, rng, 2 * DRAWS))
        told = (
            share
            for share in SHARES[1:]
            if np.mean(
                [ruler.function(_mix(held_out[:count], each.untouched, share), ref) > limit for ref, held_out in draws]
            )
            >= POWER
        )
        shares.append(next(told, None))
    known = [share for share in shares if share is not None]
    return float(np.mean(known)) if len(known) == len(shares) else None


def _many(margins: Margins, rng: Generator, draws: int) -> list[tuple[ndarray, ndarray]]:
    return [_halves(margins.oracles, rng) for _ in range(draws)]


def _closed(ruler: Ruler, margins: Margins, rng: Generator) -> dict[str, float]:
    """Which share of the gap each cheat closes, as this candidate sees it."""
    reference, held_out = margins.oracles[:MODELS], margins.oracles[MODELS:]
    material = Material(margins.untouched, reference, held_out, margins.other)
    nothing, floor = (ruler.function(each, reference) for each in (margins.untouched, held_out))
    return {
        name: (nothing - ruler.function(cheat.make(material, rng), reference)) / (nothing - floor)
        for name, cheat in CHEATS.items()
    }
