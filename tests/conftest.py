"""What many tests share: shapes checked, the embedded suite, small ensembles, margins of real oracles."""

from pathlib import Path

import numpy as np
import pytest
import torch
from jaxtyping import install_import_hook
from numpy import ndarray

torch.set_num_threads(1)  # tests run side by side, one a core

# Every annotated shape is checked while the tests run, but for the numba kernels, which cannot be wrapped. Numbers may
# be ints where floats are expected.
CHECKED = ["suites", "ensembles", "methods", "reports"]
CHECKED += [f"metrics.{name}" for name in ("accuracy", "calibration", "distinguishable", "evaluate", "exchangeable")]
CHECKED += ["metrics.klom", "metrics.klom_reference", "metrics.output", "metrics.own_margins"]
CHECKED += [
    f"metrics.{name}" for name in ("anderson_darling", "copies", "flagging", "outliers", "soundness", "statistic")
]
CHECKED += [f"metrics.{name}" for name in ("average_gap", "classic", "classic_scores", "mia_efficacy", "over_models")]
CHECKED += [f"metrics.{name}" for name in ("modified_entropy", "row", "tow")]
CHECKED += ["hub", "metrics.sparsity_bound"]
install_import_hook(
    [f"expunge.{name}" for name in CHECKED], "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))"
)

from expunge.ensembles import Ensemble, Plan, pretrain, read_margins  # noqa: E402
from expunge.suites import ForgetSet, Suite, load_suite  # noqa: E402

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture(autouse=True)
def own_store(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test writes to a store of its own, never to the user's, and computes on the CPU unless it says so."""
    place = tmp_path_factory.mktemp("store")
    monkeypatch.setenv("EXPUNGE_STORE", str(place))
    monkeypatch.setenv("EXPUNGE_DEVICE", "cpu")
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
    return np.array(read_margins(Plan(suite, "oracle", forget), 0, 200).values)
