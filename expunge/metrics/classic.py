"""UA, RA and TA, the accuracies of the tables in most papers: one value per model, on forget, retain and test."""

from jaxtyping import Bool, Float
from numpy import ndarray

from expunge.ensembles.stored_margins import EnsembleMargins
from expunge.metrics.accuracy import accuracy
from expunge.metrics.gaps import AGGREGATES, BESIDE, share_with_gap
from expunge.metrics.metric import Metric, Scored
from expunge.metrics.row import Reference, Row
from expunge.records import SplitName
from expunge.suites import ForgetSet, Suite


def ua(correct: Bool[ndarray, "models examples"]) -> Float[ndarray, " models"]:
    """Unlearning accuracy: ``1 - accuracy`` on the forget set, of each model; 0 to 1.

    Neither high nor low is better: a method should get what the oracles get. Papers print it in per cent.

    Args:
        correct: whether each model's first choice is the label, of the forget examples; one row per model.

    Returns:
        One value per model.

    Source: Jia et al. 2023, arXiv:2304.04934.

    >>> import numpy as np
    >>> ua(np.array([[True, False, False, False], [True, True, True, True]]))
    array([0.75, 0.  ])
    """
    return 1 - accuracy(correct)


def ra(correct: Bool[ndarray, "models examples"]) -> Float[ndarray, " models"]:
    """Remaining accuracy: accuracy on the retained training examples, of each model; 0 to 1.

    A method should get what the oracles get, nearly always 1 or close to it.

    Args:
        correct: whether each model's first choice is the label, of the retained examples; one row per model.

    Returns:
        One value per model.

    Source: Jia et al. 2023, arXiv:2304.04934.

    >>> import numpy as np
    >>> ra(np.array([[True, True, True, False]]))
    array([0.75])
    """
    return accuracy(correct)


def ta(correct: Bool[ndarray, "models examples"]) -> Float[ndarray, " models"]:
    """Testing accuracy: accuracy on the test examples, of each model; 0 to 1.

    A method should get what the oracles get: being better than they is a gap too. On a class forget set papers leave
    the class out of the test examples; here they all count, so that a model that still knows the class has a gap.

    Args:
        correct: whether each model's first choice is the label, of the test examples; one row per model.

    Returns:
        One value per model.

    Source: Jia et al. 2023, arXiv:2304.04934.

    >>> import numpy as np
    >>> ta(np.array([[True, False]]))
    array([0.5])
    """
    return accuracy(correct)


def ua_per_model(suite: Suite, forget: ForgetSet, margins: EnsembleMargins) -> Float[ndarray, " models"] | None:
    """UA of each model; None where only margins are known."""
    correct = _correct(suite, forget, margins, "forget")
    return None if correct is None else ua(correct)


def ra_per_model(suite: Suite, forget: ForgetSet, margins: EnsembleMargins) -> Float[ndarray, " models"] | None:
    """RA of each model; None where only margins are known."""
    correct = _correct(suite, forget, margins, "retain")
    return None if correct is None else ra(correct)


def ta_per_model(suite: Suite, forget: ForgetSet, margins: EnsembleMargins) -> Float[ndarray, " models"] | None:
    """TA of each model; None where only margins are known."""
    correct = _correct(suite, forget, margins, "test")
    return None if correct is None else ta(correct)


def _correct(
    suite: Suite, forget: ForgetSet, margins: EnsembleMargins, split: SplitName
) -> Bool[ndarray, "models examples"] | None:
    return None if margins.correct is None else margins.correct[:, suite.columns(forget)[split]]


def ua_scores(row: Row, reference: Reference) -> Scored:
    """UA, and its gap to the oracles."""
    return share_with_gap(row, reference, "ua", "forget", ua_per_model)


def ra_scores(row: Row, reference: Reference) -> Scored:
    """RA, and its gap to the oracles."""
    return share_with_gap(row, reference, "ra", "retain", ra_per_model)


def ta_scores(row: Row, reference: Reference) -> Scored:
    """TA, and its gap to the oracles."""
    return share_with_gap(row, reference, "ta", "test", ta_per_model)


UA, RA, TA = (
    Metric(
        function=function,
        scores=scores,
        aggregates=AGGREGATES,
        unit=f"share of {split} examples",
        better="as the oracle",
        oracle=BESIDE,
        source="arXiv:2304.04934",
        reads=("margins", "correct"),
    )
    for function, scores, split in ((ua, ua_scores, "forget"), (ra, ra_scores, "retain"), (ta, ta_scores, "test"))
)
