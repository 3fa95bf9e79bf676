"""Artefacts on disk: a folder of files, each written whole, with a manifest of their SHA-256 that is written last.

Files are flushed to the disk before the manifest is, so that also after a loss of power a manifest stands for data.
Two stores are read, in this order: the one shipped inside the package, which is never written, and the user's, which
lies at ``EXPUNGE_STORE`` or in the user's cache folder. A folder without a manifest is unfinished and counts as absent.
"""

import contextlib
import hashlib
import json
import os
import re
import shutil
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from numpy import ndarray
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from expunge.errors import CannotRead, DamagedArtefact, StoreError
from expunge.files import Hashed, replace_file, sha256_of
from expunge.number_files import NAMES, read_array, readable, tensor_shapes
from expunge.outside import cannot_read, read_bytes, read_text

SCHEMA = 1
MANIFEST = "manifest.json"
SHIPPED = Path(__file__).parent / "data"

_PLAIN = re.compile(r"[^./\\\x00-\x1f][^/\\\x00-\x1f]*\.(npy|safetensors)")  # of an artefact: a name, never a path
_IDENTITY = ".store"  # holds a name that no other store has
_PLACE: ContextVar[Path | None] = ContextVar("the store that jobs of this context write to", default=None)


@dataclass(frozen=True)
class Stacked:
    """Arrays to be written as one, joined along their first axis; they are never in memory together."""

    parts: Sequence[ndarray]


# An array becomes NAME.npy, named tensors NAME.safetensors.
Content = ndarray | Stacked | Mapping[str, Tensor]


@dataclass(frozen=True)
class Artefact:
    """A finished folder whose files were checked against its manifest."""

    folder: Path
    meta: dict[str, Any]

    def __contains__(self, name: str) -> bool:
        """Whether there is a file of array or tensors ``name``."""
        return (self.folder / f"{name}.npy").exists() or (self.folder / f"{name}.safetensors").exists()

    def array(self, name: str) -> ndarray:
        """The array ``name``, memory-mapped and read-only."""
        return read_array(self.folder / f"{name}.npy", StoreError, kinds=NAMES, mapped=True)

    def tensors(self, name: str, rows: slice = slice(None)) -> dict[str, Tensor]:
        """The named tensors of ``name``, these rows of each; no others are read."""
        place = self.folder / f"{name}.safetensors"
        tensor_shapes(place, StoreError)
        with readable(place, "a .safetensors", StoreError), safe_open(place, framework="pt") as file:
            return {key: file.get_slice(key)[rows] for key in file.keys()}  # noqa: SIM118 (no mapping)


