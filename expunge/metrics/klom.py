"""KLoM, the headline: how far the margins of unlearned models lie from those of oracles, example by example."""

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from expunge.ensembles.mapped_arrays import blocks
from expunge.ensembles.margins import all_finite
from expunge.errors import BadSetting
from expunge.metrics import _kernels
from expunge.metrics._compiled import frozen, over_blocks
from expunge.metrics.blockwise import ByExample
from expunge.metrics.comparable import require_comparable, require_same_examples
from expunge.metrics.dealing import estimate_by_dealing
from expunge.metrics.metric import Metric, Scored
from expunge.metrics.row import Reference, Row
from expunge.records import SPLITS

FLOOR = 1e-5  # least oracle share of a bin in which the unlearned ensemble has mass
CEILING = -float(np.log(FLOOR))  # the largest value: 11.5129 nats
SATURATED = CEILING - float(np.log(20))  # nats, of 20 bins: what ensembles that share no bin get at least
AGGREGATES = ("p95", "mean")


def klom(
    unlearned: Float[ndarray, "models examples"],
    oracle: Float[ndarray, "oracles _examples"],
    *,
    bins: int = 20,
    floor: float = FLOOR,
    clip: float = 100.0,
) -> Float[ndarray, " examples"]:
    """KL(unlearned || oracle) of the margins of each example, in nats; lower is better.

    ``sum over bins with p > 0 of p log(p / max(q, floor))``, where p and q are the shares of the unlearned models and
    of the oracles in equal-width bins from the joint minimum to the joint maximum, the right edge closed. Where all
    margins are equal it is 0. Nothing is renormalised, so it can lie below 0, by less than ``bins * floor``.

    Even the best method does not get 0: held-out oracles get about 0.35 on the mean example and 0.68 on the 95th
    percentile with 100 models against 100 oracles, more with fewer. The largest value is ``-log(floor)``, 11.5129.
    Where the two ensembles share no bin it is that less the entropy of the unlearned models' own histogram: it lies at
    8.517 or above, and says how wide they spread, no longer how far they are; the distance
    (:func:`~expunge.metrics.wasserstein.wasserstein`) does.

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
        p, q = (frozen(part.astype(dtype, copy=False)) for part in parts)
        _fill(out[columns], p, q, bins, clip, log_p, log_q)
    return out


def _fill(out: ndarray, p: ndarray, q: ndarray, bins: int, clip: float, log_p: ndarray, log_q: ndarray) -> None:
    def run(start: int, stop: int) -> None:
        _kernels.klom_block(p, q, start, stop, bins, clip, log_p, log_q, out)

    over_blocks(run, out.size, p.size + q.size)


def _require_settings(bins: int, floor: float, clip: float) -> None:
    if bins < 1:
        raise BadSetting(f"expected bins of at least 1, got {bins}")
    if not 0 < floor < 1:
        raise BadSetting(f"expected a floor between 0 and 1, both excluded, got {floor}")
    if not 0 < clip < np.inf:
        raise BadSetting(f"expected a finite clip above 0, got {clip}")


def klom_scores(row: Row, reference: Reference) -> Scored:
    """KLoM of each split: its 95th percentile over examples, the headline, and its mean; nats, lower is better."""
    columns, margins = row.columns, (row.margins.values, reference.oracle.values)
    require_comparable(*margins)

    def summary(values: ndarray) -> ndarray:
        parts = [values[columns[split]] for split in SPLITS]
        return np.array([number for part in parts for number in (np.percentile(part, 95), part.mean())])

    estimates = iter(estimate_by_dealing(ByExample(klom, summary), *margins, bounds=(0.0, CEILING)))
    scores = [
        row.score(split, "klom", aggregate, next(estimates), reference, module=__name__)
        for split in SPLITS
        for aggregate in AGGREGATES
    ]
    return Scored(scores, klom(*margins))


METRIC = Metric(
    function=klom,
    scores=klom_scores,
    aggregates=AGGREGATES,
    unit="nats",
    better="lower",
    oracle="the row `oracle`; p95 about 0.68 at N = 100",
    source="arXiv:2410.23232",
    every_epoch=True,
    every_split=True,
    kept_as="klom",
)
