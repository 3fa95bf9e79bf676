"""Every file that is shipped beside the code has its hash, and a flipped byte of it is one line."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from expunge import shipped
from expunge.errors import StoreError
from expunge.reports.leaderboard.results import read_results
from expunge.shipped import LIST, PACKAGE, listed, read_shipped
from expunge.suites import pictures
from expunge.suites.pictures import shipped_indices


def test_the_list_is_of_what_is_there() -> None:
    assert LIST.read_text() == listed(), "run python -m expunge.shipped"
    paths = [line.partition("  ")[2] for line in LIST.read_text().splitlines()[:-1]]
    assert {"suites/cifar10_forget_sets.npz", "reports/leaderboard/results.json"} <= set(paths)
    data = {file for file in PACKAGE.rglob("*") if file.suffix in (".npz", ".json", ".toml", ".js")}
    others = {file for file in data if PACKAGE / "data" in file.parents or file.parent.name == "templates"}
    assert {file.relative_to(PACKAGE).as_posix() for file in data - others} <= set(paths)


def flipped(file: Path, at: int) -> None:
    data = bytearray(file.read_bytes())
    data[at] ^= 1
    file.write_bytes(bytes(data))


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of two shipped files."""
    for name in ("suites/cifar10_forget_sets.npz", "reports/leaderboard/results.json"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_bytes((PACKAGE / name).read_bytes())
    monkeypatch.setattr(shipped, "PACKAGE", tmp_path)
    monkeypatch.setattr(shipped, "LIST", tmp_path / "shipped.sha256")
    monkeypatch.setattr(pictures, "__file__", str(tmp_path / "suites" / "pictures.py"))
    monkeypatch.setattr("expunge.reports.leaderboard.results.SHIPPED", tmp_path / "reports/leaderboard/results.json")
    (tmp_path / "shipped.sha256").write_text(listed())
    shipped._digests.cache_clear()
    read_results.cache_clear()
    return tmp_path


@pytest.mark.parametrize("at", [0, 100, -1])
@pytest.mark.parametrize("name", ["suites/cifar10_forget_sets.npz", "reports/leaderboard/results.json"])
def test_a_flipped_byte_is_one_line(name: str, at: int, copy: Path) -> None:
    read: Callable[[], object] = read_results
    if name.endswith(".npz"):
        read = partial(shipped_indices("cifar10_forget_sets.npz"), "set-1")
    read()
    read_results.cache_clear()
    flipped(copy / name, at)
    with pytest.raises(StoreError, match="does not have the bytes that were shipped; reinstall expunge") as caught:
        read()
    assert "\n" not in str(caught.value)
    read_results.cache_clear()
    shipped._digests.cache_clear()


@pytest.mark.parametrize("at", [0, 70, -3])
def test_a_flipped_byte_of_the_list_is_found(at: int, copy: Path) -> None:
    flipped(copy / "shipped.sha256", at)
    with pytest.raises(StoreError, match="reinstall expunge"):
        read_shipped(copy / "reports/leaderboard/results.json")
    shipped._digests.cache_clear()
