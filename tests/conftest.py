"""What many tests share: the embedded suite, small ensembles, margins of real oracles."""

from pathlib import Path

import numpy as np
import pytest
from numpy import ndarray

from expunge.ensembles import Ensemble, Plan, pretrain, read_measured
from expunge.suites import ForgetSet, Suite, load_suite

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture(autouse=True)
def own_store(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test writes to a store of its own, never to the user's."""
    place = tmp_path_factory.mktemp("store")
    monkeypatch.setenv("EXPUNGE_STORE", str(place))
    return place


@pytest.fixture(scope="session")
def suite() -> Suite:
    return load_suite("digits")


@pytest.fixture(scope="session")
def forget(suite: Suite) -> ForgetSet:
    return suite.forget_sets["random-50"]


@pytest.fixture
def ensemble(suite: Suite) -> Ensemble:
    """Three of the shipped pretrained models that serve tuning and tests, never scoring."""
    return pretrain(suite, 3, first=100)


@pytest.fixture(scope="session")
def oracle_margins(suite: Suite, forget: ForgetSet) -> ndarray:
    """Margins of the 200 shipped oracles of one forget set: (200, 1797)."""
    return np.array(read_measured(Plan(suite, "oracle", forget), 0, 200).margins)
