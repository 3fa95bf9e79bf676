"""Margins in mapped files are scored in blocks: the same to the last bit, in bounded memory."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy import ndarray

from expunge.bench.external_margins import score_margins
from expunge.bench.folder import write_arrays
from expunge.ensembles import Plan, check_margins, mapped_arrays, read_margins
from expunge.ensembles.margins import require_finite
from expunge.errors import BadMargins
from expunge.metrics import blockwise, flagging
from expunge.metrics.blockwise import ByExample
from expunge.metrics.calibration import estimate, paired_difference
from expunge.metrics.dealing import estimate_by_dealing
from expunge.metrics.distinguishable import distinguishable, distinguishable_share
from expunge.metrics.exchangeable import exchangeable
from expunge.metrics.flagging import flag_rule
from expunge.metrics.klom import klom
from expunge.metrics.oracle_copies import copies
from expunge.metrics.outliers import outliers_of_parts
from expunge.store import at_store
from expunge.suites import Suite
from tests.metrics.simulated import draw
from tests.metrics.test_distinguishable import alarms, most_alarms

MODELS, ORACLES, EXAMPLES = 30, 25, 307  # a prime


def numbers(values: ndarray) -> ndarray:
    return np.array([np.percentile(values, 95), values.mean(), np.percentile(values[:40], 95)])


def whole(unlearned: ndarray, oracle: ndarray) -> ndarray:
    """What :data:`HEADLINE` is, of everything at once."""
    return numbers(klom(unlearned.clip(-100, 100), oracle.clip(-100, 100)))


HEADLINE = ByExample(klom, numbers)
SPLITS = [np.arange(0, EXAMPLES, 3), np.array([5, 7, 290]), np.arange(280, EXAMPLES)]
STATISTICS: dict[str, Callable[[ndarray, ndarray], Any]] = {
    "klom": klom,
    "estimate": lambda u, o: estimate(HEADLINE, u, o),
    "estimate_by_dealing": lambda u, o: estimate_by_dealing(HEADLINE, u, o),
    "paired_difference": lambda u, o: paired_difference(HEADLINE, u[:10], u[10:20], o),
    "distinguishable": lambda u, o: distinguishable(u, o, permutations=199),
    "distinguishable_share": lambda u, o: distinguishable_share(u, o, SPLITS, permutations=199),
    "exchangeable": lambda u, o: exchangeable(u, o, permutations=199),
    "outliers": lambda u, o: outliers_of_parts(u, o, SPLITS),
    "copies": lambda u, o: [copies(u, o, split) for split in SPLITS],
}


@pytest.fixture
def pair() -> tuple[ndarray, ndarray]:
    """Margins with ties, constants, exploded models and copies, a tenth of them far from the oracles."""
    rng = np.random.default_rng(0)
    unlearned, oracle = draw(rng, MODELS, EXAMPLES, shared=0.05), draw(rng, ORACLES, EXAMPLES, shared=0.05)
    unlearned[:, :30] += 1.5
    unlearned[:, 200:250], oracle[:, 200:250] = unlearned[:, 200:250].round(), oracle[:, 200:250].round()
    unlearned[:, 260:270] = oracle[:, 265:275] = 2.0
    unlearned[3] *= 1e30
    unlearned[4] = oracle[2] + np.float32(1e-5)
    return unlearned, oracle


def in_files(folder: Path, *arrays: ndarray) -> list[ndarray]:
    for number, array in enumerate(arrays):
        np.save(folder / f"{number}.npy", array)
    return [np.load(folder / f"{number}.npy", mmap_mode="r") for number in range(len(arrays))]


def narrow(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    """Blocks of ``width`` examples or a few more, pieces of half of that, and as little held at once as can be."""
    models = MODELS + ORACLES
    monkeypatch.setattr(mapped_arrays, "BLOCK", width * 4 * models)
    monkeypatch.setattr(mapped_arrays, "RUN", 1)
    monkeypatch.setattr(mapped_arrays, "HELD", 16 * 8 * EXAMPLES)
    monkeypatch.setattr(blockwise, "LARGE", width * models)


@pytest.mark.parametrize("width", [pytest.param(2, marks=pytest.mark.slow), 50, 200])
@pytest.mark.parametrize("name", sorted(STATISTICS))
def test_blocks_change_no_bit(
    name: str, width: int, pair: tuple[ndarray, ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = STATISTICS[name](*pair)
    narrow(monkeypatch, width)
    maps = in_files(tmp_path, *pair)
    assert len(list(mapped_arrays.blocks(*maps))) == EXAMPLES // width
    np.testing.assert_equal(STATISTICS[name](*maps), expected)


@pytest.mark.parametrize("interval", [estimate, estimate_by_dealing])
def test_by_example_is_the_statistic_of_everything_at_once(
    interval: Callable[..., Any], pair: tuple[ndarray, ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    clipped = [side.clip(-100, 100) for side in pair]
    expected = interval(whole, *clipped)
    narrow(monkeypatch, 50)
    assert interval(HEADLINE, *pair) == expected


def test_paired_differences_by_example_are_those_of_everything_at_once(
    pair: tuple[ndarray, ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    unlearned, oracle = pair
    expected = paired_difference(whole, unlearned[:10], unlearned[10:20], oracle)
    narrow(monkeypatch, 50)
    assert paired_difference(HEADLINE, unlearned[:10], unlearned[10:20], oracle) == expected


@pytest.mark.parametrize("width", [2, 64])
def test_counted_flags_do_not_depend_on_blocks(
    width: int, pair: tuple[ndarray, ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flagging, "MOST", 0)
    expected = distinguishable_share(*pair, SPLITS, permutations=199)
    narrow(monkeypatch, width)
    unlearned, oracle = in_files(tmp_path, *pair)
    np.testing.assert_equal(distinguishable_share(unlearned, oracle, SPLITS, permutations=199), expected)


def test_counted_p_values_are_those_of_kept_statistics_or_a_little_larger(
    pair: tuple[ndarray, ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = flag_rule(*pair, permutations=999)
    monkeypatch.setattr(flagging, "MOST", 0)
    counted = flag_rule(*pair, permutations=999)
    assert counted.rounded
    assert not kept.rounded
    assert counted.drawn == kept.drawn
    exact, rounded = kept.p_values(kept.tail[::100]), counted.p_values(kept.tail[::100])
    assert exact.min() < 2e-4
    assert (rounded >= exact).all()
    assert (rounded <= 1.01 * exact + 10 / kept.drawn).all()
    assert counted.level == pytest.approx(kept.level, rel=0.01)


def test_counted_flags_of_halvings_of_real_oracles_are_rare(
    oracle_margins: ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flagging, "MOST", 0)
    assert alarms(oracle_margins, 40) <= most_alarms(40)


def test_counted_flags_find_what_is_shifted(pair: tuple[ndarray, ndarray], monkeypatch: pytest.MonkeyPatch) -> None:
    kept = distinguishable(*pair, permutations=199)
    monkeypatch.setattr(flagging, "MOST", 0)
    counted = distinguishable(*pair, permutations=199)
    assert kept[:30].mean() > 0.9
    assert (counted != kept).sum() <= 2


def negative_zero_twins(margins: ndarray) -> None:
    margins[2], margins[4] = 0.0, -0.0
    margins[[2, 4], 1] = 1.0


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda m: m.__setitem__(([1, 7], [3, 300]), np.nan), "in model 1, 7;"),
        (lambda m: m.__setitem__(5, 1.0), "model 5 has one and the same margin"),
        (lambda m: m.__setitem__(9, m[6]), r"models \[6, 9\] are bit-identical"),
        (negative_zero_twins, r"models \[2, 4\]"),
    ],
)
def test_margins_are_checked_in_blocks(
    spoil: Callable[[ndarray], None],
    message: str,
    pair: tuple[ndarray, ndarray],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    narrow(monkeypatch, 100)
    check_margins(in_files(tmp_path, pair[0])[0], EXAMPLES, "mine")
    spoil(pair[0])
    with pytest.raises(BadMargins, match=message):
        check_margins(in_files(tmp_path, pair[0])[0], EXAMPLES, "mine")


def test_models_that_agree_but_for_the_last_block_are_no_twins(
    pair: tuple[ndarray, ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    narrow(monkeypatch, 100)
    monkeypatch.setattr("zlib.crc32", lambda data, value: 0)  # as if all checksums met
    pair[0][9] = pair[0][6]
    pair[0][9, -1] += 1
    check_margins(in_files(tmp_path, pair[0])[0], EXAMPLES, "mine")


def test_all_models_with_bad_margins_are_named_wherever_they_are(
    pair: tuple[ndarray, ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    narrow(monkeypatch, 100)
    pair[1][[20, 4], [3, 300]] = np.nan, np.inf
    maps = in_files(tmp_path, *pair)
    for refuse in (lambda: klom(*maps), lambda: require_finite(maps[1], "oracle")):
        with pytest.raises(BadMargins, match=r"oracle: .* in model 4, 20;"):
            refuse()


def test_a_mapped_file_or_a_folder_scores_as_the_array_does(
    tiny_suite: Suite, tiny_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def numbers_of(given: object) -> list[tuple[float | None, ...]]:
        with at_store(tiny_store):
            return [(each.value, each.low, each.high) for each in score_margins(tiny_suite, "more", given)]

    with at_store(tiny_store):
        margins = np.array(read_margins(Plan(tiny_suite, "pretrained"), 0, 6).values) * np.float32(0.9)
    expected = numbers_of(margins)
    np.save(tmp_path / "all.npy", margins.astype(np.float64))
    (tmp_path / "each").mkdir()
    for number, row in enumerate(margins):
        np.save(tmp_path / "each" / f"{number:02d}.npy", row)
    monkeypatch.setattr(mapped_arrays, "BLOCK", 5_000)  # some ten blocks
    monkeypatch.setattr(mapped_arrays, "RUN", 1)
    for place in (tmp_path / "all.npy", tmp_path / "each"):
        assert numbers_of(place) == expected


def test_mapped_arrays_are_written_as_others_are(pair: tuple[ndarray, ndarray], tmp_path: Path) -> None:
    [mapped] = in_files(tmp_path, pair[0])
    arrays = {"mapped": mapped, "rows": mapped[3:9], "columns": mapped[:, 4:9], "memory": pair[1], "flat": mapped[0]}
    write_arrays(tmp_path / "out" / "all.npz", arrays)
    with np.load(tmp_path / "out" / "all.npz") as found:
        assert sorted(found) == sorted(arrays)
        for name, array in arrays.items():
            np.testing.assert_array_equal(found[name], array)
            assert found[name].dtype == array.dtype


PEAK = """
import sys, numpy as np
from pathlib import Path
from expunge.ensembles import check_margins, mapped_arrays
from expunge.metrics import flagging
from expunge.metrics.blockwise import ByExample
from expunge.metrics.dealing import estimate_by_dealing
from expunge.metrics.oracle_copies import copies
from expunge.metrics.distinguishable import distinguishable
from expunge.metrics.klom import klom
from expunge.metrics.outliers import outliers

