"""Completeness: how far each example is forgotten, between a model that fits it and shadow models that never saw it."""

from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray
from scipy.special import expit

from expunge.audits.audit import Audit, Audited
from expunge.audits.evidence import Evidence, Side
from expunge.audits.game import Game
from expunge.audits.membership import BETTER, ORACLE, TWO_SIDED, UNIT, attack, record
from expunge.errors import TooFewModels
from expunge.metrics.over_models import gap, mean_over_models

NAME = "completeness"
FEW = 8  # shadow models of each example
STEPS = 100  # of the interpolation
BOUNDS = (1e-2, 1e-5)  # of the signal: eps1, eps2
EULER = 0.5772156649015329


def completeness(
    margins: Float[ndarray, "models examples"],
    shadows: Float[ndarray, "shadows examples"],
    unseen: Bool[ndarray, "shadows examples"],
) -> Float[ndarray, "models examples"]:
    """``1 - sum_k a_{k+1} F_k(s) / sum_k a_{k+1}``, 0 to 1, a_k = k / 99: 1 where nothing of the example is left.

    The signal of a probability p of the label is ``s = -log(0.01 - log(p + 0.00001))``, for a right and sure answer
    large. F_k is the Gumbel distribution whose mean lies a_k of the way from the signal of models that never saw the
    example to the one of p = 1, and whose spread is that of all shadow signals, shrunk as they draw together.

    One shadow model is enough: it needs neither oracles nor models that were unlearned. Interpolated Approximate
    Measurement, as its authors' code computes it, where the signal of fitting is a constant; here an example has the
    shadow models that have not seen it out of a few that were trained on random halves.

    Args:
        margins: ``log p_y - log(1 - p_y)`` of the models that are asked about.
        shadows: the same of shadow models.
        unseen: whether each of them never saw each example; one or more for each.

    Source: Wang et al. 2025, arXiv:2506.06112, and its code, read, not copied.

    >>> shadows = np.array([[-2.0, 1.0]])
    >>> found = completeness(np.array([[-2.0, 1.0], [9.0, 9.0]]), shadows, np.ones((1, 2), bool))
    >>> (found[0] > 0.9).all(), (found[1] < 0.5).all()
    (np.True_, np.True_)
    """
    out = signal(expit(shadows))
    count = unseen.sum(axis=0)
    if count.min() < 1:
        raise TooFewModels("expected 1 shadow model or more that never saw each example, got none for some")
    mean = np.where(unseen, out, 0).sum(axis=0) / count
    fit, mine = float(signal(np.ones(1))[0]), signal(expit(margins))
    spread = max(float(out[unseen].std()), 1e-6)
    total, weights = np.zeros(mine.shape), np.linspace(0, 1, STEPS)
    for way, weight in pairwise(weights):
        scale = np.sqrt(6) / np.pi * spread * (1 - way)
        place = mean + way * (fit - mean) - EULER * scale
        total += weight * np.exp(-np.exp(np.clip(-(mine - place) / scale, -50, 50)))
    result: ndarray = 1 - total / weights[1:].sum()
    return result


def signal(p: Float[ndarray, "..."]) -> Float[ndarray, "..."]:
    """``-log(eps1 - log(p + eps2))``: about Gumbel distributed over models, and bounded."""
    found: ndarray = -np.log(BOUNDS[0] - np.log(np.minimum(p + BOUNDS[1], 1.0)))
    return found


def first_unseen(member: Bool[ndarray, "shadows examples"], few: int = FEW) -> Bool[ndarray, "shadows examples"]:
    """For each example, the first ``few`` shadow models that never saw it."""
    unseen = ~member
    chosen: ndarray = unseen & (unseen.cumsum(axis=0) <= few)
    return chosen


def completeness_scores(evidence: Evidence) -> Audited:
    """Of each example the first 8 models whose half has it not; low completeness, high score."""
    margins, masks = evidence.subsets
    columns, indices = evidence.row.columns["forget"], evidence.row.forget.indices
    chosen = first_unseen(masks[:, indices])
    some = chosen.any(axis=1)
    shadows = margins[some][:, columns].astype(np.float64)

    def complete(side: Side) -> ndarray:
        return evidence.once(NAME, side, lambda side: completeness(evidence.margins(side), shadows, chosen[some]))

    def games(side: Side) -> list[Game]:
        return [Game.against(-complete(side), -complete("oracles"))]

    found = attack(evidence, NAME, __name__, games)
    mine, oracles, best = (complete(side).mean(axis=1) for side in ("row", "oracles", "held-out"))
    numbers = (
        ("mean", mean_over_models(mine, bounds=(0.0, 1.0)), float(oracles.mean())),
        ("gap", gap(mine, oracles, bounds=(-1.0, 1.0)), gap(best, oracles).value),
    )
    more = [record(evidence, NAME, __name__, name, each, oracle) for name, each, oracle in numbers]
    return Audited([*more, *found.scores], found.unscored, found.examples, found.p_value)


AUDIT = Audit(
    function=completeness,
    scores=completeness_scores,
    summary="how far is each example forgotten, by a few models that never saw it?",
    aggregates=("mean", "gap", *TWO_SIDED),
    unit=UNIT,
    better=f"mean and gap: as oracles; {BETTER}",
    oracle=f"mean and gap: said in each record; {ORACLE}",
    source="arXiv:2506.06112",
    reads=("margins", "subsets"),
)
