"""What a defence is worth: AUROC against another implementation, and the share caught at 1 % of false alarms."""

import numpy as np
import pytest
from numpy import ndarray
from sklearn.metrics import roc_auc_score

from expunge.attacks.detection import HONEST, detection, record_detection, threshold
from expunge.errors import BadSetting
from expunge.metrics.calibration import Estimate
from expunge.metrics.over_models import mean_over_models, share_of_models


def drawn(models: int, attacks: int, honest: int, shift: float = 0.0, *, ties: bool = False) -> tuple[ndarray, ndarray]:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(models, attacks)) + shift, rng.normal(size=(models, honest))
    return (values[0].round(), values[1].round()) if ties else values


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("models", [1, 3])
def test_the_auroc_is_that_of_another_implementation(models: int, ties: bool) -> None:
    attack, honest = drawn(models, 40, 150, 0.7, ties=ties)
    truth = np.repeat([1, 0], [40, 150])
    wanted = [roc_auc_score(truth, np.concatenate(rows)) for rows in zip(attack, honest, strict=True)]
    assert detection(attack, honest).auroc.value == pytest.approx(np.mean(wanted), abs=1e-12)


@pytest.mark.parametrize("models", [1, 4])
def test_a_detector_that_suspects_all_alike_is_useless(models: int) -> None:
    """Also one that rejects everything."""
    for all_of in (np.zeros, np.ones):
        found = detection(all_of((models, 10)), all_of((models, 200)))
        assert found.auroc.value == 0.5
        assert found.tpr.value == 0.0


def test_honest_against_honest_is_a_guess() -> None:
    found = detection(*drawn(10, 300, 300))
    assert abs(found.auroc.value - 0.5) < 0.03
    assert found.tpr.value < 0.03


@pytest.mark.parametrize("honest", [100, 199, 200, 700, 1000])
def test_at_most_one_per_cent_of_the_honest_lie_above_the_threshold(honest: int) -> None:
    values = np.random.default_rng(0).permuted(np.tile(np.arange(float(honest)), (2, 1)), axis=1)
    above = (values > threshold(values)[:, None]).sum(axis=1)
    assert above.tolist() == [honest // 100] * 2


def test_ties_at_the_threshold_are_not_caught() -> None:
    honest = np.zeros((1, 200))
    honest[0, :5] = 1.0
    assert detection(np.array([[1.0, 1.0, 1.5, 0.0]]), honest).tpr.value == 0.25


def test_means_over_models_have_intervals_over_models() -> None:
    attack, honest = drawn(5, 40, 150, 1.0)
    truth = np.repeat([1, 0], [40, 150])
    each = [roc_auc_score(truth, np.concatenate(rows)) for rows in zip(attack, honest, strict=True)]
    wanted = mean_over_models(np.array(each), (0.0, 1.0), level=0.9)
    found = detection(attack, honest, level=0.9).auroc
    assert (found.value, found.low, found.high) == pytest.approx((wanted.value, wanted.low, wanted.high))


def test_one_attack_before_a_defence_without_models_has_the_interval_of_clopper_and_pearson() -> None:
    attack, honest = np.array([[1.0]]), drawn(1, 1, 150)[1]
    found = detection(attack, honest)
    assert found.auroc == share_of_models(honest[0] < 1.0)
    assert found.tpr == share_of_models(np.array([False]))


def test_a_perfect_defence_reaches_one() -> None:
    found = detection(np.full((1, 3), 9.0), drawn(1, 1, 150)[1])
    assert found.auroc == share_of_models(np.ones(150, bool))
    assert found.tpr == share_of_models(np.ones(3, bool))
    assert detection(np.full((3, 2), 9.0), drawn(3, 1, 150)[1]).auroc == Estimate(1.0, 1.0, 1.0)


def test_the_interval_of_one_row_covers() -> None:
    """In 95 % of fresh draws of honest requests, ties or not, but for the error of 300 draws."""
    rng, hits = np.random.default_rng(0), 0
    for _ in range(300):
        found = detection(np.array([[0.0, 1.0, 1.0]]), rng.integers(-2, 3, size=(1, 120)).astype(float))
        hits += found.auroc.low <= (0.5 + 0.7 + 0.7) / 3 <= found.auroc.high
    assert hits >= 0.93 * 300


def test_attacked_records_stand_against_all_others() -> None:
    records, attacked = drawn(2, 1, 200)[1], np.array([3, 50, 120])
    records[:, attacked] += 1.5
    wanted = detection(records[:, attacked], np.delete(records, attacked, axis=1))
    assert record_detection(records, attacked) == wanted
    assert wanted.auroc.value > 0.7


@pytest.mark.parametrize(
    ("attack", "honest", "words"),
    [
        (np.zeros((2, 3)), np.zeros((2, HONEST - 1)), "expected 100 honest ones or more"),
        (np.zeros((2, 0)), np.zeros((2, 200)), "at least 1 attack"),
        (np.zeros((2, 3)), np.zeros((1, 200)), "by the models that judge the honest"),
        (np.full((2, 3), np.nan), np.zeros((2, 200)), "NaN"),
        (np.zeros((2, 3)), np.full((2, 200), np.nan), "NaN"),
    ],
)
def test_what_cannot_be_told_is_refused(attack: ndarray, honest: ndarray, words: str) -> None:
    with pytest.raises(BadSetting, match=words):
        detection(attack, honest)


@pytest.mark.parametrize("number", [-1, 200])
def test_numbers_that_name_no_record_are_refused(number: int) -> None:
    with pytest.raises(BadSetting, match="expected numbers of records 0 to 199"):
        record_detection(np.zeros((1, 200)), np.array([number]))