@dataclass(frozen=True)
class Store:
    """Artefacts below ``root``, each at its key, a relative path such as ``0f3a.../pretrained``."""

    root: Path

    def read(self, key: str) -> Artefact | None:
        """The artefact at ``key``; None where none was finished.

        :class:`DamagedArtefact` where bytes are missing or are not those that were written; what says nothing of the
        bytes, such as a want of rights, is a plain :class:`StoreError`.
        """
        manifest = self.manifest(key)
        if manifest is None:
            return None
        folder = self.root / key
        for name, digest in manifest["files"].items():
            file = folder / name
            try:
                found = sha256_of(file)
            except (FileNotFoundError, NotADirectoryError):
                raise self._damaged(file, "is missing") from None
            except OSError as error:
                raise cannot_read(file, error, CannotRead) from None
            if found != digest:
                raise self._damaged(file, "does not have the SHA-256 of its manifest")
        return Artefact(folder, manifest["meta"])

    def manifest(self, key: str) -> dict[str, Any] | None:
        """What the manifest at ``key`` says, its own hash found right: ``meta``, and SHA-256 by name of ``files``."""
        file = self.root / key / MANIFEST
        try:
            file.stat()
        except FileNotFoundError:
            return None
        except NotADirectoryError:
            raise StoreError(f"{self.root} is no folder; set EXPUNGE_STORE to a folder that can be written") from None
        except OSError as error:
            raise cannot_read(file, error, CannotRead) from None
        return self._parse(file, read_bytes(file, CannotRead))

    def write(self, key: str, contents: Mapping[str, Content], meta: Mapping[str, Any]) -> Artefact:
        """Write an artefact; it exists once its manifest does. Writing the same content again changes nothing."""
        folder = self.root / key
        try:
            folder.mkdir(parents=True, exist_ok=True)
            files = dict(_write(folder, name, content) for name, content in contents.items())
            body = {"schema": SCHEMA, "meta": dict(meta), "files": files}
            text = json.dumps({**body, "sha256": _own_digest(body)}, indent=1).encode()
            replace_file(folder / MANIFEST, lambda stream: stream.write(text))
        except OSError as error:
            raise self._unwritable(folder, error) from None
        return Artefact(folder, dict(meta))

    def remove(self, key: str) -> None:
        """Remove what lies at ``key``, finished or not."""
        self.disown(key)
        shutil.rmtree(self.root / key, ignore_errors=True)

    def disown(self, key: str) -> None:
        """Remove the manifest at ``key``: the artefact counts as absent, whatever else lies there is kept."""
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            (self.root / key / MANIFEST).unlink()

    @contextlib.contextmanager
    def locked(self, key: str) -> Iterator[None]:
        """Alone with ``key``, among all processes that use this store; a process that dies leaves no lock."""
        try:
            (self.root / key).parent.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.root / f"{key}.lock")
            lock.acquire()
        except (OSError, NotImplementedError) as error:
            raise self._unwritable(self.root / key, error) from None
        try:
            yield
        finally:
            lock.release()

    def identity(self, *, make: bool = True) -> str:
        """A name that no other store has, by which two processes know that they see the same one."""
        file = self.root / _IDENTITY
        try:
            if make and not file.exists():
                with self.locked("making"):
                    if not file.exists():
                        replace_file(file, lambda stream: stream.write(uuid.uuid4().hex.encode()))
            return read_text(file, StoreError, most=1000) if make or file.exists() else ""
        except OSError as error:
            raise self._unwritable(self.root, error) from None

    def _unwritable(self, folder: Path, error: Exception) -> StoreError:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        return StoreError(
            f"cannot write {folder}: {reason}; what was finished is kept: make room there, or set EXPUNGE_STORE to "
            "another folder, and run the same command again"
        )

    def _parse(self, file: Path, content: bytes) -> dict[str, Any]:
        try:
            manifest: dict[str, Any] = json.loads(content.decode())
            told = manifest.pop("sha256")
            schema = manifest["schema"]
        except (ValueError, KeyError, AttributeError, TypeError, RecursionError):
            raise self._damaged(file, "is no manifest") from None
        if told != _own_digest(manifest):
            raise self._damaged(file, "does not have the SHA-256 that it states")
        if schema != SCHEMA:
            raise StoreError(f"{file} has schema {schema}, this expunge reads {SCHEMA}; use another EXPUNGE_STORE")
        files = manifest.get("files")
        if not isinstance(manifest.get("meta"), dict) or not isinstance(files, dict):
            raise self._damaged(file, "is no manifest")
        for name, digest in files.items():
            if not _PLAIN.fullmatch(name) or not isinstance(digest, str):
                raise StoreError(f"{file} names {name[:80]!r}, which is no file beside it; refused, and not read")
        return manifest

    def _damaged(self, file: Path, what: str) -> DamagedArtefact:
        again = f"delete {file.parent / MANIFEST} and run the same command again: it is made anew"
        mend = "reinstall expunge" if self.root == SHIPPED else again
        return DamagedArtefact(f"damaged store: {file} {what}; {mend}")


def user_store() -> Store:
    """The store that is written to: ``EXPUNGE_STORE``, else ``expunge`` in the user's cache folder."""
    placed = _PLACE.get()
    if placed:
        return Store(placed)
    place = os.environ.get("EXPUNGE_STORE")
    if place and "://" in place:
        raise StoreError(
            f"EXPUNGE_STORE={place}: expected a folder; mount the address, or copy it with `expunge fetch`"
        )
    if place:
        return Store(Path(place).expanduser())
    cache_folder = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA") or "~/.cache"
    return Store(Path(cache_folder).expanduser() / "expunge")


@contextlib.contextmanager
def at_store(root: Path) -> Iterator[None]:
    """Within, :func:`user_store` is the one at ``root``: a job sent to a worker brings its store along."""
    token = _PLACE.set(root)
    try:
        yield
    finally:
        _PLACE.reset(token)


def find(key: str) -> Artefact | None:
    """The artefact at ``key``: shipped, else in the user's store, else None."""
    return Store(SHIPPED).read(key) or user_store().read(key)


def _write(folder: Path, name: str, content: Content) -> tuple[str, str]:
    """Write one file; its name and SHA-256."""
    if isinstance(content, Mapping):
        data = save({key: tensor.contiguous() for key, tensor in content.items()})
        return (file := f"{name}.safetensors"), replace_file(folder / file, lambda stream: stream.write(data))
    parts = content.parts if isinstance(content, Stacked) else [content]

    def put(stream: Hashed) -> None:
        shape = (sum(len(part) for part in parts), *parts[0].shape[1:]) if len(parts) > 1 else parts[0].shape
        header = {"descr": np.lib.format.dtype_to_descr(parts[0].dtype), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(stream, header)
        for part in parts:
            stream.write(np.ascontiguousarray(part).data)

    return (file := f"{name}.npy"), replace_file(folder / file, put)


def _own_digest(body: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
