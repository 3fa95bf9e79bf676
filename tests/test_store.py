import json
from pathlib import Path

import numpy as np
import pytest
import torch

from expunge.errors import StoreError
from expunge.store import MANIFEST, SHIPPED, Stacked, Store, at_store, user_store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path)
    store.write("a/b", {"x": np.arange(6).reshape(2, 3), "w": {"k": torch.ones(2)}}, {"models": 2})
    return store


def test_what_was_written_is_read(store: Store) -> None:
    artefact = store.read("a/b")
    assert artefact is not None
    assert artefact.meta == {"models": 2}
    assert artefact.array("x").tolist() == [[0, 1, 2], [3, 4, 5]]
    assert isinstance(artefact.array("x"), np.memmap)
    assert torch.equal(artefact.tensors("w")["k"], torch.ones(2))


def test_names_of_what_is_kept_may_be_words(own_store: Path) -> None:
    Store(own_store).write("key", {"condensed data, suite": np.zeros(3)}, {})
    found = Store(own_store).read("key")
    assert found
    assert "condensed data, suite" in found


def test_what_is_not_there_is_none(store: Store) -> None:
    assert store.read("a/c") is None


def test_a_folder_without_manifest_is_unfinished_and_can_be_finished(store: Store) -> None:
    (store.root / "a/b" / MANIFEST).unlink()
    assert store.read("a/b") is None
    store.write("a/b", {"x": np.zeros(1)}, {})
    assert store.read("a/b") is not None


@pytest.mark.parametrize("name", ["x.npy", "w.safetensors"])
def test_a_flipped_bit_is_found_and_the_file_named(store: Store, name: str) -> None:
    file = store.root / "a/b" / name
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(bytes(data))
    with pytest.raises(StoreError, match=rf"{name} does not have the SHA-256.*delete .*a/b/manifest.json and run the"):
        store.read("a/b")


def test_every_flipped_byte_of_a_manifest_is_found(store: Store) -> None:
    file = store.root / "a/b" / MANIFEST
    good = file.read_bytes()
    for position in range(0, len(good), 7):
        data = bytearray(good)
        data[position] ^= 4
        file.write_bytes(bytes(data))
        if _means_the_same(bytes(data), good):
            continue
        with pytest.raises(StoreError, match=r"damaged store|has schema"):
            store.read("a/b")


def _means_the_same(data: bytes, good: bytes) -> bool:
    try:
        return bool(json.loads(data) == json.loads(good))
    except ValueError:
        return False


def test_a_missing_file_is_named(store: Store) -> None:
    (store.root / "a/b/x.npy").unlink()
    with pytest.raises(StoreError, match=r"x\.npy is missing"):
        store.read("a/b")


def test_another_schema_is_told_apart_from_damage(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("expunge.store.SCHEMA", 2)
    with pytest.raises(StoreError, match="has schema 1, this expunge reads 2"):
        store.read("a/b")


def test_a_store_that_cannot_be_written_says_so() -> None:
    with pytest.raises(StoreError, match="set EXPUNGE_STORE"):
        Store(Path("/proc/nowhere")).write("a", {}, {})


def test_an_interrupted_write_leaves_no_part_behind(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("os.replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        store.write("new", {"x": np.zeros(3)}, {})
    assert list((store.root / "new").iterdir()) == []


def test_the_users_store_is_where_the_environment_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXPUNGE_STORE", str(tmp_path))
    assert user_store().root == tmp_path
    monkeypatch.delenv("EXPUNGE_STORE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert user_store().root == tmp_path / "cache" / "expunge"


def test_all_shipped_artefacts_are_whole_and_under_25_megabytes() -> None:
    store = Store(SHIPPED)
    manifests = list(SHIPPED.rglob(MANIFEST))
    assert len(manifests) == 12  # pretrained, subsets, forget sets, oracles of eight; forget sets of fashion-mnist-10k
    assert all(store.read(str(file.parent.relative_to(SHIPPED))) for file in manifests)
    assert sum(file.stat().st_size for file in SHIPPED.rglob("*") if file.is_file()) < 25e6


def test_stacked_arrays_are_written_as_one(own_store: Path) -> None:
    parts = [np.arange(6.0).reshape(2, 3), np.arange(3.0).reshape(1, 3)]
    artefact = user_store().write("a", {"x": Stacked(parts), "y": np.concatenate(parts)}, {})
    assert (artefact.folder / "x.npy").read_bytes() == (artefact.folder / "y.npy").read_bytes()
    np.testing.assert_array_equal(artefact.array("x"), np.concatenate(parts))


def test_files_have_the_bytes_that_numpy_writes(own_store: Path, tmp_path: Path) -> None:
    for array in (np.arange(7, dtype=np.float16), np.asfortranarray(np.ones((3, 4))), np.zeros((2, 5), bool)):
        artefact = user_store().write("a", {"x": array}, {})
        np.save(tmp_path / "x.npy", np.ascontiguousarray(array))
        assert (artefact.folder / "x.npy").read_bytes() == (tmp_path / "x.npy").read_bytes()


def test_some_rows_of_tensors_are_those_rows(own_store: Path) -> None:
    weights = {"w": torch.arange(12.0).reshape(4, 3)}
    artefact = user_store().write("a", {"weights": weights}, {})
    assert torch.equal(artefact.tensors("weights", slice(1, 3))["w"], weights["w"][1:3])


def test_an_artefact_without_its_manifest_is_absent_and_what_lies_there_is_kept(own_store: Path) -> None:
    store = user_store()
    artefact = store.write("a", {"x": np.zeros(1)}, {})
    store.disown("a")
    assert store.read("a") is None
    assert (artefact.folder / "x.npy").exists()
    store.remove("a")
    assert not artefact.folder.exists()


def test_two_stores_have_two_names_and_one_store_has_one(tmp_path: Path) -> None:
    one, other = Store(tmp_path / "one"), Store(tmp_path / "other")
    assert one.identity() == one.identity() != other.identity()
    assert Store(tmp_path / "none").identity(make=False) == ""


def test_a_job_brings_its_store_along(tmp_path: Path, own_store: Path) -> None:
    with at_store(tmp_path):
        assert user_store().root == tmp_path
    assert user_store().root == own_store


def test_an_address_is_no_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXPUNGE_STORE", "s3://bucket/store")
    with pytest.raises(StoreError, match="expected a folder"):
        user_store()
