"""UA, RA, TA, MIA-efficacy, gaps and tug-of-war: each by hand, and intervals that cover."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy import ndarray
from scipy.stats import binom, ttest_ind
from sklearn.svm import SVC

import expunge as xp
from expunge.bench.score import reference_of, score_row
from expunge.ensembles import Plan, read_margins
from expunge.metrics.average_gap import average_gap
from expunge.metrics.calibration import Estimate
from expunge.metrics.classic import ra, ra_per_model, ta, ta_per_model, ua, ua_per_model
from expunge.metrics.mia_efficacy import (
    efficacy_per_model,
    mia_efficacy,
    mia_efficacy_published,
    published_per_model,
)
from expunge.metrics.modified_entropy import modified_entropy, modified_entropy_published
from expunge.metrics.over_models import distance, gap, mean_over_models, share_of_models
from expunge.metrics.row import PerModel, Row
from expunge.metrics.tow import tow
from expunge.records import Score
from expunge.suites import ForgetSet, Suite

RIGHT = np.array([[True, False, False, True, False], [True, True, True, True, False]])
PER_MODEL: dict[str, PerModel] = {
    "ua": ua_per_model,
    "ra": ra_per_model,
    "ta": ta_per_model,
    "mia-efficacy": efficacy_per_model,
    "mia-efficacy-published": published_per_model,
}
ACCURACIES, AVERAGED = ("ua", "ra", "ta"), ("ua", "mia-efficacy", "ra", "ta")
ORDERED = np.arange(100), np.arange(100, 150), np.arange(150, 170)  # retain, test, forget


def test_ua_is_the_share_that_is_wrong_and_ra_and_ta_that_is_right() -> None:
    np.testing.assert_allclose(ua(RIGHT), [0.6, 0.2])
    np.testing.assert_allclose(ra(RIGHT), [0.4, 0.8])
    np.testing.assert_allclose(ta(RIGHT), [0.4, 0.8])


def by_hand(margins: ndarray, members: ndarray, others: ndarray, forget: ndarray, *, standard: bool) -> float:
    """The attack on one model in plain steps."""
    p = 1 / (1 + np.exp(-margins.astype(np.float64)))
    known = np.concatenate([p[members], p[others]])
    centre, scale = (known.mean(), known.std()) if standard else (0.0, 1.0)
    attack = SVC(C=3, gamma=1.0, kernel="rbf")  # gamma="auto" is one over one feature
    attack.fit(((known - centre) / scale).reshape(-1, 1), [1] * len(members) + [0] * len(others))
    found = attack.predict(((p[forget] - centre) / scale).reshape(-1, 1))
    return float(sum(found == 0) / len(forget))


def test_mia_efficacy_of_real_oracles_as_published_and_mended(oracle_margins: ndarray, suite: Suite) -> None:
    columns = suite.columns(suite.forget_sets["memorised-50"])
    retain, test, forget = columns["retain"], columns["test"], columns["forget"]
    margins = oracle_margins[:3]  # of another forget set, so that much of this one is a member
    expected = [by_hand(row, retain[: len(test)], test, forget, standard=False) for row in margins]
    np.testing.assert_allclose(mia_efficacy_published(margins, retain, test, forget), expected)
    seeds, expected = [5, 6, 7], []
    for seed, row in zip(seeds, margins, strict=True):
        rng = np.random.default_rng(seed)
        members = rng.choice(retain, len(test), replace=False)
        others = rng.choice(test, len(test), replace=False)
        expected.append(by_hand(row, members, others, forget, standard=True))
    np.testing.assert_allclose(mia_efficacy(margins, retain, test, forget, seeds), expected)
    assert len(set(expected)) > 1


def test_it_is_high_where_forget_examples_look_like_test_examples() -> None:
    retain, test, forget = ORDERED
    margins = np.full((1, 170), 6.0)
    margins[:, test] = -2.0
    seen = mia_efficacy(margins, retain, test, forget, [0]), mia_efficacy_published(margins, retain, test, forget)
    margins[:, forget] = -2.0
    unseen = mia_efficacy(margins, retain, test, forget, [0]), mia_efficacy_published(margins, retain, test, forget)
    assert np.concatenate([*seen, *unseen]).tolist() == [0.0, 0.0, 1.0, 1.0]


def test_the_order_of_the_data_set_decides_as_published_and_not_as_mended() -> None:
    """Retained examples in the order of their classes: the attack as published sees the first class alone."""
    retain, test, forget = ORDERED
    margins = np.random.default_rng(0).normal(-1, 0.1, size=(1, 170))
    margins[:, retain[:50]] += 2
    margins[:, [*retain[50:], *forget]] -= 3  # the second class, of which the forget examples still are
    backwards = retain[::-1]
    published = [mia_efficacy_published(margins, order, test, forget)[0] for order in (retain, backwards)]
    mended = [mia_efficacy(margins, order, test, forget, [0])[0] for order in (retain, backwards)]
    assert published == [1.0, 0.0]
    assert mended == [0.0, 0.0]


def test_mended_it_has_as_many_members_as_others_also_where_fewer_are_retained() -> None:
    margins = np.concatenate([np.full(30, 3.0), np.full(90, 1.0), np.full(10, 2.9)])[None]
    retain, test, forget = np.split(np.arange(130), [30, 120])
    assert mia_efficacy(margins, retain, test, forget, [0]) == [0.0]


def test_so_many_members_and_others_take_part_and_no_more(
    oracle_margins: ndarray, suite: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    columns = suite.columns(suite.forget_sets["memorised-50"])
    retain, test, forget = columns["retain"], columns["test"], columns["forget"]
    monkeypatch.setattr("expunge.metrics.mia_efficacy.MOST", 40)
    rng = np.random.default_rng(5)
    members, others = (rng.choice(part, 40, replace=False) for part in (retain, test))
    expected = by_hand(oracle_margins[0], members, others, forget, standard=True)
    assert mia_efficacy(oracle_margins[:1], retain, test, forget, [5]) == [expected]


@pytest.mark.parametrize(("most", "there"), [(359, False), (360, True)])
def test_the_published_attack_is_left_out_where_test_examples_are_too_many(
    most: int, there: bool, suite: Suite, forget: ForgetSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("expunge.metrics.mia_efficacy.MOST_PUBLISHED", most)
    two = read_margins(Plan(suite, "oracle", forget), 0, 2)
    assert (published_per_model(suite, forget, two) is not None) == there
    assert efficacy_per_model(suite, forget, two) is not None


def test_a_model_that_is_equally_sure_of_everything_has_a_score() -> None:
    for found in (
        mia_efficacy(np.full((1, 170), 2.0), *ORDERED, [0]),
        mia_efficacy_published(np.full((1, 170), 2.0), *ORDERED),
    ):
        assert found[0] in (0.0, 1.0)


def test_modified_entropy_by_hand() -> None:
    p = np.array([[0.7, 0.2, 0.1], [0.25, 0.25, 0.5]])
    first = -0.3 * np.log(0.7) - 0.2 * np.log(0.8) - 0.1 * np.log(0.9)
    second = -0.5 * np.log(0.5) - 2 * 0.25 * np.log(0.75)
    np.testing.assert_allclose(modified_entropy(p, np.array([0, 2])), [first, second])


def test_modified_entropy_of_sure_predictions() -> None:
    sure = np.array([[1.0, 0.0], [1.0, 0.0]])
    right, wrong = modified_entropy(sure, np.array([0, 1]))
    assert right == 0
    assert wrong == pytest.approx(-2 * np.log(1e-30))


def test_modified_entropy_as_published_by_hand() -> None:
    p = np.array([[0.7, 0.2, 0.1], [0.25, 0.25, 0.5]])
    first = -0.3 * np.log(0.7) - 0.2 * np.log(0.2) - 0.9 * np.log(0.1)  # 0 and 2 are labels of the batch
    second = -0.75 * np.log(0.25) - 0.25 * np.log(0.25) - 0.5 * np.log(0.5)
    np.testing.assert_allclose(modified_entropy_published(p, np.array([0, 2])), [first, second])
    alone = modified_entropy_published(p[:1], np.array([0]))
    np.testing.assert_allclose(alone, -0.3 * np.log(0.7) - 0.2 * np.log(0.2) - 0.1 * np.log(0.1))


def test_a_gap_is_welchs() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.normal(1, 2, size=9), rng.normal(size=30)
    found = gap(one, other)
    known = ttest_ind(one, other, equal_var=False).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((known.low, known.high))
    assert found.value == pytest.approx(one.mean() - other.mean())


def test_gaps_of_ensembles_that_do_not_vary_are_certain() -> None:
    assert gap(np.ones(4), np.full(3, 0.75)) == Estimate(0.25, 0.25, 0.25)


@pytest.mark.parametrize(
    ("chosen", "models", "low", "high"),
    [(0, 100, 0.0, 0.036217), (5, 100, 0.016432, 0.112835), (10, 10, 0.691503, 1.0), (1, 2, 0.012579, 0.987421)],
)
def test_the_interval_of_a_share_of_models_is_the_exact_one(chosen: int, models: int, low: float, high: float) -> None:
    """Tabulated ends of Clopper and Pearson's interval, at 95 %."""
    found = share_of_models(np.arange(models) < chosen)
    assert (found.value, found.low, found.high) == pytest.approx((chosen / models, low, high), abs=1e-6)


