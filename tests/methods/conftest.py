"""What the laws of the methods are tried on: three models of digits, and a tenth of its examples to go on with."""

import dataclasses

import numpy as np
import pytest

from expunge.methods import METHODS
from expunge.suites import Data, ForgetSet, Suite


@pytest.fixture(scope="session")
def small(suite: Suite) -> Suite:
    """The suite with 200 of its training and 40 of its test examples; the shipped models fit it as they are."""
    rows = np.arange(200)
    data = Data(suite.data.train.take(rows), suite.data.test.take(rows[:40]), suite.data.classes)
    forget = ForgetSet("random-20", np.arange(0, 200, 10), "every tenth")
    return dataclasses.replace(suite, data=data, forget_sets={"random-20": forget}, derive=None)


@pytest.fixture
def laboratory(name: str, small: Suite, suite: Suite, forget: ForgetSet) -> tuple[Suite, ForgetSet]:
    """The suite on which the method ``name`` is tried: what it takes out of a store exists for the whole one only."""
    return (suite, forget) if METHODS[name].prepare else (small, small.forget_sets["random-20"])
