"""LiRA by models trained on random halves: is an example spoken of as one of those that were trained on?"""

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from expunge.audits.audit import Audit, Audited
from expunge.audits.evidence import Evidence, Side
from expunge.audits.game import Game
from expunge.audits.membership import BETTER, ORACLE, TWO_SIDED, UNIT, attack
from expunge.audits.u_lira import log_density, moments

NAME = "lira"


def lira(
    scores: Float[ndarray, "models examples"],
    shadows: Float[ndarray, "shadows examples"],
    member: Bool[ndarray, "shadows examples"],
) -> Float[ndarray, "models examples"]:
    """``log N(s; m_in, v_in) - log N(s; m_out, v_out)``, nats: high where a model speaks as those that were trained.

    In and out are the shadow models whose random half has the example, or has it not. Nobody of them has unlearned: it
    is the attack of who knows data and training, but not the method. What was forgotten too well lies below.

    Args:
        scores: margins of the models under attack.
        shadows: margins of the shadow models on the same examples.
        member: whether each of them was trained on each example.

    Source: Carlini et al. 2022, arXiv:2112.03570, online.

    >>> shadows = np.array([[0.0], [2.0], [-2.0], [0.0]])
    >>> lira(np.array([[1.0]]), shadows, np.array([[True], [True], [False], [False]]))
    array([[1.]])
    """
    found: ndarray = log_density(scores, moments(shadows, member)) - log_density(scores, moments(shadows, ~member))
    return found


def lira_scores(evidence: Evidence) -> Audited:
    """Shadow models are all that the suite has."""
    margins, masks = evidence.subsets
    columns, indices = evidence.row.columns["forget"], evidence.row.forget.indices
    shadows, member = margins[:, columns].astype(np.float64), masks[:, indices]

    def score(side: Side) -> ndarray:
        return lira(evidence.margins(side), shadows, member)

    def games(side: Side) -> list[Game]:
        return [Game.against(score(side), score("oracles"))]

    return attack(evidence, NAME, __name__, games)


AUDIT = Audit(
    function=lira,
    scores=lira_scores,
    summary="do they speak of the set as models do that were trained on it, by models trained on halves?",
    aggregates=TWO_SIDED,
    unit=UNIT,
    better=BETTER,
    oracle=ORACLE,
    source="arXiv:2112.03570",
    reads=("margins", "subsets"),
)
