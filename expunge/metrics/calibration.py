"""Intervals and comparisons: a delete-a-group jackknife over models, for any statistic of two ensembles.

The models are what is random: the examples stay, and the interval is for the mean of the same statistic over fresh
ensembles of the same sizes. Resampling models with replacement will not do: repeated models empty the bins of KLoM
and double its floor, and the interval then misses every time. Nor will pseudo-values, which shift the centre: the
observed number is already unbiased for its own mean.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from scipy.special import stdtr, stdtrit  # not scipy.stats, which takes half a second to import

from expunge.errors import MismatchedEnsembles, TooFewModels
from expunge.metrics.blockwise import Statistic, numbers_of

GROUPS = 20

INFLATION = 1.4  # of dealt intervals: measured, see tests/metrics/test_calibration.py

Rows = ndarray | slice
Spread = tuple[ndarray, int]  # the variance of each number, and its degrees of freedom
LeftOutPart = tuple[ndarray, ndarray]  # numbers without each group of models, and the group of each model


@dataclass(frozen=True)
class Estimate:
    """A number and its interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Difference:
    """How much one number lies above another, or above 0, its interval, and the two-sided p-value of no difference."""

    value: float
    low: float
    high: float
    p_value: float


def estimate(
    statistic: Statistic,
    unlearned: Float[ndarray, "models examples"],
    oracle: Float[ndarray, "oracles _examples"],
    *,
    groups: int = GROUPS,
    level: float = 0.95,
    bounds: tuple[float, float] = (-np.inf, np.inf),
) -> list[Estimate]:
    """The plain jackknife; KLoM takes :func:`estimate_by_dealing`, which is narrower.

    Each number of ``statistic(unlearned, oracle)``, with an interval for its mean over fresh ensembles:
    ``value +- t sqrt(V_unlearned + V_oracle)``, with ``V = (G - 1) / G sum over g of (s_g - mean s)^2``, where s_g is
    the statistic without the g-th of G groups of models; t has Satterthwaite's degrees of freedom. Unit and direction
    are the statistic's. Groups are models g, g + G, g + 2 G, ...; with fewer models than groups each is a group.

    Measured with 100 against 100 models, in 1,000 runs each, at shifts of 0, 1 and 3 standard deviations: the interval
    of KLoM's 95th percentile covers in 99.9 % of random halvings of real oracles, and in 95.7 to 100 % of simulated
    runs (normal, t3 and bimodal margins that share 0, 5 or 30 % of their variance through the model). It is wider than
    need be, by a factor of 2.2 to 2.9 on real oracles and 1.2 to 3.2 on simulated ones, most where examples share
    little. It covers too little, 80 to 90 %, where heavy tails shared by all examples meet a shift of 3, so that one
    outlying model decides on the number; and below 10 models, where a percentile of KLoM takes a few values only.

    Args:
        statistic: a function of two ensembles' margins that returns a vector; so one call can serve many aggregates.
            As a :class:`ByExample` it works block by block on margins that are larger than the memory.
        unlearned: margins, one row per model, 2 or more.
        oracle: the same of the oracles; 2 or more, not necessarily as many.
        groups: into how many groups the models of each ensemble are split, at most.
        level: of the interval.
        bounds: what the statistic cannot leave, such as ``(0, 1)`` of a share; the interval is cut there.

    Returns:
        One estimate per number of the statistic.

    Source: Efron and Stein 1981, doi:10.1214/aos/1176345462; unequal groups: Busing, Meijer and van der Leeden 1999,
    doi:10.1023/A:1008800423698.

    >>> after, oracle = np.array([[1.0], [3.0]]), np.array([[0.0], [0.0]])
    >>> estimate(lambda u, o: u.mean(axis=0) - o.mean(axis=0), after, oracle)
    [Estimate(value=2.0, low=-10.706204736174694, high=14.706204736174694)]
    """
    grouped = group_models(unlearned, oracle, groups)
    return jackknife(left_out_numbers(statistic, unlearned, oracle, grouped), grouped, level=level, bounds=bounds)