def test_the_mean_over_models_is_cut_at_its_bounds() -> None:
    found = mean_over_models(np.array([1.0, 1.0, 0.7]), bounds=(0.0, 1.0))
    assert found.value == pytest.approx(0.9)
    assert found.high == 1.0


def test_tow_and_the_average_gap_by_hand() -> None:
    mine = [np.array([0.5, 0.7]), np.array([0.9, 0.9]), np.array([0.8, 0.8])]
    oracle = [np.array([0.9, 0.9]), np.array([1.0, 1.0]), np.array([0.75, 0.75])]
    assert tow(mine, oracle).value == pytest.approx(0.7 * 0.9 * 0.95)
    assert average_gap(mine, oracle).value == pytest.approx((0.3 + 0.1 + 0.05) / 3)


MEANS = {"far": (0.5, 0.97, 0.93), "near": (0.88, 0.999, 0.97), "equal": (0.9, 0.999, 0.97)}
SIZES = (50, 1387, 360)
Interval = Callable[[list[ndarray], list[ndarray]], Estimate]
STATISTICS: dict[str, tuple[Interval, Callable[..., float]]] = {
    "gap": (lambda mine, oracle: gap(mine[0], oracle[0]), lambda gaps: gaps[0]),
    "absolute gap": (lambda mine, oracle: distance(gap(mine[0], oracle[0])), lambda gaps: abs(gaps[0])),
    "tow": (tow, lambda gaps: float(np.prod(1 - np.abs(gaps)))),
    "average gap": (average_gap, lambda gaps: float(np.mean(np.abs(gaps)))),
}


