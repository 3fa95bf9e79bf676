"""Schedules of a walk's rate: what they multiply it with, step by step; the default is as if there were none."""

from dataclasses import dataclass

import pytest

from expunge.errors import MethodFailed
from expunge.methods import METHODS
from expunge.methods.method import Method
from expunge.methods.parts.schedules import SCHEDULES, Counted
from expunge.methods.parts.walks import Walk, paced
from expunge.methods.settings import settings_in
from expunge.methods.spaces import OneOf
from expunge.tuning.trials import by_epochs


@dataclass
class Steps:
    """What steps at a rate."""

    lr: float = 0.5


@pytest.mark.parametrize(
    ("schedule", "rates"),
    [
        ("constant", [0.5] * 8),
        ("cosine", [0.5, 0.481, 0.427, 0.346, 0.25, 0.154, 0.073, 0.019]),
        ("step", [0.5, 0.5, 0.5, 0.5, 0.05, 0.05, 0.005, 0.005]),
        ("warmup", [0.5] * 8),  # an eighth of the way is more than a tenth
    ],
)
def test_rates_follow_the_schedule_over_all_epochs(schedule: str, rates: list[float]) -> None:
    config, steps, seen = Walk(epochs=2, lr=0.5, schedule=schedule), Steps(), []
    for epoch in range(2):
        for _ in paced(Counted(iter(range(4)), 4), config, epoch, steps):
            seen.append(round(steps.lr, 3))
        assert steps.lr == 0.5
    assert seen == rates


def test_a_rate_warms_up_in_the_first_tenth() -> None:
    config, steps, seen = Walk(epochs=1, lr=0.5, schedule="warmup"), Steps(), []
    for _ in paced(Counted(iter(range(20)), 20), config, 0, steps):
        seen.append(steps.lr)
    assert seen == [0.25, *[0.5] * 19]


def test_batches_of_which_nobody_knows_how_many_there_are_are_refused() -> None:
    with pytest.raises(MethodFailed, match=r"got generator; wrap them: Counted\(batches, count\)"):
        paced((each for each in range(3)), Walk(epochs=1, lr=0.5, schedule="step"), 0, Steps())


def test_a_schedule_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="schedule must be one of constant, cosine, step, warmup, got linear"):
        Walk(epochs=1, lr=0.5, schedule="linear")


@pytest.mark.parametrize("name", [name for name, row in METHODS.items() if issubclass(row.config, Walk)])
def test_the_default_stands_in_no_record_and_no_key(name: str) -> None:
    """So what was found and kept before there were schedules still holds."""
    config = METHODS[name].config
    assert "schedule" not in settings_in(config())
    assert {settings_in(config(schedule=each)).get("schedule", "constant") for each in SCHEDULES} == set(SCHEDULES)


def test_by_a_schedule_an_epoch_is_no_end_of_a_shorter_run() -> None:
    row = METHODS["fine-tune"]
    searched = Method(unlearn=row.unlearn, config=row.config, summary="", search={"schedule": OneOf(tuple(SCHEDULES))})
    assert (by_epochs(row), by_epochs(searched)) == (True, False)
