"""CIFAR-100 is read by its fine labels out of the archive or the hub, always in the archive's order."""

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from expunge.errors import BadData
from expunge.suites import load_suite
from expunge.suites.formats import Raw, read_cifar_batches
from expunge.suites.sources import read_source
from tests.suites.sources import Boom, small_cifar100, small_raw, write_fine_batches, write_hub_files


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of EXPUNGE_DATA; there is no hub."""
    folder = tmp_path / "data"
    folder.mkdir()
    monkeypatch.setenv("EXPUNGE_DATA", str(folder))
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    return folder


@pytest.fixture
def raw() -> Raw:
    """Pictures with labels up to 99."""
    found = small_raw(3, 32)
    return found._replace(train_y=found.train_y * 11, test_y=found.test_y + np.uint8(60))


def same(found: Raw, expected: Raw) -> bool:
    return all(np.array_equal(one, other) for one, other in zip(found, expected, strict=True))


def test_the_two_files_of_the_archive_are_read_by_their_fine_labels(raw: Raw, place: Path) -> None:
    write_fine_batches(place / "cifar100", raw)
    assert same(read_source(small_cifar100(raw, place / "cifar100")), raw)


def test_the_files_of_the_hub_are_read_by_their_fine_labels(raw: Raw, place: Path, tmp_path: Path) -> None:
    write_fine_batches(tmp_path, raw)
    source = small_cifar100(raw, tmp_path)
    write_hub_files(place / "cifar100", raw, source, "img", "fine_label")
    for name, _ in source.hub.files:  # the hub's have a column of coarse labels too
        table = pq.read_table(place / "cifar100" / name)
        pq.write_table(table.append_column("coarse_label", [[7] * len(table)]), place / "cifar100" / name)
    assert same(read_source(source), raw)


def test_files_of_the_hub_that_do_not_begin_as_the_archive_are_refused(raw: Raw, place: Path, tmp_path: Path) -> None:
    write_fine_batches(tmp_path, raw)
    source = small_cifar100(raw, tmp_path)
    turned = raw._replace(train_x=raw.train_x[::-1].copy(), train_y=raw.train_y[::-1].copy())
    write_hub_files(place / "cifar100", turned, source, "img", "fine_label")
    with pytest.raises(BadData, match=r"begin with the labels \[99, 88, .*\], the archive's with \[0, 11, ") as said:
        read_source(source)
    assert "\n" not in str(said.value)


def test_a_file_with_another_hash_is_not_even_opened(raw: Raw, place: Path) -> None:
    write_fine_batches(place, raw)
    source = small_cifar100(raw, place)
    (place / "cifar-100-python/train").write_bytes(pickle.dumps(Boom(place / "boom")))
    with pytest.raises(BadData, match=r"train has md5 .* expected .*: it is damaged or another version"):
        read_source(source)
    unhashed = replace(
        source, layouts=(replace(source.layouts[0], files=tuple((name, "") for name, _ in source.layouts[0].files)),)
    )
    with pytest.raises(BadData, match=r"a pickle that asks for (io|_io|builtins|__builtin__)\.open"):
        read_source(unhashed)
    assert not (place / "boom").exists()


def test_a_batch_without_fine_labels_is_named(tmp_path: Path) -> None:
    (tmp_path / "train").write_bytes(pickle.dumps({b"data": np.zeros((1, 3072), np.uint8), b"labels": [1]}))
    with pytest.raises(BadData, match="train is no batch of CIFAR with data and fine_labels"):
        read_cifar_batches([tmp_path / "train"] * 2, "fine_labels")


def test_its_forget_sets_are_known_without_its_pictures() -> None:
    suite = load_suite("cifar100-resnet18")
    made = ["random-100", "random-1000", "class-69", "subclass-100", "neighbours-100"]
    assert list(suite.forget_sets) == made
    assert len(suite.forget_sets["random-1000"].indices) == 1000
    assert "_pair" not in vars(suite.data)
    assert (suite.data.classes, suite.data.sizes) == (100, (50_000, 10_000))