def accuracies(rng: np.random.Generator, means: tuple[float, ...], models: int) -> list[ndarray]:
    """Accuracies of models on each split; a fifth of the variance on forget is the model's own, not the examples'."""
    bent = [np.clip(mean + 0.02 * min(mean, 1 - mean) * rng.normal(size=models), 0, 1) for mean in means]
    return [rng.binomial(size, share) / size for size, share in zip(SIZES, bent, strict=True)]


def coverage(name: str, case: str, runs: int, models: int = 100) -> tuple[float, float]:
    """How often the interval holds the truth, and the mean of the number itself over fresh ensembles."""
    rng = np.random.default_rng(0)
    interval, function = STATISTICS[name]
    truth = function(np.subtract(MEANS[case], MEANS["equal"]))
    found = [
        interval(accuracies(rng, MEANS[case], models), accuracies(rng, MEANS["equal"], models)) for _ in range(runs)
    ]
    mean = np.mean([each.value for each in found])
    assert all(each.low <= each.value <= each.high for each in found)
    shares = [
        np.mean([each.low <= goal + 1e-12 and goal - 1e-12 <= each.high for each in found]) for goal in (truth, mean)
    ]
    print(f"{name} {case}: {shares}")
    return float(shares[0]), float(shares[1])


@pytest.mark.parametrize("case", MEANS)
@pytest.mark.parametrize("name", STATISTICS)
def test_intervals_cover(name: str, case: str) -> None:
    assert min(coverage(name, case, 200)) >= binom.ppf(0.001, 200, 0.95) / 200


