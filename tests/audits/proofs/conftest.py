"""Bundles that many tests read: made once a process, copied by those that change them."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from expunge.audits.proofs.provider import Proven, prove
from expunge.suites import ForgetSet, Suite


@pytest.fixture(scope="session")
def ten(suite: Suite) -> ForgetSet:
    """Ten records of digits."""
    return suite.forget_sets["random-10"]


@pytest.fixture(scope="session")
def original(suite: Suite, tmp_path_factory: pytest.TempPathFactory) -> Proven:
    """A digits model, trained on all records."""
    return prove(suite, None, tmp_path_factory.mktemp("proofs") / "original", seed=1)


@pytest.fixture(scope="session")
def honest(suite: Suite, ten: ForgetSet, tmp_path_factory: pytest.TempPathFactory) -> Proven:
    """A digits model, honestly retrained without ten records."""
    return prove(suite, ten, tmp_path_factory.mktemp("proofs") / "honest", seed=2)


@pytest.fixture(scope="session")
def small(tiny_suite: Suite, tmp_path_factory: pytest.TempPathFactory) -> Proven:
    """A linear model of 200 digits, retrained without ten; its states are in several files."""
    return prove(tiny_suite, tiny_suite.forget_sets["first"], tmp_path_factory.mktemp("proofs") / "small", seed=3)


@pytest.fixture
def copied(tmp_path: Path) -> Callable[[Proven], Path]:
    """A copy of a bundle, to be changed."""

    def copy(proven: Proven) -> Path:
        return Path(shutil.copytree(proven.bundle, tmp_path / "copy"))

    return copy