def estimate_by_dealing(
    statistic: Statistic,
    unlearned: Float[ndarray, "models examples"],
    oracle: Float[ndarray, "oracles _examples"],
    *,
    deals: int = 60,
    level: float = 0.95,
    bounds: tuple[float, float] = (-np.inf, np.inf),
) -> list[Estimate]:
    """As :func:`estimate`, for statistics whose mean depends on the number of models, as KLoM's does: narrower.

    ``value +- 1.4 t sd``, with sd that of the statistic over random deals: the margins of each example are brought to
    mean 0 and variance 1 in both ensembles, all models are pooled and dealt into two ensembles of the given sizes,
    without replacement, and each gets back its example's mean and variance. So no statistic is taken of fewer models
    than the one whose spread is wanted (which widens the jackknife two or three times near the floor), nor of models
    that occur twice (which doubles the floor of a bootstrap). What spread is lost because all deals share one pool,
    up to a fifth for margins like those of trained models, the factor 1.4 makes good. Student's t has ``deals - 1``
    degrees of freedom.

    Measured with 100 against 100 models at shifts of 0, 1 and 3: see ``benchmarks/README.md``. It covers too little, 60
    to 90 %, where one model in a hundred decides on the number (rare broken models among the oracles, heavy tails
    shared by all examples), and with 20 models a side at large shifts (75 to 90 %). It is wider than the jackknife
    where margins are far from normal (lognormal, t with 2 degrees of freedom).

    Args, returns: as in :func:`estimate`. Deterministic.

    Source: ours; the permutation of models as in the two-sample tests of :mod:`.distinguishable`.

    >>> after, oracle = np.random.default_rng(0).normal(size=(2, 100, 1))
    >>> [found] = estimate_by_dealing(lambda u, o: u.mean(axis=0) - o.mean(axis=0), after, oracle)
    >>> found.low < 0 < found.high
    True
    """
    _require_two(unlearned, oracle)
    value = numbers_of(statistic, unlearned, oracle, [lambda *pair: pair])[0]
    rng, models = np.random.default_rng(0), len(unlearned)
    orders = [np.split(rng.permutation(models + len(oracle)), [models]) for _ in range(deals)]
    versions = [partial(_dealt, orders=each) for each in orders]
    again = numbers_of(statistic, unlearned, oracle, versions, _pooled)
    half = INFLATION * stdtrit(deals - 1, (1 + level) / 2) * np.std(again, axis=0, ddof=1)
    # binned KLoM may lie below 0 by a rounding of its floor
    low, high = np.maximum(value - half, np.minimum(value, bounds[0])), value + half
    high = np.minimum(high, np.maximum(value, bounds[1]))
    return [Estimate(*map(float, each)) for each in zip(value, low, high, strict=True)]


def paired_difference(
    statistic: Statistic,
    first: Float[ndarray, "models examples"],
    second: Float[ndarray, "models _examples"],
    oracle: Float[ndarray, "oracles _examples"],
    *,
    groups: int = GROUPS,
    level: float = 0.95,
) -> list[Difference]:
    """``statistic(first, oracle) - statistic(second, oracle)`` of two methods that began from the same models.

    As :func:`estimate`, but a group of pretrained models is left out of both methods at once, so that what they share
    cancels. The p-value is two-sided, by Student's t; correct it with :func:`holm` when several are read. It is 1
    where there is no difference, and 0 where there is one that no left-out group changes.

    Args:
        statistic: as in :func:`estimate`.
        first: margins, row i from pretrained model i.
        second: the same of the other method, the same models in the same order.
        oracle: margins of the oracles both are compared with.
        groups: as in :func:`estimate`.
        level: of the interval.

    Returns:
        One difference per number of the statistic; negative where ``first`` has the smaller number.

    Source: as :func:`estimate`.

    >>> oracle = np.zeros((4, 1))
    >>> paired_difference(lambda u, o: u.mean(axis=0), oracle + 2, oracle + 3, oracle)
    [Difference(value=-1.0, low=-1.0, high=-1.0, p_value=0.0)]
    """
    if first.shape != second.shape:
        raise MismatchedEnsembles(f"expected two methods on the same models, got {first.shape} and {second.shape}")
    grouped = group_models(first, oracle, groups)
    one, other = (left_out_numbers(statistic, margins, oracle, grouped) for margins in (first, second))
    return difference_of(one, other, grouped, level=level)


