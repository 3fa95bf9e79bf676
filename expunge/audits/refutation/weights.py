"""Statistics of weights: where the noise was added, and so where a shift that it should hide is seen best."""

from expunge.audits.refutation.arms import Arms
from expunge.audits.refutation.statistic import Statistic, along, fisher, shrunk_floor, spread_within


def along_shift(fit: Arms, sigma: float) -> list[Statistic]:
    """Weights along the shift between the arms, plain and by likelihood ratios.

    The shift is the difference of the mean weights before the noise, where they are known: then it is free of noise,
    and no direction is stronger where the arms spread less than the noise does. Where training spreads them more,
    Fisher's is, with their own covariance plus ``sigma^2 I``; where noise is missing, Fisher's of the covariance alone.
    """
    known = "unnoised" in fit.known
    released, reference = (arm.read("unnoised" if known else "weights") for arm in fit.both)
    shift, within = released.mean(axis=0) - reference.mean(axis=0), spread_within(released, reference)
    directions = {"weights along the shift": shift}
    if known and sigma > 0:
        directions["likelihood ratio of weights"] = fisher(shift, within, sigma**2)
    directions["likelihood ratio of weights as they spread"] = fisher(shift, within, shrunk_floor(within))
    return [along(name, "weights", direction) for name, direction in directions.items() if direction.any()]
