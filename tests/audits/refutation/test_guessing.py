"""Models of no use are told: their accuracy beside that of who always guesses the most frequent class."""

import numpy as np
import pytest

from expunge.audits.refutation.guessing import Guessing, guess_of, guessing
from expunge.audits.refutation.utility import Utility
from expunge.metrics.calibration import Estimate
from expunge.suites import load_suite


@pytest.mark.parametrize(
    ("models", "place"),
    [
        ((0.3, 0.2, 0.4), "at chance"),  # below guessing
        ((0.55, 0.54, 0.56), "at chance"),  # within its interval
        ((0.70, 0.69, 0.71), "at chance"),
        ((0.72, 0.69, 0.75), "near chance"),
        ((0.72, 0.71, 0.73), "above chance"),
        ((0.98, 0.97, 0.99), "above chance"),
    ],
)
def test_the_intervals_say_what_is_at_chance_and_what_is_near(models: tuple[float, float, float], place: str) -> None:
    found = Guessing(Estimate(*models), Estimate(0.6, 0.5, 0.7))
    assert found.place == place
    assert found.told().startswith(f"models {place}: after the noise their test accuracy is {100 * models[0]:.1f} %")


def test_who_guesses_names_the_most_frequent_class_of_what_is_kept() -> None:
    found = guess_of(np.array([2, 2, 2, 0, 1]), np.array([0, 0, 0, 2]))
    assert found.value == 0.25
    assert 0 < found.low < 0.25 < found.high < 1


def test_released_models_are_looked_at_on_test_examples() -> None:
    suite, one = load_suite("tabular"), Estimate(0.9, 0.8, 1.0)
    forget = suite.forget_set("random-10")
    other = Estimate(0.1, 0.1, 0.1)
    utility = [
        Utility(stage, split, one if (stage, split) == ("unlearned", "test") else other, None, None)
        for stage in ("trained on all", "unlearned")
        for split in ("forget", "retain", "test")
    ]
    found = guessing(suite, forget, utility)
    assert found is not None
    assert found.models == one
    assert found.guess.value == pytest.approx(72 / 114)  # benign, the most frequent of both parts