def left_out_numbers(
    statistic: Statistic, unlearned: ndarray, oracle: ndarray, grouped: tuple[ndarray, ndarray]
) -> Float[ndarray, "versions numbers"]:
    """The numbers of the ensembles as they are, then without each group of models: what a jackknife is made of."""
    return numbers_of(statistic, unlearned, oracle, [partial(_kept, kept=each) for each in left_out(grouped)])


@dataclass(frozen=True, eq=False)
class LeftOut:
    """Numbers of an ensemble against oracles: of all, and without each group of its models, and of the oracles."""

    whole: Float[ndarray, " numbers"]
    without_models: Float[ndarray, "groups numbers"]
    without_oracles: Float[ndarray, "others numbers"]
    grouped: tuple[Int[ndarray, " models"], Int[ndarray, " oracles"]]  # the group of each model


def leave_out(statistic: Statistic, unlearned: ndarray, oracle: ndarray, *, groups: int = GROUPS) -> LeftOut:
    """What :func:`estimate_of` needs of one ensemble, for any function of its numbers and of others'."""
    grouped = group_models(unlearned, oracle, groups)
    numbers, first = left_out_numbers(statistic, unlearned, oracle, grouped), int(grouped[0].max()) + 2
    return LeftOut(numbers[0], numbers[1:first], numbers[first:], grouped)


def estimate_of(
    function: Callable[..., ndarray],
    ensembles: Sequence[LeftOut],
    *,
    pairs: Sequence[tuple[int, ...]] = (),
    besides: float | Float[ndarray, " numbers"] = 0.0,
    level: float = 0.95,
) -> list[Difference]:
    """Each number of ``function(numbers of the first, of the second, ...)``, of ensembles against the same oracles.

    The delete-a-group jackknife of :func:`estimate`: a group of oracles is left out of all at once, and a group of
    models of all ensembles in one of ``pairs``, which began from the same models, so that what they share cancels;
    other ensembles are independent. ``besides`` are standard errors that the jackknife does not see, and come on top in
    quadrature, as :func:`dealt_spread` of a distance near its floor. The p-value is of a number of 0, two-sided.

    >>> numbers = LeftOut(np.ones(1), np.ones((2, 1)), np.ones((2, 1)), (np.arange(2), np.arange(2)))
    >>> estimate_of(lambda one, other: one / other, [numbers, numbers], pairs=[(0, 1)])[0].value
    1.0
    """
    value, parts = left_out_of(function, ensembles, pairs)
    error, freedom = standard_error([spread(value, *part) for part in parts])
    return _differences(value, np.hypot(error, besides), freedom, level)


def dealt_spread(
    statistic: Statistic,
    held_out: Float[ndarray, "models examples"],
    oracle: Float[ndarray, "oracles _examples"],
    *,
    deals: int = 40,
) -> Float[ndarray, " numbers"]:
    """The standard deviation of each number at its floor: over deals of all oracles into two ensembles of their sizes.

    Near its floor a distance is the root of a sum of squares, one of which is its noise: where chance makes it small
    its slope is small too, and a jackknife, which sees slopes, makes its interval too narrow. Measured of 100 against
    100 models, examples that share 30 % of their variance: 91 % of the intervals held the truth, and 100 % with this on
    top; at 0.2 standard deviations from the oracles 86 to 90 %, and 89 to 92 %; from 0.5 on 93 % and more either way.

    Source: dealing models as in :func:`estimate_by_dealing`, of which this is the case where nothing need be
    standardised. Deterministic.

    >>> halves = np.random.default_rng(0).normal(size=(2, 50, 1))
    >>> dealt_spread(lambda u, o: u.mean(axis=0) - o.mean(axis=0), *halves).round(1)  # sqrt(1 / 50 + 1 / 50) = 0.2
    array([0.2])
    """
    _require_two(held_out, oracle)
    rng, models = np.random.default_rng(0), len(held_out)
    orders = [np.split(rng.permutation(models + len(oracle)), [models]) for _ in range(deals)]
    versions = [partial(_dealt_as_they_are, orders=each) for each in orders]
    found: ndarray = np.std(numbers_of(statistic, held_out, oracle, versions, _together), axis=0, ddof=1)
    return found