@pytest.mark.slow
@pytest.mark.parametrize("models", [10, 100])
@pytest.mark.parametrize("case", MEANS)
@pytest.mark.parametrize("name", STATISTICS)
def test_intervals_cover_in_five_thousand_runs(name: str, case: str, models: int) -> None:
    assert min(coverage(name, case, 5000, models)) >= 0.94


@pytest.fixture(scope="module")
def scored(suite: Suite, forget: ForgetSet) -> list[Score]:
    row = Row(suite, forget, "identity", read_margins(Plan(suite, "pretrained"), 0, 10))
    return score_row([row], reference_of(suite, forget, 10, 10), [*PER_MODEL, "tow", "average-gap"]).scores


def test_no_classic_score_without_its_interval_and_its_oracle_value(scored: list[Score]) -> None:
    assert len(scored) == 3 * len(PER_MODEL) + 2
    for score in scored:
        assert score.oracle is not None
        assert score.low is not None
        assert score.value is not None
        assert score.high is not None
        assert score.low <= score.value <= score.high


def test_gaps_are_what_the_means_leave(scored: list[Score]) -> None:
    found = {(score.metric, score.aggregate): score for score in scored}
    for name in PER_MODEL:
        mean, signed, absolute = (found[name, aggregate] for aggregate in ("mean", "gap", "absolute-gap"))
        assert mean.oracle is not None
        assert mean.value is not None
        assert signed.value == pytest.approx(mean.value - mean.oracle)
        assert absolute.value == pytest.approx(abs(mean.value - mean.oracle))
    assert (found["ua", "gap"].value or 0.0) < 0  # the untouched models know the forget examples
    accuracies = [found[name, "absolute-gap"].value for name in ACCURACIES]
    assert found["tow", "mean"].value == pytest.approx(np.prod([1 - each for each in accuracies if each is not None]))
    assert None not in accuracies


def per_model(suite: Suite, forget: ForgetSet, first: int) -> dict[str, ndarray]:
    """The numbers of each of ten oracles."""
    oracles = read_margins(Plan(suite, "oracle", forget), first, 10)
    found = {name: function(suite, forget, oracles) for name, function in PER_MODEL.items()}
    return {name: values for name, values in found.items() if values is not None}


def test_beside_what_is_made_of_gaps_stands_what_held_out_oracles_get(
    scored: list[Score], suite: Suite, forget: ForgetSet
) -> None:
    reference, others = (per_model(suite, forget, first) for first in (0, 100))
    found = {(score.metric, score.aggregate): score.oracle for score in scored}
    gaps = {name: float(np.mean(others[name]) - np.mean(reference[name])) for name in PER_MODEL}
    for name, each in gaps.items():
        assert found[name, "gap"] == pytest.approx(each)
        assert found[name, "absolute-gap"] == pytest.approx(abs(each))
    assert found["average-gap", "mean"] == pytest.approx(np.mean([abs(gaps[name]) for name in AVERAGED]))
    assert found["tow", "mean"] == pytest.approx(np.prod([1 - abs(gaps[name]) for name in ACCURACIES]))
    assert 0 < (found["average-gap", "mean"] or 0.0) < 0.05  # ten oracles are not ten others


def test_where_only_margins_are_known_no_accuracy_is_made_up(suite: Suite, forget: ForgetSet) -> None:
    oracle = read_margins(Plan(suite, "oracle", forget), 0, 10)
    pretrained = read_margins(Plan(suite, "pretrained"), 0, 10)
    origin = replace(pretrained.origin, kind="unlearned", forget_set=forget.key)
    scores = xp.evaluate(replace(pretrained, correct=None, origin=origin), oracle, classic=True)
    metrics = {score.metric for score in scores if score.subject.method == "identity"}
    assert "mia-efficacy" in metrics
    assert not metrics & {"ua", "ra", "ta", "tow", "average-gap", "accuracy"}
