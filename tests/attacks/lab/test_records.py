"""Means and differences over victims, and their intervals."""

import numpy as np
import pytest

from expunge.attacks.attack import Success
from expunge.attacks.lab.arms import ARMS, Arm, Played, arm_of, joined
from expunge.attacks.lab.records import difference_of, mean_of
from expunge.errors import BadSetting
from expunge.metrics.over_models import difference_of_shares, difference_of_yes_and_no

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


@pytest.mark.parametrize("chance", [0.05, 0.5])
@pytest.mark.parametrize("paired", [True, False])
def test_intervals_of_differences_of_yes_and_no_cover(chance: float, paired: bool) -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(400):
        one, other = rng.random(10) < 0.9, rng.random(10) < chance
        found = difference_of_yes_and_no(one, other) if paired else difference_of_shares(one, other)
        covered += found.low <= 0.9 - chance <= found.high
    assert covered >= 380


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
