"""The study of metrics: candidates against other codes, cheats that are what they say, and a page that holds."""

from pathlib import Path

import numpy as np
import pytest
from numpy import ndarray
from pydantic import TypeAdapter
from scipy.stats import energy_distance, ks_2samp

from expunge.reports.studies.cheats import CHEATS, Material, mode
from expunge.reports.studies.metrics import Found, Margins, examine
from expunge.reports.studies.metrics_page import metrics_page
from expunge.reports.studies.rulers import RULERS, energy, gaussian_kl, kolmogorov_smirnov, neighbour_kl
from tests.cli.commands import refused, run

ROOT = Path(__file__).parents[3]
RESULTS = TypeAdapter(dict[str, Found]).validate_json((ROOT / "results/metrics.json").read_bytes())


def pair(shift: float = 0.0, spread: float = 1.0, models: int = 60) -> tuple[ndarray, ndarray]:
    rng = np.random.default_rng(0)
    return shift + spread * rng.normal(size=(models, 5)), rng.normal(size=(40, 5))


def test_candidates_are_what_other_codes_compute() -> None:
    one, other = pair(0.5)
    scale = other.std(axis=0, ddof=1)
    expected = [energy_distance(one[:, j] / scale[j], other[:, j] / scale[j]) ** 2 for j in range(5)]
    assert energy(one, other) == pytest.approx(np.mean(expected))
    expected = [ks_2samp(one[:, j], other[:, j]).statistic for j in range(5)]
    assert kolmogorov_smirnov(one, other) == pytest.approx(np.mean(expected))


def test_divergences_of_normals_are_near_the_closed_form() -> None:
    one, _ = pair(1.0, models=2000)
    other = np.random.default_rng(1).normal(size=(2000, 5))
    assert gaussian_kl(one, other) == pytest.approx(0.5, rel=0.1)
    assert neighbour_kl(one, other) == pytest.approx(0.5, rel=0.15)


@pytest.mark.parametrize("name", RULERS)
def test_every_candidate_is_small_between_halves_and_grows(name: str) -> None:
    function = RULERS[name].function
    near, mid, far = (function(*pair(shift)) for shift in (0.0, 1.5, 6.0))
    assert near < mid < far


def material() -> Material:
    rng = np.random.default_rng(0)
    reference, held_out, other = (rng.normal(size=(40, 6)).astype(np.float32) for _ in range(3))
    return Material(5 + other, reference, held_out, other)


@pytest.mark.parametrize("name", CHEATS)
def test_every_cheat_hands_in_margins_and_leaves_its_material(name: str) -> None:
    made, before = material(), material()
    margins = CHEATS[name].make(made, np.random.default_rng(0))
    assert margins.shape == made.untouched.shape
    assert np.isfinite(margins).all()
    for field in ("untouched", "reference", "held_out", "other"):
        np.testing.assert_array_equal(getattr(made, field), getattr(before, field))


def test_thefts_keep_what_they_steal() -> None:
    made, rng = material(), np.random.default_rng(0)
    shuffled = CHEATS["reference, each example shuffled"].make(made, rng)
    np.testing.assert_array_equal(np.sort(shuffled, axis=0), np.sort(made.reference, axis=0))
    rotated = CHEATS["reference, models rotated"].make(made, rng)
    np.testing.assert_allclose(rotated.mean(axis=0), made.reference.mean(axis=0), atol=1)


def test_the_mode_is_where_margins_lie_closest() -> None:
    margins = np.concatenate([np.linspace(-9, 9, 20), np.full(15, 2.0) + np.linspace(0, 0.01, 15)])[:, None]
    assert mode(margins) == pytest.approx(2.005, abs=0.01)


def test_a_ruler_that_knows_the_order_is_found_to_and_a_blind_one_is_not() -> None:
    rng = np.random.default_rng(0)
    oracles, untouched = rng.normal(size=(200, 30)).astype(np.float32), rng.normal(4, 1, (100, 30)).astype(np.float32)
    kept = {0.5: rng.normal(2, 1, (40, 30)).astype(np.float32)}
    margins = [Margins("one", untouched, oracles, untouched, kept)]
    found = examine(RULERS["Wasserstein-1"], margins)
    assert min(found.order.values()) > 0.99
    assert found.least[100] is not None
    assert found.closed["noise, 3 sd"] <= 0 < found.closed["a bias of the class"]
    assert found.closed["half oracles, half untouched"] == pytest.approx(0.5, abs=0.1)
    saturated = examine(RULERS["KLoM P95"], margins)
    assert saturated.order["moved"] < found.order["moved"]


def test_the_page_of_this_repository_is_what_the_figures_make() -> None:
    assert (ROOT / "results/metrics.md").read_text() == metrics_page(RESULTS)


def test_what_was_adopted_wins_where_it_is_said_to() -> None:
    mine, klom = RESULTS["Wasserstein-1"], RESULTS["KLoM P95"]
    assert min(mine.order.values()) > 0.99 > klom.order["kept"]
    assert all(each is not None for each in mine.least.values())
    assert mine.bias < klom.bias
    assert max(mine.closed[name] for name in CHEATS if name.startswith("noise")) <= 0.01
    assert mine.closed["one exploded model"] < 0 < klom.closed["one exploded model"]


def test_an_unknown_study_is_answered_with_the_nearest() -> None:
    assert "did you mean 'metrics'?" in refused(run("study", "metric"))
