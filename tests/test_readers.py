"""Every reader of files that others made: changed bytes give the right value or one line; small files stay small."""

import io
import json
import pickle
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy import ndarray
from safetensors.torch import save

from expunge.attacks.condensing.condensed import _read as read_condensed
from expunge.errors import ExpungeError
from expunge.number_files import read_array, read_arrays, tensor_shapes
from expunge.outside import read_json
from expunge.store import Store
from expunge.suites.forget_sets import from_file
from expunge.suites.formats import read_cifar_batches
from expunge.torch_files import read_tensors

VALUES = np.arange(12, dtype=np.float32).reshape(3, 4)


def npy(order: str = "C") -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.asarray(VALUES, order=order))  # type: ignore[call-overload]
    return stream.getvalue()


def npz(*, packed: bool) -> bytes:
    stream = io.BytesIO()
    (np.savez_compressed if packed else np.savez)(stream, a=VALUES, b=np.arange(5))
    return stream.getvalue()


def pt(value: object, *, zipped: bool = True) -> bytes:
    stream = io.BytesIO()
    torch.save(value, stream, _use_new_zipfile_serialization=zipped)
    return stream.getvalue()


def cifar() -> bytes:
    batch = {b"data": np.arange(3072 * 2, dtype=np.uint8).reshape(2, -1), b"labels": [1, 2]}
    return pickle.dumps(batch, protocol=2)


def manifest(folder: Path) -> bytes:
    Store(folder).write("a", {"x": VALUES}, {"models": 3})
    return (folder / "a" / "manifest.json").read_bytes()


def of_store(file: Path) -> object:
    artefact = Store(file.parent.parent).read("a")
    return None if artefact is None else (artefact.meta, artefact.array("x"))


def copied(array: ndarray) -> ndarray:
    return np.array(array)


READERS: dict[str, tuple[bytes, str, Callable[[Path], Any]]] = {
    "npy": (npy(), "x.npy", read_array),
    "npy by columns": (npy("F"), "x.npy", read_array),
    "mapped npy": (npy(), "x.npy", lambda file: copied(read_array(file, mapped=True))),
    "npz": (npz(packed=False), "x.npz", lambda file: read_arrays(file, ["a", "b"])),
    "packed npz": (npz(packed=True), "x.npz", lambda file: read_arrays(file, ["a", "b"])),
    "pt": (pt(torch.from_numpy(VALUES)), "x.pt", read_tensors),
    "two in a pt": (pt((torch.ones(3), torch.arange(4))), "x.pt", read_tensors),
    "pt of before": (pt(torch.from_numpy(VALUES), zipped=False), "x.pt", read_tensors),
    "safetensors": (save({"w": torch.ones(3, 2)}), "x.safetensors", tensor_shapes),
    "index text": (b"1, 2\n3 17", "x.csv", lambda file: from_file(file, 40)),
    "index npy": (npy().replace(b"<f4", b"<i4"), "x.npy", lambda file: from_file(file, 1 << 31)),
    "json": (b'{"a": [1, 2.5, "x"]}', "x.json", read_json),
    "cifar": (cifar(), "batch", lambda file: read_cifar_batches([file, file])),
    "condensed": (npz(packed=False), "x.npz", read_condensed),
}


def said(read: Callable[[Path], object], file: Path) -> str:
    """The line that refuses a file; empty where it is read. Any other exception is none of ours, and fails."""
    try:
        read(file)
    except ExpungeError as error:
        return str(error)
    return ""


def changed(data: st.DataObject, good: bytes) -> bytes:
    """A few bytes set to anything, then perhaps cut off, or with some in place of others."""
    bad = bytearray(good)
    for _ in range(data.draw(st.integers(0, 3))):
        bad[data.draw(st.integers(0, len(bad) - 1))] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        del bad[data.draw(st.integers(0, len(bad))) :]
    if data.draw(st.booleans()):
        at = data.draw(st.integers(0, len(bad)))
        bad[at : at + data.draw(st.integers(0, 9))] = data.draw(st.binary(max_size=12))
    return bytes(bad)


@pytest.mark.parametrize("name", sorted(READERS))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_changed_bytes_are_read_or_are_one_line(name: str, data: st.DataObject, tmp_path: Path) -> None:
    good, file_name, read = READERS[name]
    file = tmp_path / file_name
    file.write_bytes(changed(data, good))
    assert "\n" not in said(read, file)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_changed_manifest_is_read_or_is_one_line(data: st.DataObject, tmp_path: Path) -> None:
    good = manifest(tmp_path)
    file = tmp_path / "a" / "manifest.json"
    file.write_bytes(changed(data, good))
    assert "\n" not in said(of_store, file)