def _together(held_out: ndarray, oracle: ndarray) -> tuple[ndarray]:
    return (np.concatenate([held_out, oracle]),)


def _dealt_as_they_are(pool: ndarray, *, orders: list[ndarray]) -> tuple[ndarray, ndarray]:
    return pool[orders[0]], pool[orders[1]]


def left_out_of(
    function: Callable[..., ndarray], ensembles: Sequence[LeftOut], pairs: Sequence[tuple[int, ...]] = ()
) -> tuple[ndarray, list[LeftOutPart]]:
    """Numbers of ensembles as :func:`estimate_of` compares them; and those without each group, with the groups.

    One part for each of ``pairs``, then for each ensemble in none of them, at last for the oracles.
    """
    whole = [each.whole for each in ensembles]
    alone = [(number,) for number in range(len(ensembles)) if not any(number in pair for pair in pairs)]
    parts = []
    for members in [*pairs, *alone]:
        group = ensembles[members[0]].grouped[0]
        without = [
            function(*(each.without_models[k] if i in members else each.whole for i, each in enumerate(ensembles)))
            for k in range(int(group.max()) + 1)
        ]
        parts.append((np.array(without), group))
    group = ensembles[0].grouped[1]
    without = [function(*(each.without_oracles[k] for each in ensembles)) for k in range(int(group.max()) + 1)]
    return np.asarray(function(*whole)), [*parts, (np.array(without), group)]


def without_bias(value: ndarray, parts: Sequence[LeftOutPart]) -> ndarray:
    """``value`` less what of it goes with one over the number of models, which the jackknife estimates of each part.

    It is ``G value - sum over g of (1 - m_g / m) value_g`` for G groups of m_g of m models, one part's correction added
    to another's.

    Source: Quenouille 1956, doi:10.1093/biomet/43.3-4.353; unequal groups as in :func:`estimate`.

    >>> without_bias(np.ones(1), [(np.full((4, 1), 1.5), np.arange(4))])  # 1 + 3 (1 - 1.5)
    array([-0.5])
    """
    corrected: ndarray = value + sum(_centre(value, *part) - value for part in parts)
    return corrected


def difference_of(
    one: Float[ndarray, "versions numbers"],
    other: Float[ndarray, "versions numbers"],
    grouped: tuple[ndarray, ndarray],
    *,
    level: float = 0.95,
) -> list[Difference]:
    """:func:`paired_difference` of two methods, from the :func:`left_out_numbers` of each."""
    return _differences(*_errors(one - other, grouped), level)


def _differences(value: ndarray, error: ndarray, freedom: ndarray, level: float) -> list[Difference]:
    half = stdtrit(freedom, (1 + level) / 2) * error
    with np.errstate(divide="ignore", invalid="ignore"):  # an error of 0
        p: ndarray = np.where(value == 0, 1.0, 2 * stdtr(freedom, -np.abs(value) / error))
    return [Difference(*map(float, each)) for each in zip(value, value - half, value + half, p, strict=True)]


def holm(p_values: Sequence[float]) -> Float[ndarray, " tests"]:
    """P-values corrected for their number: calling those up to a risks a chance of a or less of any false call.

    ``max over j <= i of (n - j + 1) p_(j)``, at most 1, however dependent the tests; in the order given.

    Source: Holm 1979, Scandinavian Journal of Statistics 6, 65 to 70.

    >>> holm([0.01, 0.04, 0.03])
    array([0.03, 0.06, 0.06])
    """
    p = np.asarray(p_values, np.float64)
    order = np.argsort(p)
    adjusted = np.empty(p.size)
    adjusted[order] = np.maximum.accumulate(p[order] * np.arange(p.size, 0, -1)).clip(max=1)
    return adjusted


def group_models(
    unlearned: Float[ndarray, "models examples"], oracle: Float[ndarray, "oracles _examples"], groups: int = GROUPS
) -> tuple[ndarray, ndarray]:
    """The group of each model of both ensembles, at most ``groups`` of each; a group is left out at once."""
    _require_two(unlearned, oracle)
    return _groups(len(unlearned), groups), _groups(len(oracle), groups)


