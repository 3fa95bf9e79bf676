"""The tour in one file runs, and measures as the library does."""

import re
import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import expunge as xp

TOUR = Path(__file__).parents[1] / "examples/tour.py"


@pytest.fixture(scope="module")
def tour() -> dict[str, Any]:
    return runpy.run_path(str(TOUR))


def test_its_distance_is_that_of_the_library(tour: dict[str, Any]) -> None:
    rng = np.random.default_rng(0)
    ours, oracles = rng.normal(1, 2, (7, 30)), rng.normal(size=(7, 30)) * rng.gamma(1, size=30)
    assert tour["distance"](ours, oracles) == pytest.approx(xp.wasserstein(ours, oracles).mean())


def test_it_finds_its_floor_and_that_doing_nothing_closes_nothing(
    tour: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    tour["main"].__globals__.update(MODELS=3, EPOCHS=3)
    tour["main"]()
    rows = {line.split()[0]: line for line in capsys.readouterr().out.splitlines() if re.search(r"\d %?$|%", line)}
    assert rows["oracle"].split()[-2:] == ["100", "%"]
    assert rows["do_nothing"].split()[-1] == "0%"
    assert {"fine_tune", "gradient_ascent", "second_choice"} <= rows.keys()
