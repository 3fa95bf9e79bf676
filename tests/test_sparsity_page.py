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
    kept = {file.stem: json.loads(file.read_text()) for file in sorted((ROOT / "results/sparsity").glob("*.json"))}
    applications = kept.pop("backdoor"), kept.pop("transfer")
    assert maker.page(kept, *applications) == (ROOT / "results/sparsity.md").read_text()


@pytest.mark.parametrize(
    ("mine", "other", "verdict"),
    [
        ([[0.5, 0.49, 0.51], [0.1, 0.09, 0.11]], [[0.3, 0.29, 0.31], [0.2, 0.19, 0.21]], "holds"),
        ([[0.3, 0.29, 0.31], [0.2, 0.19, 0.21]], [[0.5, 0.49, 0.51], [0.1, 0.09, 0.11]], "does not hold"),
        ([[0.5, 0.1, 0.9], [0.1, 0.0, 0.3]], [[0.3, 0.29, 0.31], [0.2, 0.19, 0.21]], "open"),
    ],
)
def test_who_gains_most_is_open_where_intervals_overlap(maker: ModuleType, mine: Any, other: Any, verdict: str) -> None:
    found = {
        (sparsity, "class-3", method): {"numbers": {"average gap": gap}}
        for method, gaps in ((maker.TUNED, mine), ("scrub", other))
        for sparsity, gap in zip((0.0, maker.SPARSE), gaps, strict=True)
    }
    _, told = maker.most_gained(found, "class-3", [maker.TUNED, "scrub"])
    assert told.startswith(f"{verdict}: ")
