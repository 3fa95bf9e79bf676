"""Public data sets are read from folders, the store and the hub, in all their formats; what is wrong is one line."""

import gzip
import pickle
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy.io import savemat

from expunge.errors import BadData, MissingData, UserError
from expunge.store import user_store
from expunge.suites.formats import Raw, read_cifar_batches
from expunge.suites.sources import FileSet, Source, read_source
from expunge.suites.svhn import SOURCE as SVHN
from tests.hub_server import Fault, HubServer
from tests.suites.sources import (
    Boom,
    small_cifar10,
    small_mnist,
    small_raw,
    write_batches,
    write_hub_files,
    write_idx,
)

NOWHERE = "http://127.0.0.1:1"  # nobody answers there


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of EXPUNGE_DATA; there is no hub, and its cache is empty."""
    folder = tmp_path / "data"
    folder.mkdir()
    monkeypatch.setenv("EXPUNGE_DATA", str(folder))
    monkeypatch.setenv("HF_ENDPOINT", NOWHERE)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    return folder


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    with HubServer(tmp_path / "hub") as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        yield server


def same(found: Raw, expected: Raw) -> bool:
    return all(np.array_equal(one, other) for one, other in zip(found, expected, strict=True))


def refused(source: Source, kind: type[UserError], message: str) -> str:
    with pytest.raises(kind, match=message) as caught:
        read_source(source)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def shuffled(raw: Raw) -> Raw:
    """The blocks of training examples in the order 4, 3, 2, 5, 1."""
    rows = np.arange(len(raw.train_y)).reshape(5, -1)[[3, 2, 1, 4, 0]].ravel()
    return raw._replace(train_x=raw.train_x[rows], train_y=raw.train_y[rows])


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("below", ["mnist", "."])
def test_idx_files_are_read_packed_or_not_from_the_folder_or_below(packed: bool, below: str, place: Path) -> None:
    raw = small_raw(1, 28)
    write_idx(place / below, raw, packed=packed)
    assert same(read_source(small_mnist(raw)), raw)
    assert not (user_store().root / "data").exists()  # what is read quickly is not kept a second time


def test_a_folder_of_the_system_is_read_too(tmp_path: Path) -> None:
    raw = small_raw(1, 28)
    write_idx(tmp_path / "system", raw)
    assert same(read_source(replace(small_mnist(raw), folders=(str(tmp_path / "system"),))), raw)


def test_python_batches_are_read_in_their_order(place: Path) -> None:
    raw = small_raw(3, 32)
    write_batches(place / "cifar10", raw)
    assert same(read_source(small_cifar10(raw, place / "cifar10")), raw)


def test_matlab_files_are_read_and_their_ten_is_zero(place: Path) -> None:
    raw = small_raw(3, 32)
    layout = FileSet(tuple((name, "") for name, _ in SVHN.layouts[0].files), SVHN.layouts[0].read)
    for name, x, y in (("train", raw.train_x, raw.train_y), ("test", raw.test_x, raw.test_y)):
        content = {"X": x.transpose(2, 3, 1, 0), "y": np.where(y == 0, 10, y)[:, None]}
        savemat(place / f"{name}_32x32.mat", content, do_compression=True)
    source = replace(SVHN, sizes=(10, 4), layouts=(layout,))
    assert same(read_source(source), raw)


@pytest.mark.parametrize("flat", [True, False])
def test_the_files_of_the_hub_may_lie_in_the_folder_and_are_kept_decoded(flat: bool, place: Path) -> None:
    raw = small_raw(1, 28)
    source = small_mnist(raw)
    write_hub_files(place / "mnist", raw, source, "image", "label")
    if flat:
        for file in (place / "mnist/mnist").iterdir():
            file.rename(place / "mnist" / file.name)
    source = replace(source, hub=replace(source.hub, files=tuple((name, "") for name, _ in source.hub.files)))
    assert same(read_source(source), raw)
    again = read_source(source)
    assert same(again, raw)
    assert isinstance(again.train_x, np.memmap)


def test_files_that_nobody_published_a_hash_of_are_read_but_not_kept(place: Path) -> None:
    raw = small_raw(3, 32)
    source = replace(SVHN, sizes=(10, 4))
    write_hub_files(place / "svhn", raw, source, "image", "label")
    assert same(read_source(source), raw)
    assert not (user_store().root / "data").exists()


def test_the_hub_is_asked_once(hub: HubServer) -> None:
    raw = small_raw(1, 28)
    source = small_mnist(raw)
    write_hub_files(hub.repo(source.repo), raw, source, "image", "label")
    source = replace(source, revision=hub.commit(hub.repo(source.repo)))
    assert same(read_source(source), raw)
    asked = len(hub.asked)
    assert asked > 0
    assert same(read_source(source), raw)
    assert len(hub.asked) == asked


def test_batches_of_the_hub_in_another_order_are_put_into_the_published_one(hub: HubServer, place: Path) -> None:
    raw = small_raw(3, 32)
    write_batches(place / "elsewhere", raw)
    source = small_cifar10(raw, place / "elsewhere")
    write_hub_files(hub.repo(source.repo), shuffled(raw), source, "img", "label")
    source = replace(source, revision=hub.commit(hub.repo(source.repo)))
    assert same(read_source(source), raw)


def test_batches_that_cannot_be_told_are_refused(hub: HubServer, place: Path) -> None:
    raw = small_raw(3, 32)
    write_batches(place / "elsewhere", raw)
    source = small_cifar10(raw, place / "elsewhere")
    other = raw._replace(train_y=raw.train_y[::-1].copy())
    write_hub_files(hub.repo(source.repo), other, source, "img", "label")
    source = replace(source, revision=hub.commit(hub.repo(source.repo)))
    refused(source, BadData, "not in blocks that equal data_batch_1 to data_batch_5")


def test_with_neither_folder_nor_hub_one_line_says_what_to_put_where() -> None:
    said = refused(small_mnist(small_raw(1, 28)), MissingData, "mnist: no folder has its examples, and hub http://127")
    assert "cannot be reached" in said
    assert "put train-images-idx3-ubyte.gz" in said
    assert "$EXPUNGE_DATA/mnist" in said


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (Fault("resolve|tree", "status", 404), "404|no such|revision|name"),
        (Fault("resolve|tree", "status", 401), "log in"),
        (Fault("resolve|tree", "html"), "not that of a hub"),
        (Fault("resolve|tree", "json"), "not that of a hub"),
        (Fault("storage", "swap"), "not what the hub tells"),
    ],
)
def test_a_hub_that_refuses_or_talks_nonsense_is_one_line(fault: Fault, message: str, hub: HubServer) -> None:
    raw = small_raw(1, 28)
    source = small_mnist(raw)
    write_hub_files(hub.repo(source.repo), raw, source, "image", "label")
    source = replace(source, revision=hub.commit(hub.repo(source.repo)))
    hub.faults.append(fault)
    said = refused(source, MissingData, message)
    assert "put train-images-idx3-ubyte.gz" in said


def test_a_revision_that_the_hub_does_not_have_is_one_line(hub: HubServer) -> None:
    source = small_mnist(small_raw(1, 28))
    write_hub_files(hub.repo(source.repo), small_raw(1, 28), source, "image", "label")
    refused(source, MissingData, "no such revision")


def test_a_folder_that_is_none_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXPUNGE_DATA", "/nowhere")
    refused(small_mnist(small_raw(1, 28)), MissingData, "EXPUNGE_DATA is '/nowhere', which is no folder")


def test_a_part_of_the_files_is_not_passed_over(place: Path) -> None:
    raw = small_raw(1, 28)
    write_idx(place / "mnist", raw)
    (place / "mnist/t10k-labels-idx1-ubyte.gz").unlink()
    refused(small_mnist(raw), MissingData, "holds only a part of mnist: it lacks t10k-labels-idx1-ubyte.gz")


def test_other_examples_of_the_same_shape_are_refused(place: Path) -> None:
    write_idx(place, small_raw(1, 28, seed=1))  # as Fashion-MNIST's files, which have the names of MNIST's
    refused(small_mnist(small_raw(1, 28)), BadData, "has not the examples of mnist, only their shapes")


def test_another_number_of_examples_is_refused(place: Path) -> None:
    raw = small_raw(1, 28)
    write_idx(place, raw._replace(train_x=raw.train_x[:9], train_y=raw.train_y[:9]))
    refused(
        small_mnist(raw), BadData, r"is not mnist: expected \(10, 1, 28, 28\) with 10 classes, got \(9, 1, 28, 28\)"
    )


@pytest.mark.parametrize(  # gzip writes the time into what it packs, and two processes must collect one name
    "content",
    [b"", b"no idx", gzip.compress(b"\0\0\x09\1\0\0\0\1x"), gzip.compress(b"\0\0\x08\3\xff\xff\xff\xff")],
    ids=["empty", "no idx", "of another type", "of a huge size"],
)
def test_a_file_that_is_no_idx_is_named(content: bytes, place: Path) -> None:
    raw = small_raw(1, 28)
    write_idx(place, raw)
    (place / "train-images-idx3-ubyte.gz").write_bytes(content)
    refused(small_mnist(raw), BadData, "train-images-idx3-ubyte.gz is no idx file of bytes")


def test_a_batch_with_another_hash_is_not_even_opened(place: Path) -> None:
    raw = small_raw(3, 32)
    write_batches(place, raw)
    source = small_cifar10(raw, place)
    file = place / "cifar-10-batches-py/data_batch_3"
    file.write_bytes(pickle.dumps(Boom(place / "boom")))
    refused(source, BadData, "data_batch_3 has md5 .* expected .*: it is damaged or another version")
    assert not (place / "boom").exists()


def test_a_pickle_that_wants_to_run_code_is_refused(tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("data_batch_1", "test_batch")]
    for file in files:
        file.write_bytes(pickle.dumps({b"data": Boom(tmp_path / "boom"), b"labels": []}, protocol=2))
    with pytest.raises(BadData, match=r"a pickle that asks for (io|_io|builtins|__builtin__)\.open"):
        read_cifar_batches(files)
    assert not (tmp_path / "boom").exists()


@pytest.mark.parametrize("content", [b"", b"garbage", pickle.dumps([1, 2]), pickle.dumps({b"data": 3})])
def test_a_pickle_that_is_no_batch_is_named(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "batch").write_bytes(content)
    with pytest.raises(BadData, match="batch is no batch of CIFAR with data and labels"):
        read_cifar_batches([tmp_path / "batch"] * 2)


def test_a_parquet_file_of_garbage_or_of_other_columns_is_named(place: Path) -> None:
    raw = small_raw(3, 32)
    source = replace(SVHN, sizes=(10, 4))
    write_hub_files(place, raw, source, "picture", "label")
    refused(source, BadData, "has no column 'image'; its columns are picture, label")
    for name, _ in source.hub.files:
        (place / name).write_bytes(b"PAR1 but no more")
    refused(source, BadData, "is no parquet file")


def test_a_parquet_file_of_broken_pictures_names_the_row(place: Path) -> None:
    source = replace(SVHN, sizes=(10, 4))
    raw = small_raw(3, 32)
    write_hub_files(place, raw, source, "image", "label")
    file = place / source.hub.files[0][0]
    rows = pq.read_table(file).to_pydict()
    rows["image"][3]["bytes"] = rows["image"][3]["bytes"][:40]
    pq.write_table(pa.table(rows), file)
    refused(source, BadData, "row 3 of .*train-00000-of-00001.parquet is no picture")
