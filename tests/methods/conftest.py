"""What the laws of the methods are tried on: three models of digits, and a tenth of its examples to go on with."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from expunge.bench.rebuild import rebuild
from expunge.ensembles import Ensemble
from expunge.methods import METHODS
from expunge.store import at_store
from expunge.suites import Data, ForgetSet, Suite
from tests.methods.cases import OWN_MODELS


@pytest.fixture(scope="session")
def small(suite: Suite) -> Suite:
    """The suite with 200 of its training and 40 of its test examples; the shipped models fit it as they are."""
    return part_of(suite, 200, ForgetSet("random-20", np.arange(0, 200, 10), "every tenth"))


@pytest.fixture(scope="session")
def medium(suite: Suite) -> Suite:
    """The same with 600 of its training examples."""
    return part_of(suite, 600, ForgetSet("random-50", np.arange(0, 600, 12), "every twelfth"))


def part_of(suite: Suite, examples: int, forget: ForgetSet) -> Suite:
    train, test = suite.data.train.take(np.arange(examples)), suite.data.test.take(np.arange(40))
    data = Data(train, test, suite.data.classes)
    return dataclasses.replace(suite, data=data, forget_sets={forget.name: forget}, derive=None)


@pytest.fixture(scope="session")
def workshop(small: Suite, tmp_path_factory: pytest.TempPathFactory) -> tuple[Suite, Path]:
    """A suite of 200 examples whose training takes a moment, and a store with what methods need built for them."""
    quick = dataclasses.replace(small, recipe=dataclasses.replace(small.recipe, epochs=4), chunk=3, models=6, subsets=0)
    place = tmp_path_factory.mktemp("workshop")
    with at_store(place), pytest.MonkeyPatch.context() as patch:
        patch.setenv("EXPUNGE_DEVICE", "cpu")
        rebuild(quick, methods=OWN_MODELS, tuning="default", models=3)
    return quick, place


@pytest.fixture
def laboratory(
    name: str, small: Suite, suite: Suite, forget: ForgetSet, request: pytest.FixtureRequest
) -> Iterator[tuple[Suite, ForgetSet]]:
    """The suite on which the method ``name`` is tried: what it takes out of a store exists for the whole one only."""
    if name not in OWN_MODELS:
        yield (suite, forget) if METHODS[name].prepare else (small, small.forget_sets["random-20"])
        return
    quick, place = request.getfixturevalue("workshop")
    with at_store(place):
        yield quick, quick.forget_sets["random-20"]


@pytest.fixture
def ensemble(ensemble: Ensemble, request: pytest.FixtureRequest) -> Ensemble:
    """Three shipped models; numbered 0, 1, 2 for a method that starts from models of its own, built with these."""
    params = request.node.callspec.params if hasattr(request.node, "callspec") else {}
    if params.get("name") in OWN_MODELS:
        ensemble.origin = dataclasses.replace(ensemble.origin, models=(0, 1, 2))
    return ensemble
