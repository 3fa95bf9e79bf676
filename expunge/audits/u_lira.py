"""U-LiRA: for each example an attacker of its own, who knows how unlearned models speak of it, and how oracles do."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from expunge.audits.audit import Audit, Audited
from expunge.audits.evidence import Evidence, Side
from expunge.audits.game import Game
from expunge.audits.membership import BETTER, ONE_SIDED, ORACLE, UNIT, attack
from expunge.errors import BadMargins, TooFewModels

NAME = "u-lira"
ENOUGH = 16  # shadow models, below which all examples share one variance
LEAST_VARIANCE = 1e-6  # of margins in nats: of models that all say the same
FOLDS = 2

Moments = tuple[Float[ndarray, " examples"], Float[ndarray, " examples"]]  # mean and variance


def log_ratio(
    scores: Float[ndarray, "models examples"],
    seen: Float[ndarray, "shadows examples"],
    unseen: Float[ndarray, "others examples"],
) -> Float[ndarray, "models examples"]:
    """``log N(s; m_in, v_in) - log N(s; m_out, v_out)`` of each score, in nats; high where the example was seen.

    Mean and variance are those of the shadow models' scores of the same example: those that have seen it (and, in
    U-LiRA, unlearned it) against those that never have. The ratio knows both sides: where shadow models that have seen
    an example have lower scores, low ones are high. With fewer than 16 shadow models on a side, all examples have one
    variance.

    Args:
        scores: margins, or another signal that is about normal over models.
        seen: the same of shadow models that have seen the examples, 2 or more.
        unseen: the same of shadow models that have not.

    Raises:
        BadMargins: a model is among its own shadow models; an attack that is judged on what it was fitted to finds
            leaks where there are none.
        TooFewModels: fewer than 2 shadow models on a side.

    Source: Carlini et al. 2022, arXiv:2112.03570; with unlearned shadow models: Hayes et al. 2024, arXiv:2403.01218.

    >>> log_ratio(np.array([[0.5], [1.0]]), np.array([[0.0], [2.0]]), np.array([[-2.0], [0.0]]))
    array([[0.5],
           [1. ]])
    """
    require_apart(scores, seen, unseen)
    found: ndarray = log_density(scores, moments(seen)) - log_density(scores, moments(unseen))
    return found


def require_apart(scores: Float[ndarray, "models examples"], *shadows: Float[ndarray, "shadows examples"]) -> None:
    """Refuse to judge an attack on models that it was fitted to."""
    mine = [row.tobytes() for row in np.ascontiguousarray(scores, np.float64)]
    fitted = {row.tobytes() for side in shadows for row in np.ascontiguousarray(side, np.float64)}
    if same := [number for number, row in enumerate(mine) if row in fitted]:
        raise BadMargins(
            f"model {same[0]} under attack is one of the shadow models that the attack is fitted to, {len(same)} of "
            f"{len(mine)} are: it would find leaks where there are none; keep them apart"
        )


def moments(
    shadows: Float[ndarray, "shadows examples"], chosen: Bool[ndarray, "shadows examples"] | None = None
) -> Moments:
    """Mean and variance of each example over shadow models, of those that are ``chosen`` for it; default: of all.

    With fewer than 16 for some example, all have one variance, the pooled one.

    Raises:
        TooFewModels: an example has none, or all have but one.
    """
    weights = np.ones(shadows.shape, bool) if chosen is None else chosen
    count = weights.sum(axis=0)
    if count.min() < 1 or count.max() < 2:
        raise TooFewModels(
            f"expected 2 shadow models or more of each example on each side of an attack, got {count.min()} for one; "
            "give more models"
        )
    mean = np.where(weights, shadows, 0).sum(axis=0) / count
    squares = np.where(weights, (shadows - mean) ** 2, 0).sum(axis=0)
    few = count.min() < ENOUGH
    variance = np.full(mean.shape, squares.sum() / (count - 1).sum()) if few else squares / (count - 1)
    return mean, np.maximum(variance, LEAST_VARIANCE)


def log_density(scores: Float[ndarray, "models examples"], of: Moments) -> Float[ndarray, "models examples"]:
    """The logarithm of a normal density, without its constant."""
    mean, variance = of
    found: ndarray = -0.5 * ((scores - mean) ** 2 / variance + np.log(variance))
    return found


def cross_fitted(
    mine: Float[ndarray, "models examples"],
    oracles: Float[ndarray, "oracles _examples"],
    score: Callable[[ndarray, ndarray, ndarray], ndarray],
) -> list[Game]:
    """Two games, each with one half of the models and of the oracles, the others being the shadow models.

    ``score(scores, seen, unseen)`` is the attack. So nobody is judged by what was fitted to himself.
    """
    if min(len(mine), len(oracles)) < 2 * FOLDS:
        raise TooFewModels(
            f"expected {2 * FOLDS} models and {2 * FOLDS} oracles or more, half of them for shadow models, got "
            f"{len(mine)} and {len(oracles)}"
        )
    games = []
    for fold in range(FOLDS):
        played = [np.arange(len(side)) % FOLDS == fold for side in (mine, oracles)]
        seen, unseen = (side[~chosen] for side, chosen in zip((mine, oracles), played, strict=True))
        scored = [score(side[chosen], seen, unseen) for side, chosen in zip((mine, oracles), played, strict=True)]
        games.append(Game.against(*scored))
    return games


def u_lira_scores(evidence: Evidence) -> Audited:
    """Shadow models are the other half of the row's models and of the oracles."""

    def games(side: Side) -> list[Game]:
        return cross_fitted(evidence.margins(side), evidence.margins("oracles"), log_ratio)

    return attack(evidence, NAME, __name__, games, two_sided=False)


AUDIT = Audit(
    function=log_ratio,
    scores=u_lira_scores,
    summary="can who knows unlearned models and oracles tell them apart, example by example?",
    aggregates=ONE_SIDED,
    unit=UNIT,
    better=BETTER,
    oracle=ORACLE,
    source="arXiv:2403.01218",
)
