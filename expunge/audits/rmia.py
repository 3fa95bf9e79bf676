"""RMIA: is the model surer of the example than of others like it, by what reference models make of both?"""

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from expunge.audits.audit import Audit, Audited
from expunge.audits.evidence import Evidence, Side
from expunge.audits.game import Game
from expunge.audits.membership import BETTER, ORACLE, TWO_SIDED, UNIT, attack
from expunge.audits.u_lira import cross_fitted

NAME = "rmia"
GAMMA = 1.0


def rmia(
    margins: Float[ndarray, "models examples"],
    population: Float[ndarray, "models others"],
    reference: Float[ndarray, " examples"],
    reference_population: Float[ndarray, " others"],
    *,
    gamma: float = GAMMA,
) -> Float[ndarray, "models examples"]:
    """``P_z( p(x|model) / p(x) >= gamma p(z|model) / p(z) )``, 0 to 1; high where the model was trained on x.

    p(x|model) is the probability of the label, and p(x) its mean over reference models, of which one half has seen x
    and one has not; z runs over a population that no model has seen.

    Args:
        margins: ``log p_y - log(1 - p_y)`` of the models under attack.
        population: the same of the others.
        reference: ``log p(x)``, in nats.
        reference_population: ``log p(z)``.
        gamma: by how much x must be likelier than z. 1 here: with 2, the default of the paper, no example of a model
            that is sure of nearly all is ever likelier.

    Source: Zarifzadeh, Liu and Shokri 2024, arXiv:2312.03262, online.

    >>> rmia(np.array([[3.0]]), np.array([[0.0, 9.0]]), np.log([0.5]), np.log([0.5, 0.5]))
    array([[0.5]])
    """
    x, z = log_probability(margins) - reference - np.log(gamma), log_probability(population) - reference_population
    rows = [np.searchsorted(np.sort(others), mine, side="right") for mine, others in zip(x, z, strict=True)]
    found: ndarray = np.array(rows) / z.shape[1]
    return found


def log_probability(margins: Float[ndarray, "models examples"]) -> Float[ndarray, "models examples"]:
    """``log p_y`` of margins, without a detour by probabilities."""
    result: ndarray = -np.logaddexp(0, -margins)
    return result


def mean_probability(
    seen: Float[ndarray, "models examples"], unseen: Float[ndarray, "others examples"]
) -> Float[ndarray, " examples"]:
    """``log p(x)``: the mean probability of reference models, half of whom have seen the examples."""
    both = [np.exp(log_probability(side)).mean(axis=0) for side in (seen, unseen)]
    found: ndarray = np.log(np.maximum(sum(both) / 2, 1e-300))
    return found


def rmia_scores(evidence: Evidence) -> Audited:
    """Reference models are the other half of the row's models and of the oracles; the population are test examples."""
    size = len(evidence.row.columns["forget"])

    def both(side: Side) -> ndarray:
        found: ndarray = np.concatenate([evidence.margins(side), evidence.test_margins(side)], axis=1)
        return found

    def score(scores: ndarray, seen: ndarray, unseen: ndarray) -> ndarray:
        reference = mean_probability(seen, unseen)
        found: ndarray = rmia(scores[:, :size], scores[:, size:], reference[:size], reference[size:])
        return found

    def games(side: Side) -> list[Game]:
        return cross_fitted(both(side), both("oracles"), score)

    return attack(evidence, NAME, __name__, games)


AUDIT = Audit(
    function=rmia,
    scores=rmia_scores,
    summary="are they surer of the set than of test examples, beyond what reference models are?",
    aggregates=TWO_SIDED,
    unit=UNIT,
    better=BETTER,
    oracle=ORACLE,
    source="arXiv:2312.03262",
)
