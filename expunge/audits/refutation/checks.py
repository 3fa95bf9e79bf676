"""What a certificate stands on and can be looked up: norms of weights, buffers that no noise covers, noise by tensor.

Each check gives its fault in a line, "" where there is none. Those that are tests by chance err at ``1 - level``.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.special import chdtr, chdtrc
from scipy.stats import ks_2samp

from expunge.errors import MismatchedEnsembles
from expunge.metrics.calibration import holm
from expunge.metrics.over_models import gap

CHECK_LEVEL = 0.9999  # of each check by chance: all those of a page together hardly add to its 5 % of false alarms
ROUNDING = 1e-5  # by which a norm may pass the radius: of sums of many float32


def outside_ball(norms: Float[ndarray, " models"], radius: float, numbers: Sequence[int]) -> str:
    """Whether weights that are carried on lie on the ball of ``radius``: a projection that was left out shows here."""
    far = np.flatnonzero(~(norms <= radius * (1 + ROUNDING)))
    if not len(far):
        return ""
    worst = far[np.argmax(norms[far])]
    return (
        f"the weights of {len(far)} of {len(norms)} models lie outside the ball of radius {radius:.6g}, farthest model "
        f"{numbers[worst]} with a norm of {norms[worst]:.6g}: no bound holds that stands on it"
    )


def kept_in_buffers(
    released: Mapping[str, ndarray], reference: Mapping[str, ndarray], level: float = CHECK_LEVEL
) -> str:
    """Whether buffers tell the arms apart: no noise covers them, so what they keep of a forget set is released.

    Both map names to ``(models, ...)``. Each of their numbers is compared by the two-sample test of Kolmogorov and
    Smirnov over models, exact, and Holm's correction goes over all of them; one that is the same in all models of an
    arm, as a count of batches is, must then be the same in the other.
    """
    names = {name: values.shape[1:] for name, values in released.items()}
    if names != {name: values.shape[1:] for name, values in reference.items()}:
        raise MismatchedEnsembles(f"expected the same buffers in both arms, got {list(released)} and {list(reference)}")
    p_values, owners = list[float](), list[str]()
    for name, values in released.items():
        rows = [each.reshape(len(each), -1).astype(np.float64) for each in (values, reference[name])]
        p_values += [_two_sample(one, other) for one, other in zip(rows[0].T, rows[1].T, strict=True)]
        owners += [name] * rows[0].shape[1]
    told = [owner for owner, p in zip(owners, holm(p_values), strict=True) if p <= 1 - level]
    if not told:
        return ""
    worst = max(dict.fromkeys(told), key=told.count)
    return (
        f"{len(told)} of {len(owners)} numbers in buffers are not those of models that never saw the forget set, most "
        f"in {worst!r}: no noise covers them"
    )


def beyond_shift(
    fit: tuple[ndarray, ndarray], held_out: tuple[ndarray, ndarray], shift: float, level: float = CHECK_LEVEL
) -> str:
    """Whether the weights before the noise lie farther apart, in the mean, than the shift that is claimed to be hidden.

    A theorem that bounds ``||w~ - w~*||`` by the shift, for weights of both arms however they are coupled, bounds the
    distance of their means too (Jensen). ``fit``, the weights ``(models, weights)`` of both arms, gives the direction
    between the means, ``held_out`` how far they lie apart along it, at least, by Welch's interval. It needs no noise,
    so constants that were assumed too small show here long before epsilon does.
    """
    apart = fit[0].mean(axis=0) - fit[1].mean(axis=0)
    length = float(np.linalg.norm(apart))
    if length == 0:
        return ""
    along = [rows @ (apart / length) for rows in held_out]
    least = gap(along[0], along[1], level=2 * level - 1).low  # one-sided
    if least <= shift * (1 + ROUNDING):
        return ""
    return (
        f"before the noise the arms lie at least {least:.6g} apart in the mean, and {shift:.6g} is what the noise is "
        "to hide: a constant of the theorem is not what it was taken to be, or a condition is false"
    )


def _two_sample(one: Float[ndarray, " models"], other: Float[ndarray, " references"]) -> float:
    if one.min() == one.max() == other.min() == other.max():
        return 1.0
    return float(ks_2samp(one, other, method="exact").pvalue)


def lacking_noise(
    noise: Mapping[str, Float[ndarray, "models ..."]], sigma: Float[ndarray, " models"], level: float = CHECK_LEVEL
) -> str:
    """Whether the noise of each tensor, released weights less those before, is as large as ``sigma``, one a model.

    ``sum (noise / sigma)^2`` over models and weights is chi-squared of as many degrees of freedom; two-sided, and
    Holm's correction goes over the tensors. Who sees the weights before the noise, as a certifier does, sees so a
    tensor that was left out, which the models that are released need not show.
    """
    p_values, ratios = [], {}
    for name, values in noise.items():
        scaled = values.reshape(len(values), -1).astype(np.float64) / sigma[:, None]
        squares, freedom = float(np.square(scaled).sum()), scaled.size
        p_values.append(min(1.0, 2 * min(chdtr(freedom, squares), chdtrc(freedom, squares))))
        ratios[name] = (squares / freedom) ** 0.5
    wrong = [name for name, p in zip(ratios, holm(p_values), strict=True) if p <= 1 - level]
    if not wrong:
        return ""
    worst = min(wrong, key=lambda name: ratios[name])
    told = f"{len(wrong)} of {len(ratios)} tensors"
    return f"the noise of {told} is not that of the claim: {worst!r} has {ratios[worst]:.4g} times its sigma"
