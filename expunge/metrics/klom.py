"""KLoM, the headline: how far the margins of unlearned models lie from those of oracles, example by example."""

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from expunge.ensembles.blocks import blocks
from expunge.ensembles.margins import all_finite, require_finite
from expunge.errors import BadMargins, BadSetting, MismatchedEnsembles
from expunge.metrics import _kernels


def klom(
    unlearned: Float[ndarray, "models examples"],
    oracle: Float[ndarray, "oracles _examples"],
    *,
    bins: int = 20,
    floor: float = 1e-5,
    clip: float = 100.0,
) -> Float[ndarray, " examples"]:
    """KL(unlearned || oracle) of the margins of each example, in nats; lower is better.

    ``sum over bins with p > 0 of p log(p / max(q, floor))``, where p and q are the shares of the unlearned models and
    of the oracles in equal-width bins from the joint minimum to the joint maximum, the right edge closed. Where all
    margins are equal it is 0. Nothing is renormalised, so it can lie below 0, by less than ``bins * floor``.

    Even the best method does not get 0: held-out oracles get about 0.35 on the mean example and 0.68 on the 95th
    percentile with 100 models against 100 oracles, more with fewer. The largest value is ``-log(floor)``, 11.5129.

    Args:
        unlearned: margins ``log p_y - log(1 - p_y)``, one row per unlearned model; finite.
        oracle: the same for models retrained without the forget set; any number of rows, the same examples.
        bins: number of bins, edges as of ``np.linspace(low, high, bins + 1)`` in float64.
        floor: least oracle share of a bin in which the unlearned ensemble has mass.
        clip: margins are first clipped to ``[-clip, clip]``.

    Returns:
        One value per example, float64.

    Source: Georgiev et al. 2024, arXiv:2410.23232. The public codes drop the largest margin of each example;
    :func:`~expunge.metrics.klom_reference.klom_reference` repeats them digit for digit, for published numbers only.

    >>> klom(np.zeros((100, 2)), np.zeros((50, 2)))
    array([0., 0.])
    >>> klom(np.array([[0.0], [1.0]]), np.array([[0.0], [0.0]])).round(4)  # 0.5 log 0.5 + 0.5 log(0.5 / 1e-5)
    array([5.0633])
    """
    require_same_examples(unlearned, oracle)
    _require_settings(bins, floor, clip)
    dtype = np.float32 if unlearned.dtype == oracle.dtype == np.float32 else np.float64
    models, oracles = len(unlearned), len(oracle)
    log_p = np.log(np.maximum(np.arange(models + 1), 1) / models)  # of an empty bin: any number, it counts 0 times
    log_q = np.log(np.maximum(np.arange(oracles + 1) / oracles, floor))
    out = np.empty(unlearned.shape[1])
    for columns, parts in blocks(unlearned, oracle):
        if not all(map(all_finite, parts)):
            require_comparable(unlearned, oracle)  # names the models, of all blocks
        p, q = (_kernels.frozen(part.astype(dtype, copy=False)) for part in parts)
        _fill(out[columns], p, q, bins, clip, log_p, log_q)
    return out


def _fill(out: ndarray, p: ndarray, q: ndarray, bins: int, clip: float, log_p: ndarray, log_q: ndarray) -> None:
    def run(start: int, stop: int) -> None:
        _kernels.klom_block(p, q, start, stop, bins, clip, log_p, log_q, out)

    _kernels.over_blocks(run, out.size, p.size + q.size)


def require_comparable(unlearned: ndarray, oracle: ndarray) -> None:
    """Refuse margins that cannot be compared: no matrix, no model, other examples, or not finite."""
    require_same_examples(unlearned, oracle)
    require_finite(unlearned, "unlearned")
    require_finite(oracle, "oracle")


def require_same_examples(unlearned: ndarray, oracle: ndarray) -> None:
    """Refuse what is no matrix of at least one model, and two matrices of different examples."""
    for values, what in ((unlearned, "unlearned"), (oracle, "oracle")):
        require_matrix(values, what)
    if unlearned.shape[1] != oracle.shape[1]:
        raise MismatchedEnsembles(
            f"expected margins of the same examples, got {unlearned.shape[1]} unlearned and {oracle.shape[1]} oracle; "
            "select the same columns of both"
        )


def require_matrix(values: object, what: str) -> None:
    """Refuse what is no array of real numbers, models by examples, of at least one model."""
    if not isinstance(values, ndarray):
        raise BadMargins(
            f"{what}: expected a NumPy array (models, examples), got {type(values).__name__}; give "
            "np.asarray(margins), of a tensor margins.detach().cpu().numpy()"
        )
    if values.ndim != 2 or len(values) == 0:
        raise BadMargins(f"{what}: expected (models, examples) of 1 model or more, got shape {values.shape}")
    if values.dtype.kind not in "fiub":
        raise BadMargins(f"{what}: expected margins that are real numbers, got {values.dtype}")


def _require_settings(bins: int, floor: float, clip: float) -> None:
    if bins < 1:
        raise BadSetting(f"expected bins of at least 1, got {bins}")
    if not 0 < floor < 1:
        raise BadSetting(f"expected a floor between 0 and 1, both excluded, got {floor}")
    if not 0 < clip < np.inf:
        raise BadSetting(f"expected a finite clip above 0, got {clip}")
