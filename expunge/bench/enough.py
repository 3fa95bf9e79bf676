"""How many models are enough: what a suite's own ensembles say of the numbers that tell a difference."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from expunge.bench.scatter import left_by_pairing, scatter_of
from expunge.errors import BadSetting, TooFewModels
from expunge.jobs import one_thread
from expunge.metrics.power import LEAST, MOST, Contrast, cheapest
from expunge.suites import ForgetSet, Suite, as_suite
from expunge.suites.indices import require_whole

MEASURED = 100  # models of each ensemble that are looked at, at most
COST = 0.15  # of a retraining: what a method may cost in a search
FARTHEST = 1000.0  # sd: margins end at 100 nats
DEAREST, CROWD = 100.0, 1_000_000  # retrainings that a model may cost, and methods
METHODS, ORACLE = "two methods", "a method from the oracle"
BETWEEN = "between doing nothing and the floor"


@dataclass(frozen=True)
class Gap:
    """A difference of mean distances on forget: in sd of the oracles, or a share of that of identity and the floor."""

    size: float
    is_share: bool

    @classmethod
    def parse(cls, text: str) -> "Gap":
        """``0.2`` is in sd of the oracles, ``5%`` a share.

        >>> Gap.parse("5%")
        Gap(size=0.05, is_share=True)
        """
        size, is_share = number_or_share(text, "a gap", "0.2, in sd of the oracles, or 5%, of the gap to doing nothing")
        if is_share and size > 1:
            raise BadSetting(
                f"expected a gap of at most 100%, which is all between doing nothing and the floor: {text}"
            )
        if size > FARTHEST:
            raise BadSetting(
                f"expected a gap of at most {FARTHEST:g} sd of the oracles, farther than margins go: {text}"
            )
        return cls(size, is_share)


@dataclass(frozen=True)
class Enough:
    """How many models and oracles tell a gap on a forget set; None where no number does, or the gap is none.

    ``held_out`` are the oracles of the floor, on top of ``oracles``. ``cost`` is in retrainings. ``own_models`` and
    ``own_oracles`` are the cheapest numbers within what the suite has, ``ships`` of each. ``left`` is which share of
    the variance through models is left by pairing.
    """

    forget_set: str
    question: str
    gap: float | None
    models: int | None = None
    oracles: int | None = None
    held_out: int | None = None
    cost: float | None = None
    ships: int = 0
    own_models: int | None = None
    own_oracles: int | None = None
    left: float | None = None
    note: str = ""


def number_or_share(text: str, what: str, such_as: str) -> tuple[float, bool]:
    """A number above 0, and whether it was given in percent; of ``5%`` it is 0.05."""
    found = re.fullmatch(r"\s*(\d*\.?\d+(?:e[+-]?\d+)?)\s*(%?)\s*", text, re.IGNORECASE | re.ASCII)
    size = float(found[1]) / (100 if found[2] else 1) if found else 0.0
    if not 0 < size < math.inf:
        raise BadSetting(f"expected {what} above 0, such as {such_as}, got {text!r}")
    return size, bool(found and found[2])


def models_needed(
    suite: Suite | str,
    gap: Gap | str,
    forget_sets: Sequence[str] | None = None,
    *,
    cost: float = COST,
    methods: int = 2,
    bench: Path | str | None = None,
) -> list[Enough]:
    """How many models and oracles tell, with 95 % power at the 5 % level, two methods apart, and one from the oracle.

    Two methods: their mean distances on forget differ by ``gap``, halfway between the floor and doing nothing, and they
    began from the same pretrained models. A method and the oracle: it lies ``gap`` above the floor, that of as many
    held-out oracles. A gap is what a table of the suite's own numbers shows. What such differences scatter is measured
    on methods that are made of its ensembles: pretrained margins moved towards the oracles' mean, with half of their
    spread and half of that of held-out oracles, so that half of a method's variance is its own. Of real methods
    ``bench``, the folder of one, says what pairing leaves; else that is measured on the made-up ones.

    Args:
        suite: the suite, or its name; its ensembles are read, none is trained.
        gap: as ``0.2`` or ``5%``, see :class:`Gap`.
        forget_sets: names; default: all.
        cost: of one unlearned model, as a share of a retraining.
        methods: that share the oracles.
        bench: the folder of a bench of this suite.

    Raises:
        BadSetting: a gap of nothing, or wider than the whole one on all sets, a cost or number of methods below
            what can be.
        StoreError: no store has the ensembles.
        TooFewModels: fewer than 10 of them.
    """
    suite, gap = as_suite(suite), Gap.parse(gap) if isinstance(gap, str) else gap
    if not 0 < cost <= DEAREST:
        raise BadSetting(f"expected a cost above 0 and of at most {DEAREST:g} retrainings a model, got {cost}")
    if not 1 <= require_whole(methods, "the number of methods") <= CROWD:
        raise BadSetting(f"expected 1 to {CROWD:,} methods, got {str(methods)[:40]}")
    ships = suite.models // 2
    if ships < LEAST:
        raise TooFewModels(
            f"expected {2 * LEAST} models of each ensemble or more to see how they scatter, half of them held out, "
            f"got the {suite.models} of suite {suite.name!r}"
        )
    chosen = [suite.forget_set(name) for name in dict.fromkeys(forget_sets or suite.forget_sets)]
    rows, whole = [], {}
    with one_thread():
        for forget in chosen:
            scatter, has_headroom = scatter_of(suite, forget, min(ships, MEASURED))
            size, whole[forget.name] = gap.size * scatter.gap if gap.is_share else gap.size, scatter.gap
            if note := _why_none(gap, scatter.gap, has_headroom):
                known = None if gap.is_share else size
                rows += [Enough(forget.name, each, known, ships=ships, note=note) for each in (METHODS, ORACLE)]
                continue
            left = None if bench is None else left_by_pairing(scatter, suite, forget, Path(bench))
            contrast, left = scatter.two_methods(size, left)
            rows.append(_enough(forget, METHODS, size, contrast, ships, (max(2, methods) * cost, 0.0), left))
            rows.append(_enough(forget, ORACLE, size, scatter.from_the_oracle(size), ships, (methods * cost, 1.0)))
    _require_within(gap, whole)
    return rows


def _why_none(gap: Gap, whole: float, has_headroom: bool) -> str:
    """Why a set is not asked for ``gap``, where the whole one is so wide; "" where it is."""
    if gap.is_share:
        none = "no headroom: doing nothing cannot be told from the oracles well enough to speak of shares"
        return "" if has_headroom else none
    return f"the whole gap, {BETWEEN}, is {_rounded_down(whole)} sd" if gap.size > whole else ""


def _require_within(gap: Gap, whole: Mapping[str, float]) -> None:
    """Refuse a gap in sd that no set has; ``whole`` is what each has."""
    widest = max(whole, key=lambda name: whole[name])
    if not gap.is_share and gap.size > whole[widest]:
        raise BadSetting(
            f"expected a gap of at most {_rounded_down(whole[widest])} sd on {widest!r}, all {BETWEEN}, got "
            f"{gap.size:g}; give less, or a share, such as 5%"
        )


def _rounded_down(gap: float) -> str:
    """What may be given as it is told."""
    return f"{max(0, math.floor(1000 * gap)) / 1000:g}"


def _enough(
    forget: ForgetSet,
    question: str,
    gap: float,
    contrast: Contrast,
    ships: int,
    costs: tuple[float, float],
    left: float | None = None,
) -> Enough:
    """The cheapest numbers, of all and of those that the suite has; ``costs``: of a model, and of its floor."""
    model, held_out = sum(costs), bool(costs[1])
    free = cheapest(contrast, model, 1.0)
    own = cheapest(contrast, model, 1.0, models=ships, oracles=ships) or (None, None)
    found = Enough(forget.name, question, gap, ships=ships, own_models=own[0], own_oracles=own[1], left=left)
    if free is None:
        return replace(found, note=f"not told by {MOST:,} models and as many oracles")
    models, oracles = free
    note = ""
    if own[0] is None:
        short = cheapest(contrast, model, 1.0, oracles=ships) is None
        note = f"more than the suite has, {ships} of each" + (
            ": with so many oracles no number of models is enough" if short else ""
        )
    return replace(
        found,
        models=models,
        oracles=oracles,
        held_out=models if held_out else 0,
        cost=models * model + oracles,
        note=note,
    )
