"""U-LiRA as it was published: shadow models of random halves unlearn what they have seen, and so do those attacked."""

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from expunge.audits.audit import Audit, Audited
from expunge.audits.evidence import Evidence
from expunge.audits.game import Game
from expunge.audits.membership import BETTER, ONE_SIDED, ORACLE, UNIT, attack_of
from expunge.audits.u_lira import FOLDS, log_density, moments

CORRECTED, UNCORRECTED = "u-lira-shadows", "u-lira-shadows-uncorrected"


def corrected(margins: Float[ndarray, "models forget"], seen: Bool[ndarray, "models forget"]) -> list[Game]:
    """Pairs of a model and an example that it has seen and unlearned, against pairs that it never saw.

    Both sides have unlearned: a model that never saw an example unlearned others. So what unlearning does to a model
    as a whole is on both sides, and only what it leaves of the very example tells. Each half of the models is scored by
    densities of the other: ``log N(s; m_in, v_in) - log N(s; m_out, v_out)``, over models that had the example and
    unlearned it, and over models that never had it.

    Args:
        margins: of models trained on random halves, after unlearning.
        seen: whether each had the example in its half.

    Source: Hayes et al. 2024, arXiv:2403.01218; the side of those that never saw, in place of oracles: the code of
    Georgiev et al. 2024, arXiv:2410.23232, read, not copied, which has no folds and reports accuracies.
    """
    return [
        Game(_ratio(margins[played], margins[~played], seen[~played], margins[~played], ~seen[~played]), seen[played])
        for played in _folds(len(margins))
    ]


def uncorrected(
    margins: Float[ndarray, "models forget"],
    seen: Bool[ndarray, "models forget"],
    retrained: Float[ndarray, "oracles forget"],
) -> list[Game]:
    """The same, but against models that were retrained without the set: without the correction of the shadow class.

    An attack then also finds what unlearning did to the models as a whole, whatever it left of the example.

    Args:
        margins: of models trained on random halves, after unlearning.
        seen: whether each had the example in its half; where it had not, the pair does not play.
        retrained: of models trained on such halves without the forget set.

    Source: Hayes et al. 2024, arXiv:2403.01218.
    """
    games = []
    for mine, others in zip(_folds(len(margins)), _folds(len(retrained)), strict=True):
        fitted = (margins[~mine], seen[~mine], retrained[~others], np.ones(retrained[~others].shape, bool))
        scores = np.concatenate([_ratio(margins[mine], *fitted), _ratio(retrained[others], *fitted)])
        member = np.concatenate([seen[mine], np.zeros(retrained[others].shape, bool)])
        other = np.concatenate([np.zeros(seen[mine].shape, bool), np.ones(retrained[others].shape, bool)])
        games.append(Game(scores, member, other))
    return games


def _folds(models: int) -> list[Bool[ndarray, " models"]]:
    return [np.arange(models) % FOLDS == fold for fold in range(FOLDS)]


def _ratio(scores: ndarray, within: ndarray, seen: ndarray, without: ndarray, unseen: ndarray) -> ndarray:
    found: ndarray = log_density(scores, moments(within, seen)) - log_density(scores, moments(without, unseen))
    return found


def corrected_scores(evidence: Evidence) -> Audited:
    """Shadow models and those under attack: as many of the suite's models of halves as the row has models."""
    mine, best = evidence.shadows("row"), evidence.shadows("held-out")
    return attack_of(
        evidence,
        CORRECTED,
        __name__,
        corrected(mine.margins, mine.seen),
        corrected(best.margins, best.seen),
        two_sided=False,
        models=len(mine.seen),
    )


def uncorrected_scores(evidence: Evidence) -> Audited:
    """What an oracle gets is what retrained models get that had the example in their half before, against all."""
    mine, best = evidence.shadows("row"), evidence.shadows("held-out")
    perfect = corrected(best.margins, best.seen)
    retrained = mine is best  # an oracle, which would be told from itself
    games = perfect if retrained else uncorrected(mine.margins, mine.seen, best.margins)
    return attack_of(evidence, UNCORRECTED, __name__, games, perfect, two_sided=False, models=len(mine.seen))


SHADOWS, SHADOWS_UNCORRECTED = (
    Audit(
        function=function,
        scores=scores,
        summary=summary,
        aggregates=ONE_SIDED,
        unit=UNIT,
        better=BETTER,
        oracle=ORACLE,
        source="arXiv:2403.01218",
        reads=("shadows",),
    )
    for function, scores, summary in (
        (corrected, corrected_scores, "after unlearning, can it be told which examples a model had seen?"),
        (uncorrected, uncorrected_scores, "can models that unlearned an example be told from ones retrained?"),
    )
)