def left_out(grouped: tuple[ndarray, ndarray]) -> list[tuple[Rows, Rows]]:
    """Which rows of both ensembles stay: all, then all but each group of the first, then of the second."""
    everything = slice(None)
    first, second = ([group != number for number in range(int(group.max()) + 1)] for group in grouped)
    return [(everything, everything), *((keep, everything) for keep in first), *((everything, keep) for keep in second)]


def jackknife(
    numbers: Float[ndarray, "versions numbers"],
    grouped: tuple[ndarray, ndarray],
    *,
    level: float = 0.95,
    bounds: tuple[float, float] = (-np.inf, np.inf),
) -> list[Estimate]:
    """As :func:`estimate`, from the numbers of the ensembles as they are and :func:`left_out` of one group each."""
    value, error, freedom = _errors(numbers, grouped)
    half = stdtrit(freedom, (1 + level) / 2) * error
    low, high = (value - half).clip(*bounds), (value + half).clip(*bounds)
    return [Estimate(*map(float, each)) for each in zip(value, low, high, strict=True)]


def _kept(unlearned: ndarray, oracle: ndarray, *, kept: tuple[Rows, Rows]) -> tuple[ndarray, ndarray]:
    return unlearned[kept[0]], oracle[kept[1]]


def _pooled(unlearned: ndarray, oracle: ndarray) -> tuple[ndarray, ...]:
    """Margins of mean 0 and variance 1 in each example of both ensembles, pooled; then the means and the spreads."""
    means, spreads = zip(*((side.mean(axis=0), side.std(axis=0, ddof=1)) for side in (unlearned, oracle)), strict=True)
    pool = [
        (side - mean) / np.where(spread > 0, spread, 1)  # a constant example stays constant
        for side, mean, spread in zip((unlearned, oracle), means, spreads, strict=True)
    ]
    return np.concatenate(pool), *means, *spreads


def _dealt(pool: ndarray, *way_back: ndarray, orders: list[ndarray]) -> tuple[ndarray, ndarray]:
    """Two ensembles dealt from the pool, each with the means and spreads of one of those that are in it."""
    mean_first, mean_second, spread_first, spread_second = way_back
    first, second = (pool[order] for order in orders)
    return first * spread_first + mean_first, second * spread_second + mean_second


def _require_two(*ensembles: ndarray) -> None:
    for margins in ensembles:
        if len(margins) < 2:
            raise TooFewModels(f"expected 2 models or more for an interval, got {len(margins)}")


def _errors(numbers: ndarray, grouped: tuple[ndarray, ndarray]) -> tuple[ndarray, ndarray, ndarray]:
    """The numbers themselves, their standard errors, and the degrees of freedom."""
    value, without = numbers[0], np.split(numbers[1:], [int(grouped[0].max()) + 1])
    spreads = [spread(value, part, group) for part, group in zip(without, grouped, strict=True)]
    return value, *standard_error(spreads)


def spread(value: ndarray, without: ndarray, group: ndarray) -> Spread:
    """The jackknife variance of numbers, from those ``without`` each group of models; and its degrees of freedom."""
    share = _share(group)
    pseudo = share * value - (share - 1) * without
    variance: ndarray = ((pseudo - _centre(value, without, group)) ** 2 / (share - 1)).mean(axis=0)
    return variance, len(without) - 1


def _centre(value: ndarray, without: ndarray, group: ndarray) -> ndarray:
    centre: ndarray = len(without) * value - ((1 - 1 / _share(group)) * without).sum(axis=0)
    return centre


def _share(group: ndarray) -> ndarray:
    """Of all models to those left out; the same for equal groups."""
    share: ndarray = (len(group) / np.bincount(group))[:, None]
    return share


def _groups(models: int, groups: int) -> Int[ndarray, " models"]:
    return np.arange(models) % min(groups, models)


def standard_error(spreads: Sequence[Spread]) -> tuple[ndarray, ndarray]:
    """Of independent contributions; and Satterthwaite's degrees of freedom."""
    variance = sum((part for part, _ in spreads), np.zeros(1))
    fourth = sum((part**2 / freedom for part, freedom in spreads), np.zeros(1))
    freedom = np.divide(variance**2, fourth, out=np.ones_like(variance), where=fourth > 0)
    return np.sqrt(variance), freedom
