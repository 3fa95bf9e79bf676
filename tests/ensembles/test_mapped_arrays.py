"""Blocks cover every example once, let go of what they read, and hand out what lies in the file."""

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy import ndarray

from expunge.ensembles import mapped_arrays
from expunge.ensembles.mapped_arrays import blocks, release, spans, stacked
from expunge.errors import StoreError


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of 7 examples or more of (3 + 2) models of float64."""
    monkeypatch.setattr(mapped_arrays, "BLOCK", 7 * 5 * 8)
    monkeypatch.setattr(mapped_arrays, "RUN", 1)


def mapped(folder: Path, values: ndarray, name: str = "values") -> ndarray:
    np.save(folder / f"{name}.npy", values)
    array: ndarray = np.load(folder / f"{name}.npy", mmap_mode="r")
    return array


@given(st.integers(0, 300), st.integers(0, 50))
def test_spans_cover_everything_once_and_are_never_one_wide(examples: int, width: int) -> None:
    found = spans(examples, width)
    assert [start for start, _ in found] == [0, *(stop for _, stop in found[:-1])]
    assert found[-1][1] == examples
    sizes = [stop - start for start, stop in found]
    assert len(found) == 1 or (min(sizes) >= max(width, 2) and max(sizes) < 2 * max(width, 2))


@pytest.mark.usefixtures("narrow")
@pytest.mark.parametrize("examples", [1, 6, 7, 50])
@pytest.mark.parametrize("order", ["C", "F"])
def test_blocks_of_mapped_files_are_copies_of_all_columns(tmp_path: Path, examples: int, order: str) -> None:
    arrays = [np.random.default_rng(0).normal(size=(models, examples)) for models in (3, 2)]
    maps = [mapped(tmp_path, np.asarray(array, order=order), str(len(array))) for array in arrays]  # type: ignore[call-overload]
    found = list(blocks(*maps))
    assert len(found) == max(1, examples // 7)
    for array, parts in zip(arrays, zip(*(parts for _, parts in found), strict=True), strict=True):
        assert all(part.flags.c_contiguous and not isinstance(part, np.memmap) for part in parts)
        np.testing.assert_array_equal(np.concatenate(parts, axis=1), array)
    assert [columns.start for columns, _ in found] == [0, *(columns.stop for columns, _ in found[:-1])]


def test_arrays_in_memory_are_one_block_and_no_copy() -> None:
    array = np.zeros((3, 1000))
    [(columns, (part,))] = blocks(array)
    assert part is array
    assert columns == slice(0, 1000)


def resident(file: Path) -> int:
    """Kilobytes of ``file`` that are mapped into this process and in memory."""
    total, inside = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if re.match(r"[0-9a-f]+-", line):
            inside = line.endswith(str(file))
        elif inside and line.startswith("Rss:"):
            total += int(line.split()[1])
    return total


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="needs Linux to look at mapped pages")
@pytest.mark.parametrize("view", [lambda a: a, lambda a: a[1:, 5:], lambda a: np.asarray(a)[:2]])
def test_pages_that_were_read_are_let_go(tmp_path: Path, view) -> None:  # type: ignore[no-untyped-def]
    array = mapped(tmp_path, np.ones((4, 1 << 18)))
    assert array.sum() == 4 << 18
    assert resident(tmp_path / "values.npy") >= 8 << 10
    release(view(array))
    assert resident(tmp_path / "values.npy") == 0
    assert array.sum() == 4 << 18
    for _ in blocks(view(array)):
        assert resident(tmp_path / "values.npy") == 0


def test_private_changes_of_a_mapped_file_are_kept(tmp_path: Path) -> None:
    mapped(tmp_path, np.zeros((2, 10)))
    private = np.load(tmp_path / "values.npy", mmap_mode="c")
    private[1] = 5
    release(private)
    assert (private[1] == 5).all()


@pytest.mark.parametrize("block", [1, 1 << 20])
def test_rows_are_stacked_in_memory_or_in_a_file_that_vanishes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, block: int
) -> None:
    monkeypatch.setattr(mapped_arrays, "BLOCK", block)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    rows = np.arange(12.0).reshape(3, 4)
    found = stacked(iter(rows), (3, 4), np.dtype(np.float32))
    np.testing.assert_array_equal(found, rows)
    assert found.dtype == np.float32
    assert isinstance(found, np.memmap) == (block == 1)
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_no_room_for_stacked_rows_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mapped_arrays, "BLOCK", 1)
    with open("/dev/full", "w+b", buffering=0) as full:
        monkeypatch.setattr("tempfile.TemporaryFile", lambda: full)
        with pytest.raises(StoreError, match=r"No space left on device; set TMPDIR"):
            stacked(iter(np.zeros((3, 4))), (3, 4), np.dtype(np.float32))
