"""KLoM as three public codes compute it, quirks and NaN included: for published numbers only, never to score with."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from expunge.errors import lookup
from expunge.metrics.comparable import require_same_examples

FLOOR, CLIP = 1e-5, 100.0


def klom_reference(
    unlearned: Float[ndarray, "models examples"],
    oracle: Float[ndarray, "oracles _examples"],
    *,
    variant: str = "easydub",
) -> Float[ndarray, " examples"]:
    """KL(unlearned || oracle) of the margins of each example, in nats, as a public code returns it; lower is better.

    ``sum p log(p / q)`` over equal-width bins from the joint minimum to the joint maximum; each bin is open at its
    right edge, so the largest margin of an example counts nowhere. Oracles against held-out oracles get a mean of
    about 0.33 and a 95th percentile of 0.65 with 100 models each (0.32 and 0.62 in ``dmm``).

    ======================  =====================================================================================
    variant                 what it does
    ======================  =====================================================================================
    easydub                 20 bins; both sides clipped to 100; q at least 1e-5 where p > 0, not renormalised
    data-unlearning-bench   the same, then q is renormalised; NaN where easydub counts no unlearned margin at all
    dmm                     19 bins; only ``unlearned`` clipped; q at least 1e-5 in every bin, both renormalised; NaN
                            where all margins are equal
    ======================  =====================================================================================

    A constant above every oracle, infinity in all models or NaN in one is a perfect 0.0 in ``easydub``.
    :func:`~expunge.metrics.klom.klom` closes the right edge and refuses margins that are not finite.

    Args:
        unlearned: margins, one row per unlearned model; NaN and infinity pass.
        oracle: the same for models retrained without the forget set, the same examples.
        variant: whose code to repeat.

    Returns:
        One value per example, float64; NaN where the code returns NaN.

    Source: easydub/EasyDUB-code 5de3c4c and RoyRin/data-unlearning-bench eb261f9 and its branch working-draft,
    written anew from what they do.

    >>> klom_reference(np.full((9, 1), 5.0), np.zeros((9, 1)))  # nothing could be farther off
    array([0.])
    >>> klom_reference(np.full((9, 1), 5.0), np.zeros((9, 1)), variant="data-unlearning-bench")
    array([nan])
    """
    divergence = lookup("variant of KLoM", variant, _VARIANTS)
    require_same_examples(unlearned, oracle)
    with np.errstate(invalid="ignore", divide="ignore"):  # NaN is part of the published behaviour
        return divergence(unlearned.astype(np.float64), oracle.astype(np.float64))


def _easydub(unlearned: ndarray, oracle: ndarray) -> ndarray:
    p, q = _masses(unlearned, oracle)
    return _divergence(p, q)


def _data_unlearning_bench(unlearned: ndarray, oracle: ndarray) -> ndarray:
    p, q = _masses(unlearned, oracle)
    divergence = _divergence(p, q / q.sum(axis=0))
    return np.where(p.sum(axis=0) > 0, divergence, np.nan)


def _dmm(unlearned: ndarray, oracle: ndarray) -> ndarray:
    p = unlearned.clip(-CLIP, CLIP)
    edges = _edges(p, oracle, bins=19, mend=False)
    p_count, q_count = _counts(p, edges), _counts(oracle, edges)
    # the code counts the values left of the first edge too: never any, but the floor puts oracle mass there
    q = np.vstack([np.zeros((1, p.shape[1])), q_count / q_count.sum(axis=0)]).clip(FLOOR)
    return _divergence(p_count / p_count.sum(axis=0), (q / q.sum(axis=0))[1:])


_VARIANTS: dict[str, Callable[[ndarray, ndarray], ndarray]] = {
    "easydub": _easydub,
    "data-unlearning-bench": _data_unlearning_bench,
    "dmm": _dmm,
}


def _masses(unlearned: ndarray, oracle: ndarray) -> tuple[ndarray, ndarray]:
    """Shares of both in 20 bins, (bins, examples); all 0 where nothing is counted; q floored where p > 0."""
    p, q = unlearned.clip(-CLIP, CLIP), oracle.clip(-CLIP, CLIP)
    edges = _edges(p, q, bins=20, mend=True)
    p, q = (counts / np.maximum(counts.sum(axis=0), 1) for counts in (_counts(p, edges), _counts(q, edges)))
    return p, np.where(p > 0, np.maximum(q, FLOOR), q)


def _edges(p: ndarray, q: ndarray, *, bins: int, mend: bool) -> Float[ndarray, "edges examples"]:
    low = np.minimum(p.min(axis=0), q.min(axis=0))
    high = np.maximum(p.max(axis=0), q.max(axis=0))
    # of equal margins: one code widens the range; the other counts nothing at all, as with edges of NaN
    high = np.where(low >= high, low + 1 if mend else np.nan, high)
    edges: ndarray = np.linspace(low, high, bins + 1)
    return edges


def _counts(values: ndarray, edges: ndarray) -> Int[ndarray, "bins examples"]:
    """How many values lie in each half-open bin; those at the last edge, and NaN, in none."""
    reached = np.stack([(values >= edge).sum(axis=0) for edge in edges])
    counts: ndarray = reached[:-1] - reached[1:]
    return counts


def _divergence(p: ndarray, q: ndarray) -> ndarray:
    divergence: ndarray = np.where(p != 0, p * np.log(p / q), 0.0).sum(axis=0)  # NaN stays
    return divergence
