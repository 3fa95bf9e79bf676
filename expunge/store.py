"""Artefacts on disk: a folder of files, each written whole, with a manifest of their SHA-256 that is written last.

Two stores are read, in this order: the one shipped inside the package, which is never written, and the user's, which
lies at ``EXPUNGE_STORE`` or in the user's cache folder. A folder without a manifest is unfinished and counts as absent.
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy import ndarray
from safetensors.torch import load, save
from torch import Tensor

from expunge.errors import StoreError

SCHEMA = 1
MANIFEST = "manifest.json"
SHIPPED = Path(__file__).parent / "data"

Content = ndarray | Mapping[str, Tensor]  # an array becomes NAME.npy, named tensors NAME.safetensors


@dataclass(frozen=True)
class Artefact:
    """A finished folder whose files were checked against its manifest."""

    folder: Path
    meta: dict[str, Any]

    def array(self, name: str) -> ndarray:
        """The array ``name``, memory-mapped and read-only."""
        result: ndarray = np.load(self.folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)
        return result

    def tensors(self, name: str) -> dict[str, Tensor]:
        """The named tensors of ``name``."""
        return dict(load((self.folder / f"{name}.safetensors").read_bytes()))


@dataclass(frozen=True)
class Store:
    """Artefacts below ``root``, each at its key, a relative path such as ``0f3a.../pretrained``."""

    root: Path

    def read(self, key: str) -> Artefact | None:
        """The artefact at ``key``; None where none was finished; :class:`StoreError` where it is damaged."""
        folder = self.root / key
        try:
            text = (folder / MANIFEST).read_text()
        except FileNotFoundError:
            return None
        except NotADirectoryError:
            raise StoreError(f"{self.root} is no folder; set EXPUNGE_STORE to a folder that can be written") from None
        except (OSError, UnicodeDecodeError) as error:
            raise self._damaged(folder / MANIFEST, f"cannot be read ({error})") from None
        manifest = self._parse(folder / MANIFEST, text)
        for name, digest in manifest["files"].items():
            file = folder / name
            try:
                stat = file.stat()
                found = _sha256(file, stat.st_mtime_ns, stat.st_size)
            except OSError:
                raise self._damaged(file, "is missing or cannot be read") from None
            if found != digest:
                raise self._damaged(file, "does not have the SHA-256 of its manifest")
        return Artefact(folder, manifest["meta"])

    def write(self, key: str, contents: Mapping[str, Content], meta: Mapping[str, Any]) -> Artefact:
        """Write an artefact; it exists once its manifest does. Writing the same content again changes nothing."""
        folder = self.root / key
        try:
            folder.mkdir(parents=True, exist_ok=True)
            files = {}
            for name, content in contents.items():
                file, data = _serialise(name, content)
                _replace(folder / file, data)
                files[file] = hashlib.sha256(data).hexdigest()
            body = {"schema": SCHEMA, "meta": dict(meta), "files": files}
            _replace(folder / MANIFEST, json.dumps({**body, "sha256": _own_digest(body)}, indent=1).encode())
        except OSError as error:
            raise StoreError(
                f"cannot write {folder}: {error.strerror}; set EXPUNGE_STORE to a folder that can"
            ) from None
        return Artefact(folder, dict(meta))

    def _parse(self, file: Path, text: str) -> dict[str, Any]:
        try:
            manifest: dict[str, Any] = json.loads(text)
            told = manifest.pop("sha256")
            schema = manifest["schema"]
        except (ValueError, KeyError, AttributeError, TypeError):
            raise self._damaged(file, "is no manifest") from None
        if told != _own_digest(manifest):
            raise self._damaged(file, "does not have the SHA-256 that it states")
        if schema != SCHEMA:
            raise StoreError(f"{file} has schema {schema}, this expunge reads {SCHEMA}; use another EXPUNGE_STORE")
        return manifest

    def _damaged(self, file: Path, what: str) -> StoreError:
        mend = "reinstall expunge" if self.root == SHIPPED else f"delete {file.parent} and run again: it is made anew"
        return StoreError(f"damaged store: {file} {what}; {mend}")


def user_store() -> Store:
    """The store that is written to: ``EXPUNGE_STORE``, else ``expunge`` in the user's cache folder."""
    place = os.environ.get("EXPUNGE_STORE")
    if place:
        return Store(Path(place).expanduser())
    cache_folder = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA") or "~/.cache"
    return Store(Path(cache_folder).expanduser() / "expunge")


def find(key: str) -> Artefact | None:
    """The artefact at ``key``: shipped, else in the user's store, else None."""
    return Store(SHIPPED).read(key) or user_store().read(key)


def _serialise(name: str, content: Content) -> tuple[str, bytes]:
    if isinstance(content, ndarray):
        with tempfile.SpooledTemporaryFile() as buffer:
            np.save(buffer, content, allow_pickle=False)
            buffer.seek(0)
            return f"{name}.npy", buffer.read()
    return f"{name}.safetensors", save({key: tensor.contiguous() for key, tensor in content.items()})


def _replace(file: Path, data: bytes) -> None:
    """Write ``file`` whole or not at all, also when two processes write it at once."""
    handle, part = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
        os.chmod(part, 0o644)
        os.replace(part, file)
    except BaseException:
        Path(part).unlink(missing_ok=True)
        raise


def _own_digest(body: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


@cache
def _sha256(file: Path, changed_ns: int, size: int) -> str:
    """Hash of a file; time and size of its last change are part of the key, so a changed file is hashed again."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
