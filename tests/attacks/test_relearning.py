"""Relearning: who is asked about, what teaching does, how a class that was removed comes back, what is refused."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit

from expunge.attacks import ATTACKS
from expunge.attacks.lab.arms import NO_REQUEST, ORACLE
from expunge.attacks.lab.cells import play_on
from expunge.attacks.relearning import RECOVERED, START, Relearning, check, measure
from expunge.ensembles.pretraining import pretrain
from expunge.errors import BadSetting, ExpungeError, UnknownName
from tests.attacks.small import small

NAME, MODELS = "relearning", 3
CONFIG = Relearning(models=MODELS, of_class="3", budget=15, taught=5, steps=8)


def test_before_a_step_it_is_what_the_model_says_of_those_that_are_not_taught() -> None:
    suite = small()
    models, chosen = pretrain(suite, 2), np.array([[4, 9, 1, 7], [3, 2, 8, 5]])
    found = measure(suite, replace(CONFIG, taught=2), chosen, models, models)
    margins = models.margins(suite.data).astype(np.float64)
    expected = [expit(margins[row, own[2:]]).mean() for row, own in enumerate(chosen)]
    np.testing.assert_allclose(found.more[START], expected, atol=1e-6)
    assert (found.more[RECOVERED] == 0).all()
    assert (found.success != found.more[START]).all()


def test_a_class_that_no_model_ever_saw_comes_back_by_and_by() -> None:
    found = play_on(NAME, ATTACKS[NAME], small(), CONFIG, CONFIG.methods[0], range(MODELS))
    never, same = found.arms[ORACLE], found.arms[NO_REQUEST]
    assert never.success is not None
    assert same.success is not None
    assert (never.more[START] < same.more[START]).all()
    assert (never.success > never.more[START]).all()
    assert (never.success < same.success).all()
    assert (never.more[RECOVERED] > 0).all()


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({"of_class": "eleven"}, UnknownName, "unknown class 'eleven'.*give --set of_class=CLASS, or any"),
        ({"budget": 1}, BadSetting, "expected a budget of 2 to [0-9]+ records of class 3, got 1; give --set budget=N"),
        ({"budget": 150}, BadSetting, "give --set budget=N"),
        ({"taught": 15}, BadSetting, "expected 1 to 14 of the 15 removed records to be taught"),
        ({"taught": 0}, BadSetting, "give --set taught=N"),
    ],
)
def test_what_cannot_be_is_refused_with_what_mends_it(
    changed: dict[str, object], error: type[ExpungeError], message: str
) -> None:
    with pytest.raises(error, match=message):
        check(small(), replace(CONFIG, **changed))  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", [{"steps": 0}, {"rate": 0.0}, {"enough": 1.5}])
def test_steps_that_teach_nothing_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="expected at least 1 step, a rate above 0"):
        Relearning(**wrong)  # type: ignore[arg-type]
