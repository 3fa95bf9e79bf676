"""What the tests check without saying so: that annotations are kept, of functions within functions too."""

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from beartype.roar import BeartypeCallHintViolation
from jaxtyping import TypeCheckError

from expunge.metrics.klom import klom
from tests import annotations
from tests.annotations import FIRST, check_annotations, start_anew

SOURCE = """
from dataclasses import dataclass

from jaxtyping import Float
from numpy import ndarray

def outer(values: Float[ndarray, "n"]) -> Float[ndarray, "n"]:
    return values

def shorter(values: Float[ndarray, "n"]) -> Float[ndarray, "n"]:
    return values[1:]

def without_shapes(number: int) -> int:
    return number

Known = int

def by_name(number: "Known") -> "Known":
    return number

@dataclass
class Fields:
    values: Float[ndarray, "n n"]
    number: int = 3

def making():
    def inner(values: Float[ndarray, "n n"]) -> Float[ndarray, "n"]:
        return values[0]
    return inner

def making_another():
    def inner(number: int) -> int:
        return number
    return inner
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """A module whose annotations are checked."""
    (tmp_path / "with_shapes.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(tmp_path)
    with check_annotations(["with_shapes"]):
        yield importlib.import_module("with_shapes")
    del sys.modules["with_shapes"]


def checked(function: Callable[..., object]) -> bool:
    """Whether a wrong argument is refused before the function sees it."""
    try:
        function(np.ones((2, 3)))
    except (TypeCheckError, BeartypeCallHintViolation):
        return True
    return False


def test_expunge_is_checked() -> None:
    with pytest.raises(BeartypeCallHintViolation):
        klom("margins", np.ones((2, 2)))  # type: ignore[arg-type]


def test_a_function_is_checked_at_every_call(module: ModuleType) -> None:
    for function in (module.outer, module.without_shapes, module.by_name, module.Fields):
        assert all(checked(function) for _ in range(5 * FIRST))
    assert module.without_shapes(3) == 3
    assert module.Fields(np.ones((2, 2))).number == 3


def test_sizes_of_one_name_are_alike_in_one_call_and_may_be_others_in_the_next(module: ModuleType) -> None:
    for size in (2, 3):
        assert len(module.outer(np.ones(size))) == size
    with pytest.raises(BeartypeCallHintViolation, match="return"):
        module.shorter(np.ones(3))


def test_the_first_definitions_of_a_function_within_another_are_checked_in_every_test(module: ModuleType) -> None:
    for _ in range(2):
        start_anew()
        assert [checked(module.making()) for _ in range(FIRST + 2)] == [True] * FIRST + [False] * 2
        assert checked(module.making_another())  # of another its own


def test_a_test_begins_with_nothing_defined() -> None:
    assert not annotations._defined
