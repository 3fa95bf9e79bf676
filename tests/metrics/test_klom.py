"""KLoM against a plain histogram, its laws, what it refuses, and the places it must run in."""

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy import ndarray

import expunge
from expunge.errors import BadMargins, BadSetting, MismatchedEnsembles
from expunge.metrics.klom import klom

WIDE = st.floats(-150, 150, width=32)
TIED = st.integers(-4, 4).map(lambda n: n / 2)  # many margins on the edges of bins


@st.composite
def pairs(draw: st.DrawFn) -> tuple[ndarray, ndarray]:
    dtype, element = draw(st.sampled_from([np.float32, np.float64])), draw(st.sampled_from([WIDE, TIED]))
    models, oracles, examples = draw(st.tuples(st.integers(1, 30), st.integers(1, 30), st.integers(0, 5)))
    return (
        draw(arrays(dtype, (models, examples), elements=element)),
        draw(arrays(dtype, (oracles, examples), elements=element)),
    )


def plain_klom(
    unlearned: ndarray, oracle: ndarray, bins: int = 20, floor: float = 1e-5, clip: float = 100.0
) -> ndarray:
    values = []
    for column in range(unlearned.shape[1]):
        p, q = (side[:, column].astype(np.float64).clip(-clip, clip) for side in (unlearned, oracle))
        low, high = min(p.min(), q.min()), max(p.max(), q.max())
        if low == high:
            values.append(0.0)
            continue
        p_mass, q_mass = (np.histogram(x, bins=bins, range=(low, high))[0] / len(x) for x in (p, q))
        full = p_mass > 0
        values.append((p_mass[full] * np.log(p_mass[full] / np.maximum(q_mass[full], floor))).sum())
    return np.array(values)


@given(pairs(), st.integers(1, 25))
@settings(deadline=None)
def test_equals_a_plain_histogram(pair: tuple[ndarray, ndarray], bins: int) -> None:
    np.testing.assert_allclose(klom(*pair, bins=bins), plain_klom(*pair, bins=bins), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("bins", [2, 20])
def test_an_example_that_never_differs_is_no_distance_whatever_lies_on_an_edge_beside_it(bins: int) -> None:
    unlearned, oracle = np.array([[100.0, 3.0], [50.0, 3.0]]), np.array([[0.0, 3.0], [10.0, 3.0]])
    assert klom(unlearned, oracle, bins=bins)[1] == 0.0
    assert klom(oracle, unlearned, bins=bins)[1] == 0.0


@pytest.mark.parametrize("case", ["same_normal_n100", "shift_two_sd", "heavy_tails_clipped", "ties_on_edges"])
def test_equals_a_plain_histogram_on_golden_margins(case: str) -> None:
    with np.load(Path(__file__).parents[1] / "golden" / "klom_cases.npz") as golden:
        unlearned, oracle = golden[f"{case}.unlearned"], golden[f"{case}.oracle"]
    np.testing.assert_allclose(klom(unlearned, oracle), plain_klom(unlearned, oracle), rtol=1e-10, atol=1e-12)


@given(pairs(), st.randoms())
@settings(deadline=None)
def test_the_order_of_the_models_does_not_matter(pair: tuple[ndarray, ndarray], random: object) -> None:
    shuffled = [side[random.sample(range(len(side)), len(side))] for side in pair]  # type: ignore[attr-defined]
    np.testing.assert_array_equal(klom(*shuffled), klom(*pair))


@given(pairs())
@settings(deadline=None)
def test_lies_between_zero_and_the_ceiling(pair: tuple[ndarray, ndarray]) -> None:
    values = klom(*pair)
    assert (values >= -20 * 1e-5).all()
    assert (values <= np.log(1e5) + 1e-9).all()


@given(pairs())
@settings(deadline=None)
def test_an_ensemble_is_no_distance_from_itself(pair: tuple[ndarray, ndarray]) -> None:
    np.testing.assert_array_equal(klom(pair[0], pair[0]), np.zeros(pair[0].shape[1]))


@pytest.mark.parametrize("spread", [1e-3, 1e-8, 1e-11])
def test_margins_that_hardly_differ_fall_into_the_bins_of_linspace(spread: float) -> None:
    rng = np.random.default_rng(3)
    unlearned, oracle = 90 + spread * rng.normal(size=(100, 50)), 90 + spread * rng.normal(size=(100, 50))
    np.testing.assert_allclose(klom(unlearned, oracle), plain_klom(unlearned, oracle), rtol=1e-10)


def test_a_constant_above_every_oracle_is_far_not_perfect() -> None:
    oracle = np.random.default_rng(0).normal(size=(100, 1))
    assert klom(np.full((100, 1), 5.0), oracle) > 1  # the reference code says 0.0


def test_the_floor_is_what_two_samples_of_one_normal_get() -> None:
    rng = np.random.default_rng(0)
    values = klom(rng.normal(size=(100, 4000)), rng.normal(size=(100, 4000)))
    assert values.mean() == pytest.approx(0.353, abs=0.01)  # 0.3530 over 200,000 examples
    assert np.percentile(values, 95) == pytest.approx(0.678, abs=0.02)


def test_layout_type_and_protection_of_the_arrays_do_not_matter() -> None:
    rng = np.random.default_rng(1)
    unlearned, oracle = (rng.normal(size=(20, 700)).astype(np.float32) for _ in range(2))
    expected = klom(unlearned, oracle)
    protected = unlearned.copy()
    protected.flags.writeable = False
    for other in (protected, np.asfortranarray(unlearned), unlearned.astype(np.float64)):
        np.testing.assert_array_equal(klom(other, oracle), expected)
    np.testing.assert_array_equal(klom(unlearned[:, ::2], oracle[:, ::2]), expected[::2])


def test_two_callers_at_once_get_what_one_gets() -> None:
    rng = np.random.default_rng(2)
    pair = [
        rng.normal(size=(50, 20_000)).astype(np.float32) for _ in range(2)
    ]  # large: each call has threads of its own
    alone = klom(pair[0][:, :100], pair[1][:, :100])
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(lambda _: klom(*pair), range(8)))
    for values in together:
        np.testing.assert_array_equal(values, together[0])
        np.testing.assert_array_equal(values[:100], alone)


