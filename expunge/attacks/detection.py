"""What a defence is worth: how well its suspicion tells attacks from honest requests, or attacked records from others.

A defence that says the same of all, as one that rejects everything does, has an AUROC of 0.5 and catches none.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from scipy.special import betaincinv

from expunge.errors import BadSetting
from expunge.metrics.calibration import Estimate
from expunge.metrics.over_models import mean_over_models

HONEST = 100  # one in so many honest ones may be suspected; from fewer that cannot be told


@dataclass(frozen=True)
class Detection:
    """How well attacks are told from what is honest: both between 0 and 1, higher is a better defence.

    ``auroc`` is the chance that an attack is more suspicious than an honest one, 0.5 by guessing; ``tpr`` the share of
    attacks that are caught where at most 1 % of the honest are suspected. An AUROC near 0 is no hiding: the attack is
    told apart by looking unusually ordinary, and a provider who knows that can turn the suspicion around.
    """

    auroc: Estimate
    tpr: Estimate


def detection(
    attack: Float[ndarray, "models attacks"], honest: Float[ndarray, "_models honest"], level: float = 0.95
) -> Detection:
    """AUROC, and the share of attacks caught at 1 % of false alarms, with intervals at ``level``.

    AUROC is that of each model, by Mann and Whitney: the share of pairs of an attack and an honest one in which the
    attack is the more suspicious; a tie counts one half. The threshold of each model is the lowest honest suspicion
    that at most 1 % of the honest ones lie above, and an attack is caught only strictly above it.

    Of 2 models or more, means over models with intervals over models. Of one row, from a defence that looks at no
    model, the intervals are for the attacks at hand: of AUROC over honest requests, in the manner of Clopper and
    Pearson, which is exact without ties; of the share caught, theirs over the attacks.

    Args:
        attack: suspicion of each attack to each model; higher is more suspicious.
        honest: the same of honest ones, 100 or more.
        level: of the intervals.

    Raises:
        BadSetting: no attack, fewer than 100 honest ones, other models, or a suspicion that is not a number.

    Source: Mann and Whitney 1947, doi:10.1214/aoms/1177730491; Clopper and Pearson 1934, doi:10.1093/biomet/26.4.404.

    >>> honest = np.arange(200.0)[None]
    >>> detection(np.array([[196.5, 197.5]]), honest).tpr.value, detection(np.ones((2, 1)), np.ones((2, 100))).tpr.value
    (0.5, 0.0)
    """
    _require(attack, honest)
    wins = np.stack([_wins(*rows) for rows in zip(attack, honest, strict=True)])
    caught = attack > threshold(honest)[:, None]
    if len(attack) == 1:
        return Detection(_share(wins[0], level), _share(caught[0].astype(np.float64), level))
    means = (mean_over_models(values.mean(axis=1), (0.0, 1.0), level=level) for values in (wins, caught))
    return Detection(*means)


def record_detection(
    records: Float[ndarray, "models train"], attacked: Int[ndarray, " attacked"], level: float = 0.95
) -> Detection:
    """:func:`detection` of the ``attacked`` training records among all others, each by itself.

    Raises:
        BadSetting: as there, and for numbers that name no record.
    """
    train = records.shape[1]
    if len(attacked) and (attacked.min() < 0 or attacked.max() >= train):
        raise BadSetting(f"expected numbers of records 0 to {train - 1}, got {attacked.min()} to {attacked.max()}")
    others = np.setdiff1d(np.arange(train), attacked)
    return detection(records[:, np.unique(attacked)], records[:, others], level)


def threshold(honest: Float[ndarray, "models honest"]) -> Float[ndarray, " models"]:
    """The lowest honest suspicion of each model that at most 1 % of the honest ones lie strictly above."""
    allowed = honest.shape[1] // HONEST
    found: ndarray = np.sort(honest, axis=1)[:, -1 - allowed]
    return found


def _wins(attack: Float[ndarray, " attacks"], honest: Float[ndarray, " honest"]) -> Float[ndarray, " honest"]:
    """Of each honest one the share of attacks that are more suspicious, ties one half."""
    ordered = np.sort(attack)
    below, up_to = (np.searchsorted(ordered, honest, side=side) for side in ("left", "right"))
    wins: ndarray = 1 - (below + up_to) / (2 * len(attack))
    return wins


def _share(values: Float[ndarray, " n"], level: float) -> Estimate:
    """The mean of numbers between 0 and 1 with the interval that Clopper and Pearson give to a share of that size.

    A sum of such numbers spreads no more than that of as many yes and no with the same mean.
    """
    count, tail, some = len(values), (1 - level) / 2, float(values.sum())
    low = float(betaincinv(some, count - some + 1, tail)) if some > 0 else 0.0
    high = float(betaincinv(some + 1, count - some, 1 - tail)) if some < count else 1.0
    return Estimate(some / count, low, high)


def _require(attack: Float[ndarray, "models attacks"], honest: Float[ndarray, "_models honest"]) -> None:
    if len(attack) != len(honest) or not attack.size:
        raise BadSetting(
            f"expected suspicions of at least 1 attack by the models that judge the honest, got {attack.shape} of "
            f"attacks and {honest.shape} of honest ones"
        )
    if honest.shape[1] < HONEST:
        raise BadSetting(
            f"expected {HONEST} honest ones or more, for 1 % of false alarms cannot be told from fewer, got "
            f"{honest.shape[1]}; add honest requests"
        )
    if np.isnan(attack).any() or np.isnan(honest).any():
        raise BadSetting("expected suspicions that are numbers, got NaN; leave out models that have diverged")
