"""What many tests share: shapes checked, the embedded suite, small ensembles, margins of real oracles."""

import gc
import os
import pkgutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import settings
from numpy import ndarray

from tests.annotations import check_annotations, start_anew

torch.set_num_threads(1)  # tests run side by side, one a core

# The same cases on every machine, however slow; other ones: --hypothesis-profile default --hypothesis-seed 1.
settings.register_profile("steady", derandomize=True, deadline=None)
settings.load_profile("steady")

PACKAGE = Path(__file__).parents[1] / "expunge"
# What cannot be checked: kernels, which numba compiles; the engine, whose plugin for workers travels to them by value,
# as a wrapped class cannot; and the command, whose functions typer gives None for a flag that was left out.
UNCHECKED = {
    *("expunge.metrics._kernels", "expunge.metrics._anderson_darling"),
    *("expunge.engine", "expunge.parcels", "expunge.clusters", "expunge.cli", "expunge.__main__"),
}


def checked_modules(folder: Path = PACKAGE) -> list[str]:
    """All of expunge but :data:`UNCHECKED`, found without an import: what is imported earlier is never checked.

    A package stands for all that is in it, so one that holds an exception is named module by module.
    """
    name = ".".join(folder.relative_to(PACKAGE.parent).parts)
    if not any(each == name or each.startswith(f"{name}.") for each in UNCHECKED):
        return [name]
    if name in UNCHECKED:
        return []
    found = []
    for module in pkgutil.iter_modules([str(folder)]):
        if module.ispkg:
            found += checked_modules(folder / module.name)
        elif f"{name}.{module.name}" not in UNCHECKED:
            found.append(f"{name}.{module.name}")
    return found


# Every annotation is checked while the tests run, shapes too; numbers may be ints where floats are expected.
check_annotations(checked_modules())

os.environ.pop("COLUMNS", None)  # of whoever runs the tests, as pytest-xdist sets it: lines have no end here
from expunge.bench.rebuild import rebuild  # noqa: E402
from expunge.ensembles import Ensemble, Plan, pretrain, read_margins  # noqa: E402
from expunge.store import at_store  # noqa: E402
from expunge.suites import ForgetSet, Suite, load_suite  # noqa: E402
from tests.tiny_suite import tiny  # noqa: E402

GOLDEN = Path(__file__).parent / "golden"


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """All that is collected and imported stays to the end: garbage is looked for among what comes later."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.fixture(autouse=True)
def annotations_of_its_own() -> None:
    start_anew()


@pytest.fixture(autouse=True)
def own_store(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test writes to a store of its own, never to the user's, and computes on the CPU unless it says so.

    Nothing waits for the disk: that is for a machine that loses its power, which no test survives.
    """
    monkeypatch.setattr(os, "fsync", lambda _: None)
    place = tmp_path_factory.mktemp("store")
    monkeypatch.setenv("EXPUNGE_STORE", str(place))
    monkeypatch.setenv("EXPUNGE_DEVICE", "cpu")
    return place


@pytest.fixture(scope="session")
def common_place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("common")


@pytest.fixture
def common_store(own_store: Path, common_place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store for all tests of a process that ask for it: what one has trained or unlearned, the next need not."""
    monkeypatch.setenv("EXPUNGE_STORE", str(common_place))
    return common_place


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


@pytest.fixture(scope="session")
def tiny_suite() -> Suite:
    """A suite that trains in a second: `tests/tiny_suite.py`."""
    return tiny()


@pytest.fixture(scope="session")
def tiny_store(tiny_suite: Suite, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with all ensembles of the tiny suite, trained once for all tests of a process: read it, `at_store`."""
    return built_store(tiny_suite, tmp_path_factory.mktemp("tiny"))


def built_store(suite: Suite, place: Path) -> Path:
    """``place``, with all ensembles of a suite in it."""
    with at_store(place), pytest.MonkeyPatch.context() as patch:
        patch.setenv("EXPUNGE_DEVICE", "cpu")
        rebuild(suite)
    return place
