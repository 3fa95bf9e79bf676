"""Means and differences over victims, and their intervals."""

from collections.abc import Iterator

import numpy as np
import pytest
from scipy.stats import binom, multinomial

from expunge.attacks.attack import Success
from expunge.attacks.lab.arms import ARMS, Arm, Played, arm_of, joined
from expunge.attacks.lab.records import difference_of, mean_of
from expunge.errors import BadSetting
from expunge.metrics.over_models import difference_of_shares, difference_of_yes_and_no, mean_over_models

SHARE = Success("a share")
YES, NO = np.ones(10), np.zeros(10)


def test_of_yes_and_no_the_interval_is_open_where_all_victims_agree() -> None:
    assert mean_of(YES, SHARE).low == pytest.approx(0.025 ** (1 / 10))
    assert difference_of(YES, NO, SHARE, paired=True).low < 1
    assert difference_of(NO, NO, SHARE, paired=True).high > 0


def test_of_other_numbers_it_is_students_and_cut_where_a_share_ends() -> None:
    values = np.array([0.9, 1.0, 1.0, 0.5])
    found = mean_of(values, SHARE)
    assert found.value == values.mean()
    assert found.high == 1.0


def test_pairing_counts() -> None:
    """The same victims: a difference that is the same for each is known well, however much they differ."""
    base = np.linspace(0.0, 0.5, 10)
    paired, unpaired = (difference_of(base + 0.1, base, SHARE, paired=each) for each in (True, False))
    assert paired.low > 0 > unpaired.low


def chances(models: int) -> Iterator[tuple[float, float]]:
    """By how much each paired interval covers, over all shares of models where only the first, or the second, is yes.

    Summed over all outcomes, not simulated; and the same of Wald's interval.
    """
    outcomes = [(only, lost) for only in range(models + 1) for lost in range(models + 1 - only)]
    found, wald = [], []
    for only, lost in outcomes:
        one, other = np.zeros(models, bool), np.zeros(models, bool)
        one[:only], other[only : only + lost] = True, True
        found.append(difference_of_yes_and_no(one, other))
        wald.append(mean_over_models(one.astype(float) - other, (-1.0, 1.0)))
    for p in np.linspace(0, 1, 11):
        for q in np.linspace(0, 1 - p, 11):
            rest = max(1 - p - q, 0.0)
            chance = multinomial.pmf(
                [(only, lost, models - only - lost) for only, lost in outcomes], models, [p, q, rest]
            )
            yield tuple(
                sum(each for each, it in zip(chance, its, strict=True) if it.low - 1e-9 <= p - q <= it.high + 1e-9)
                for its in (found, wald)
            )


def test_paired_intervals_of_yes_and_no_cover() -> None:
    ours, walds = (np.array(each) for each in zip(*chances(10), strict=True))
    assert ours.mean() > 0.955
    assert ours.min() > 0.91
    assert walds.min() < 0.7  # which is empty where all agree


def test_intervals_of_differences_of_yes_and_no_of_other_models_cover() -> None:
    """Summed over all outcomes of 10 models on each side, over all pairs of shares."""
    yes = [np.arange(10) < count for count in range(11)]
    found = [[difference_of_shares(one, other) for other in yes] for one in yes]
    low, high = (np.array([[getattr(each, end) for each in row] for row in found]) for end in ("low", "high"))
    shares = np.linspace(0.01, 0.99, 50)
    chance = binom.pmf(np.arange(11), 10, shares[:, None])
    true = shares[:, None] - shares
    covers = (low[..., None, None] <= true + 1e-9) & (true - 1e-9 <= high[..., None, None])
    covered = np.einsum("pa,qb,abpq->pq", chance, chance, covers)
    assert covered.mean() > 0.95
    assert covered.min() > 0.88  # a coarse grid, or one with 0 and 1, looks better


def test_newcombes_interval_is_that_of_his_example() -> None:
    """Table II of Newcombe 1998, method 10: 56 of 70 and 48 of 80."""
    found = difference_of_shares(np.arange(70) < 56, np.arange(80) < 48)
    assert (found.value, found.low, found.high) == pytest.approx((0.2, 0.0524, 0.3339), abs=5e-5)


def test_six_of_six_beside_none_of_six_of_other_models_is_more() -> None:
    assert difference_of(np.ones(6), np.zeros(6), SHARE, paired=False).low > 0.4


def arm(value: float) -> Arm:
    return Arm(np.array([value]), np.array([0.5]), np.array([0.0]), np.array([0.1]), {"beside": np.array([value])})


def play(value: float) -> Played:
    return Played({name: arm(value) for name in ARMS}, [], np.array([1.0]))


def test_parts_are_joined_victim_after_victim() -> None:
    found = joined([play(0.0), play(1.0)])
    assert found.effort.tolist() == [1.0, 1.0]
    for name in ARMS:
        assert found.arms[name].arrays["success"].tolist() == [0.0, 1.0]
        assert found.arms[name].arrays["more beside"].tolist() == [0.0, 1.0]


def test_an_arm_that_failed_on_some_victims_has_failed() -> None:
    failed = Played({**play(0.0).arms, "attack": Arm(reason="diverged")}, [], np.array([1.0]))
    found = joined([play(1.0), failed])
    assert found.arms["attack"].reason == "diverged"
    assert found.arms["attack"].success is None
    assert found.arms["oracle"].success is not None


def test_an_arm_is_what_its_arrays_say() -> None:
    assert arm_of(arm(0.25).arrays).arrays == arm(0.25).arrays


def test_a_play_that_lacks_a_control_is_refused() -> None:
    with pytest.raises(BadSetting, match="expected the arms attack, no request, honest request, unperturbed, oracle"):
        Played({"attack": arm(0.0)}, [], np.array([1.0]))
