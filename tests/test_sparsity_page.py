"""The page of results/sparsity.md says what its records say, and is the one that they make."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def maker() -> ModuleType:
    spec = importlib.util.spec_from_file_location("sparsity_page", ROOT / "runs/sparsity_page.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("first", "second", "verdict"),
    [
        ([1.0, 0.5, 1.5], [3.0, 2.0, 4.0], "holds"),
        ([3.0, 2.0, 4.0], [1.0, 0.5, 1.5], "the opposite"),
        ([1.0, 0.5, 2.5], [3.0, 2.0, 4.0], "open"),
        ([-3.0, -4.0, -2.0], [1.0, 0.5, 1.5], "the opposite"),  # gaps are compared by their size
        ([-0.1, -0.5, 0.5], [1.0, 0.6, 1.5], "holds"),
        (None, [1.0, 0.5, 1.5], "not measured"),
    ],
)
def test_a_verdict_needs_intervals_that_do_not_overlap(
    maker: ModuleType, first: Any, second: Any, verdict: str
) -> None:
    assert maker.smaller(first, second) == verdict


def test_the_page_is_the_one_that_its_records_make(maker: ModuleType) -> None:
    names = ("digits", "backdoor", "transfer")
    records = [json.loads((ROOT / f"results/sparsity/{name}.json").read_text()) for name in names]
    assert maker.page(*records) == (ROOT / "results/sparsity.md").read_text()