def test_names_the_models_whose_margins_are_not_finite() -> None:
    unlearned, oracle = np.zeros((5, 3)), np.zeros((5, 3))
    oracle[[1, 4], 2] = np.nan, np.inf
    with pytest.raises(BadMargins, match=r"oracle: .* in model 1, 4;"):
        klom(unlearned, oracle)


def test_refuses_other_examples() -> None:
    with pytest.raises(MismatchedEnsembles, match=r"got 3 unlearned and 4 oracle"):
        klom(np.zeros((5, 3)), np.zeros((5, 4)))


def test_refuses_an_ensemble_without_models() -> None:
    with pytest.raises(BadMargins, match="oracle: expected"):
        klom(np.zeros((5, 3)), np.zeros((0, 3)))


def test_refuses_what_is_no_array_of_numbers_in_one_line() -> None:
    code = (
        "import numpy as np, torch; from expunge.errors import BadMargins; from expunge.metrics.klom import klom\n"
        "good = np.zeros((5, 3))\n"
        "for bad in ([[1.0]], torch.zeros(5, 3), None, good.astype(object), good.astype(str), good + 0j, good[0]):\n"
        "    try: klom(good, bad)\n"
        "    except BadMargins as error: print(error)\n"
    )  # in a process of its own, where annotations are not checked
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    lines = run.stdout.splitlines()
    assert len(lines) == 7
    assert lines[0] == (
        "oracle: expected a NumPy array (models, examples), got list; give np.asarray(margins), of a tensor "
        "margins.detach().cpu().numpy()"
    )
    assert all(line.startswith("oracle: expected ") for line in lines)


@pytest.mark.parametrize("setting", [{"bins": 0}, {"floor": 0.0}, {"floor": 1.0}, {"clip": 0.0}, {"clip": np.inf}])
def test_refuses_settings_out_of_range(setting: dict[str, float]) -> None:
    with pytest.raises(BadSetting, match=next(iter(setting))):
        klom(np.zeros((2, 1)), np.zeros((2, 1)), **setting)  # type: ignore[arg-type]


@pytest.mark.faults
def test_runs_from_a_read_only_install_without_a_home(tmp_path: Path) -> None:
    package = Path(expunge.__file__).parent
    copy = tmp_path / "expunge"
    shutil.copytree(package, copy, ignore=shutil.ignore_patterns("__pycache__", "data", "vendor"))
    (copy / "metrics" / "__pycache__").touch()  # a file where the folder would be: not writable, for root either
    code = (
        "import numpy as np; from expunge.metrics import _kernels; from expunge.metrics.klom import klom;"
        "assert type(_kernels.klom_block._cache).__name__ == 'NullCache';"
        "print(_kernels.__file__, klom(np.zeros((3, 1)), np.ones((2, 1))))"
    )
    places = dict.fromkeys(("HOME", "XDG_CACHE_HOME", "NUMBA_CACHE_DIR"), "/proc/nowhere")
    environment = {**os.environ, **places, "PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    run = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.split() == [str(copy / "metrics" / "_kernels.py"), "[11.51292546]"]
