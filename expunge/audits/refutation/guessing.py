"""Whether a certificate is bought with models that are of no use: their accuracy beside that of guessing."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Int
from numpy import ndarray

from expunge.audits.refutation.utility import Utility
from expunge.metrics.calibration import Estimate
from expunge.metrics.over_models import share_of_models
from expunge.suites import Suite
from expunge.suites.suite import ForgetSet

Place = Literal["at chance", "near chance", "above chance"]


@dataclass(frozen=True)
class Guessing:
    """Accuracy on test examples of released models, and of who always names the most frequent class.

    That of ``models`` is a mean over them, with the interval for the mean of other models; ``guess`` is the share of
    test examples that are of the class which is most frequent among those that are kept, with Clopper and Pearson's
    interval for other examples.
    """

    models: Estimate
    guess: Estimate

    @property
    def place(self) -> Place:
        """At chance: the models' mean lies within or below the interval of guessing; near it: the intervals meet.

        >>> [Guessing(Estimate(*each), Estimate(0.6, 0.5, 0.7)).place for each in [(0.5, 0.4, 0.6), (0.8, 0.7, 0.9)]]
        ['at chance', 'near chance']
        >>> Guessing(Estimate(0.9, 0.8, 1.0), Estimate(0.6, 0.5, 0.7)).place
        'above chance'
        """
        if self.models.value <= self.guess.high:
            return "at chance"
        return "near chance" if self.models.low <= self.guess.high else "above chance"

    def told(self) -> str:
        """Both accuracies in words."""
        return (
            f"models {self.place}: after the noise their test accuracy is {_per_cent(self.models)}, that of always "
            f"guessing the most frequent class is {_per_cent(self.guess)}"
        )


def guessing(suite: Suite, forget: ForgetSet, utility: Sequence[Utility]) -> Guessing | None:
    """Of the models that are released; None where margins are not about one class each, so that none is frequent."""
    classes = suite.data.target.shown(suite.data)
    if classes is None:
        return None
    columns = suite.columns(forget)
    (models,) = (each.accuracy for each in utility if (each.stage, each.split) == ("unlearned", "test"))
    return Guessing(models, guess_of(classes[columns["retain"]], classes[columns["test"]]))


def guess_of(kept: Int[ndarray, " kept"], test: Int[ndarray, " test"]) -> Estimate:
    """Accuracy on ``test`` labels of who names the most frequent of the ``kept`` ones, the first of equals.

    >>> guess_of(np.array([0, 1, 1]), np.array([0, 1])).value
    0.5
    """
    return share_of_models(test == np.bincount(kept).argmax())


def _per_cent(share: Estimate) -> str:
    return f"{100 * share.value:.1f} % [{100 * share.low:.1f}, {100 * share.high:.1f}]"