mapped_arrays.BLOCK, mapped_arrays.HELD, mapped_arrays.RUN = 4 << 20, 4 << 20, 10_000
flagging.MOST = 0
examples = int(sys.argv[1])
unlearned, oracle = (np.load(file, mmap_mode="r")[:, :examples] for file in sys.argv[2:])
check_margins(unlearned, examples, "unlearned")
klom(unlearned, oracle)
estimate_by_dealing(ByExample(klom, lambda values: np.percentile(values, [95])), unlearned, oracle, deals=3)
copies(unlearned, oracle, np.arange(examples))
outliers(unlearned, oracle)
distinguishable(unlearned, oracle, permutations=20)
lines = Path("/proc/self/status").read_text().splitlines()
print(next(line for line in lines if line.startswith("VmHWM")).split()[1])
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux to know the peak of a process")
def test_two_hundred_thousand_examples_take_little_more_memory_than_two_thousand(tmp_path: Path) -> None:
    """Both files have 80 MB; a process that held one of them, or a copy, would show it."""
    rng = np.random.default_rng(0)
    files = [str(tmp_path / f"{name}.npy") for name in ("unlearned", "oracle")]
    for file in files:
        np.save(file, rng.standard_normal((100, 200_000), np.float32))
    small, large = (
        int(subprocess.check_output([sys.executable, "-c", PEAK, str(examples), *files], timeout=300))
        for examples in (2_000, 200_000)
    )
    print(f"peak of {small / 1e3:.0f} MB with 2,000 examples, {large / 1e3:.0f} MB with 200,000")
    assert large - small < 50_000
