"""The noise of a release, drawn ten million times along a known shift: too little of it shows, without any retraining.

Models alone cannot see it. Noise too small by the square root of 2 turns a claim of (1, 1e-5) by the analytic formula
into a truth of 1.465; 100 held-out models a side refute a claim of 1 from a truth of 7.6 on, 1,000 from 3.7 on, and
1.465 takes some 400,000: of the event that tells most, ``p - e q`` is 8e-4 where 1e-5 is allowed, and the counts of
fewer models scatter more than that. But where what is noised lies a known shift apart, all that differs from model to
model is the noise, and that costs nothing to draw anew.

The released arm is ``shift + noise``, that of reference ``noise``, each with draws of its own, out of the sampler that
the release uses. The events are "above t". If the noise is Gaussian and f times too small, the best t is where the
likelihood ratio is ``e^epsilon``: ``t = s (epsilon / r + r / 2)`` with ``s = sigma / f`` and ``r = shift / s``. Nobody
knows f, so t is taken for each of a few f, before any draw, and Bonferroni's correction divides by their number. At the
f of 1 nothing is to be found: there the event says exactly delta.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.special import chdtri, ndtr, ndtri

from expunge.audits.epsilon import LEVEL, Counts, cap, lower_bound, p_value, require_privacy
from expunge.audits.refutation.power import POWER
from expunge.certificates.theorems.gaussian import epsilon_of
from expunge.errors import BadSetting, MethodFailed
from expunge.records import Setting

Draw = Callable[[int], Float[ndarray, " draws"]]  # so many numbers of noise along the shift, as a release has them
Sampler = Callable[[float], Draw]  # of a standard deviation that is asked of the release

DRAWS = 10_000_000
CHUNK = 1_000_000  # drawn at once
FACTORS = (1.1, 1.2, math.sqrt(2), 2.0, 4.0, 64.0)  # by which noise may be too small, one threshold for each


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """How often noise went beyond thresholds that were fixed before, with a shift and without.

    ``sigma`` and ``shift`` are those that are claimed; ``sigma_low`` and ``sigma_high`` hold the standard deviation
    that was drawn, with confidence ``level``, as of a Gaussian.
    """

    counts: tuple[Counts, ...]  # one for each of FACTORS
    sigma: float
    shift: float
    delta: float
    level: float
    sigma_low: float
    sigma_high: float

    @property
    def value(self) -> float:
        """Epsilon at least, with confidence ``level``; 0 refutes nothing."""
        return max(lower_bound(each, self.delta, _shared(self.level)) for each in self.counts)

    def p_value(self, epsilon: float) -> float:
        """Of the claim (``epsilon``, ``delta``), corrected for the number of thresholds."""
        return min(1.0, len(self.counts) * min(p_value(each, epsilon, self.delta) for each in self.counts))

    def cap(self, level: float) -> float:
        """The largest bound that so many draws can give."""
        return cap(self.counts[0].models, self.counts[0].references, self.delta, _shared(level))

    def power(self, epsilon: float, level: float) -> float | None:
        """The least true epsilon at which the claim falls in 80 of 100 cases: that of the least factor that shows."""
        factor = least_factor(epsilon, self.delta, self.shift / self.sigma, self.counts[0].models, level=level)
        return None if factor is None else epsilon_of(factor * self.shift / self.sigma, self.delta)

    def facts(self) -> dict[str, Setting]:
        """What it rests on."""
        return {
            **{"sigma": self.sigma, "shift": self.shift, "draws": self.counts[0].models},
            **{"sigma_low": self.sigma_low, "sigma_high": self.sigma_high},
        }

    def seen(self) -> str:
        """What was counted, in words."""
        best = max(self.counts, key=lambda each: lower_bound(each, self.delta, _shared(self.level)))
        return (
            f"noise of a standard deviation of {self.sigma_low:.4g} to {self.sigma_high:.4g}, {self.sigma:.4g} was "
            f"claimed, beyond a threshold in {best.hits:,} of {best.models:,} draws with the shift of {self.shift:.4g} "
            f"and in {best.alarms:,} without"
        )


def draw_noise(
    draw: Draw, *, sigma: float, shift: float, epsilon: float, delta: float, draws: int = DRAWS, level: float = LEVEL
) -> Drawn:
    """Draw the noise of a release, ``draws`` times for either arm, in chunks, so that memory stays small.

    ``sigma`` is the noise that is claimed to hide ``shift`` at (``epsilon``, ``delta``); it says where thresholds lie
    and is not believed. Raises MethodFailed where the noise is not finite.
    """
    require_privacy(epsilon, delta)
    for name, value in (("sigma", sigma), ("shift", shift)):
        if not 0 < value < math.inf:
            raise BadSetting(f"expected a finite {name} above 0, got {value}")
    if draws < 2:
        raise BadSetting(f"expected at least 2 draws, got {draws}")
    thresholds = np.array([threshold(factor, epsilon, shift, sigma) for factor in FACTORS])
    tallies = [_tally(draw, draws, thresholds - moved) for moved in (shift, 0.0)]
    counts = [
        Counts(int(hits), draws, int(alarms), draws)
        for hits, alarms in zip(tallies[0].over, tallies[1].over, strict=True)
    ]
    low, high = _spread([each.squares for each in tallies], draws, level)
    return Drawn(
        counts=tuple(counts), sigma=sigma, shift=shift, delta=delta, level=level, sigma_low=low, sigma_high=high
    )


def threshold(factor: float, epsilon: float, shift: float, sigma: float) -> float:
    """Where an event is to begin that tells best of noise that is ``factor`` times too small; see above.

    >>> threshold(1.0, 1.0, 2.0, 2.0)
    3.0
    """
    real = sigma / factor
    return real * (epsilon * real / shift + shift / real / 2)


@dataclass(frozen=True)
class _Tally:
    over: ndarray  # how often each threshold was passed
    squares: float  # the sum of squares about the mean


def _tally(draw: Draw, draws: int, thresholds: Float[ndarray, " thresholds"]) -> _Tally:
    over, total, squares, left = np.zeros(len(thresholds), np.int64), 0.0, 0.0, draws
    while left:
        noise = draw(min(left, CHUNK))
        if len(noise) != min(left, CHUNK) or not np.isfinite(noise).all():
            raise MethodFailed("the release drew noise that is not finite, or not as much as was asked of it")
        over += [np.count_nonzero(noise > each) for each in thresholds]
        total, squares = total + float(noise.sum()), squares + float(np.square(noise).sum())
        left -= len(noise)
    return _Tally(over, max(squares - total**2 / draws, 0.0))


def _spread(squares: list[float], draws: int, level: float) -> tuple[float, float]:
    """The interval of the standard deviation of a Gaussian, by chi-squared, of both arms together."""
    freedom, tail = 2 * (draws - 1), (1 - level) / 2
    return tuple(math.sqrt(sum(squares) / float(chdtri(freedom, side))) for side in (tail, 1 - tail))  # type: ignore[return-value]


def least_factor(
    epsilon: float, delta: float, ratio: float, draws: int = DRAWS, *, level: float = LEVEL, power: float = POWER
) -> float | None:
    """The least factor by which noise can be too small and is refuted with chance ``power``; None where none is.

    ``ratio`` is shift / sigma, as it is claimed.

    >>> round(least_factor(1.0, 1e-5, 1 / 3.7306), 2)
    1.18
    """
    shows = partial(_shows, epsilon=epsilon, delta=delta, ratio=ratio, draws=draws, level=_shared(level), power=power)
    low, high = 1.0, 1e3
    if not shows(high):
        return None
    while high / low > 1 + 1e-5:
        middle = math.sqrt(low * high)
        low, high = (low, middle) if shows(middle) else (middle, high)
    return high


def _shows(
    factor: float, *, epsilon: float, delta: float, ratio: float, draws: int, level: float, power: float
) -> bool:
    """Whether noise so much too small is refuted at one of the thresholds, with chance ``power``.

    Rates of many draws are Gaussian, and what is to be above 0 is about ``p - delta - e^epsilon q``: so the bound is
    taken where this lies as low as it does in ``1 - power`` of cases, at the likeliest rates there.
    """
    below = float(ndtri(power))
    for aimed in FACTORS:
        place = threshold(aimed, epsilon, ratio, 1.0) * factor
        p, q = float(ndtr(factor * ratio - place)), float(ndtr(-place))
        parts = p * (1 - p) / draws, math.exp(epsilon) * q * (1 - q) / draws
        error = math.sqrt(parts[0] + math.exp(epsilon) * parts[1])
        p, q = (p - below * parts[0] / error, q + below * parts[1] / error) if error else (p, q)
        counts = Counts(int(max(p, 0.0) * draws), draws, math.ceil(min(q, 1.0) * draws), draws)
        if lower_bound(counts, delta, level) > epsilon:
            return True
    return False


def _shared(level: float) -> float:
    """The confidence of the bound at one threshold, so that all hold together."""
    return 1 - (1 - level) / len(FACTORS)