@pytest.mark.parametrize("name", ["pt", "two in a pt", "npz", "packed npz"])
def test_a_flipped_bit_of_what_has_a_checksum_is_found_or_changes_nothing(name: str, tmp_path: Path) -> None:
    good, file_name, read = READERS[name]
    file = tmp_path / file_name
    file.write_bytes(good)
    wanted = repr(read(file))
    for at in range(0, len(good), 11):
        file.write_bytes(good[:at] + bytes([good[at] ^ 8]) + good[at + 1 :])
        try:
            assert repr(read(file)) == wanted, at
        except ExpungeError:
            continue


class Runs:
    """Unpickled, it makes a file."""

    def __init__(self, mark: str) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, ...]:
        return open, (self.mark, "w")


@pytest.mark.parametrize("name", ["pt", "pt of before", "cifar", "npy", "npz"])
def test_nothing_that_is_read_is_run(name: str, tmp_path: Path) -> None:
    runs, stream = Runs(str(tmp_path / "it-ran")), io.BytesIO()
    if name.startswith("pt"):
        stream.write(pt({"a": runs}, zipped=name == "pt"))
    elif name == "cifar":
        stream.write(pickle.dumps({b"data": runs, b"labels": []}, protocol=2))
    elif name == "npy":
        np.save(stream, np.array([runs]), allow_pickle=True)
    else:
        np.savez(stream, a=np.array([runs]), b=np.arange(2))
    _, file_name, read = READERS[name]
    (tmp_path / file_name).write_bytes(stream.getvalue())
    with pytest.raises(ExpungeError):
        read(tmp_path / file_name)
    assert not (tmp_path / "it-ran").exists()


def sparse(file: Path, head: bytes, size: int) -> None:
    with file.open("wb") as stream:
        stream.write(head)
        stream.truncate(size)


def header(shape: str, kind: str = "<f4") -> bytes:
    text = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


def bombs(folder: Path) -> None:
    """Small or sparse files that say, or unpack to, more than is allowed, most of them gigabytes."""
    with (
        zipfile.ZipFile(folder / "zip.npz", "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("a.npy", "w") as member,
    ):
        member.write(header("(400, 1048576)", "|u1"))
        for _ in range(400):
            member.write(bytes(1 << 20))
    torch.save(torch.zeros(1).expand(1_000_000, 50_000), folder / "stride.pt")
    torch.save(torch.zeros(1).expand(1_000_000, 50_000), folder / "old.pt", _use_new_zipfile_serialization=False)
    with zipfile.ZipFile(folder / "packed.pt", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/data.pkl", bytes(400 << 20))
    sparse(folder / "index.npy", (head := header("(400000000,)", "<i8")), len(head) + 3_200_000_000)
    sparse(folder / "index.csv", b"1 2 3 ", 3_000_000_000)
    (folder / "claims.npy").write_bytes(header("(1000000, 1000000)"))
    (folder / "memo.pt").write_bytes(b"\x80\x02K\x01r\xff\xff\xff\x0f.")  # LONG_BINPUT to place 268,435,455
    (folder / "memo").write_bytes(b"\x80\x02K\x01r\xff\xff\xff\x0f.")
    sparse(folder / "long.safetensors", (5_000_000_000).to_bytes(8, "little") + b"{", 6_000_000_000)
    sparse(folder / "deep.json", b"[" * 1000, 3_000_000_000)


BOMBS = """
import resource, sys
from pathlib import Path
from expunge.errors import ExpungeError
from tests.test_readers import read_array, read_arrays, read_tensors, read_json, tensor_shapes, from_file
from tests.test_readers import read_cifar_batches
folder = Path(sys.argv[1])
readers = {".npz": lambda file: read_arrays(file, ["a"]), ".pt": read_tensors, ".json": read_json,
    ".safetensors": tensor_shapes, "": lambda file: read_cifar_batches([file, file])}
def peak():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
import torch, numpy, zipfile
before = peak()
for file in sorted(folder.iterdir()):
    read = readers.get(file.suffix) or (lambda file: from_file(file, 40))
    try:
        read(file)
    except ExpungeError as error:
        print(file.name, error)
    else:
        sys.exit(f"{file.name} was read")
print((peak() - before) * 1024)
"""


@pytest.mark.faults
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux to know the peak of a process")
def test_small_files_do_not_become_gigabytes(tmp_path: Path) -> None:
    bombs(tmp_path)
    done = subprocess.run([sys.executable, "-c", BOMBS, str(tmp_path)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    *lines, taken = done.stdout.splitlines()
    assert len(lines) == len(list(tmp_path.iterdir())), done.stdout
    assert int(taken) < 300e6


def test_the_json_of_a_manifest_that_is_no_map_is_one_line(tmp_path: Path) -> None:
    manifest(tmp_path)
    file = tmp_path / "a" / "manifest.json"
    every: list[object] = [[1], "x", {"meta": [], "files": {}}, {"meta": {}, "files": []}]
    for held in every:
        file.write_text(json.dumps(held))
        with pytest.raises(ExpungeError):
            of_store(file)
