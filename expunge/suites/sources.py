"""Where the examples of a public data set come from: a local folder, else the hub, always the same examples.

``EXPUNGE_DATA`` names the folder: the files lie in its subfolder of the data set's name, or directly in it. What was
decoded from parquet is kept in the store, so that the next process maps it into memory and is quick.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from expunge.errors import BadData, HubError, MissingData
from expunge.store import user_store
from expunge.suites.downloads import fetch, inside, require_hash
from expunge.suites.formats import Raw, idx_sha256, read_idx

VARIABLE = "EXPUNGE_DATA"


@dataclass(frozen=True)
class FileSet:
    """Files that together hold a data set, and the function that reads them in this order.

    Each file has its path and its published hash as ``algorithm:digest``, or "" where none is known.
    """

    files: tuple[tuple[str, str], ...]
    read: Callable[[Sequence[Path]], Raw]


IDX = FileSet(  # the files of MNIST and of data sets in its place; their hash is that of what is decoded
    (
        ("train-images-idx3-ubyte.gz", ""),
        ("train-labels-idx1-ubyte.gz", ""),
        ("t10k-images-idx3-ubyte.gz", ""),
        ("t10k-labels-idx1-ubyte.gz", ""),
    ),
    read_idx,
)


@dataclass(frozen=True)
class Source:
    """A public data set of pictures: what it must hold, and where it may lie."""

    name: str
    sizes: tuple[int, int]  # train and test examples
    shape: tuple[int, int, int]  # channels, height, width
    classes: int
    layouts: tuple[FileSet, ...]  # local ones, the preferred first
    repo: str  # at the hub
    revision: str
    hub: FileSet
    advice: str  # what to put into the folder
    folders: tuple[str, ...] = ()  # where the system may have it
    idx: tuple[str, ...] = ()  # SHA-256 of the four arrays as idx files, where known: then no file needs a hash

    @property
    def content(self) -> str:
        """What names the content where nobody published a hash of the decoded arrays."""
        return f"{self.repo}@{self.revision}"


def read_source(source: Source) -> Raw:
    """The examples of ``source``: from a folder, from what the store keeps, or from the hub."""
    local = _find(source)
    if local and local[0] is not source.hub:
        return _decoded(source, *local)
    kept = _kept(source)
    if kept is not None:
        return kept
    if local:
        raw = _decoded(source, *local)
        verified = bool(source.idx) or all(digest for _, digest in source.hub.files)
        return _keep(source, raw) if verified else raw
    try:
        files = fetch(source.repo, source.revision, [name for name, _ in source.hub.files])
    except HubError as error:
        raise MissingData(f"{source.name}: no folder has its examples, and {error}; put {source.advice}") from None
    return _keep(source, _decoded(source, source.hub, files))


def data_folder() -> Path | None:
    """The folder that EXPUNGE_DATA names, None where it is not set."""
    place = os.environ.get(VARIABLE)
    if not place:
        return None
    folder = Path(place).expanduser()
    if not folder.is_dir():
        raise MissingData(f"{VARIABLE} is {place!r}, which is no folder; name one that exists, or unset it")
    return folder


def folders_of(name: str, system: Sequence[str] = ()) -> list[Path]:
    """The folders in which the files of a data set may lie, in the order in which they are looked into."""
    own = data_folder()
    return [*([own / name, own] if own else []), *map(Path, system)]


def _find(source: Source) -> tuple[FileSet, list[Path]] | None:
    """The first layout that is complete in a folder; a folder that has a part of one, and none whole, is refused."""
    partial = ""
    for folder in folders_of(source.name, source.folders):
        for layout in (*source.layouts, source.hub):
            files = {name: _locate(folder, name) for name, _ in layout.files}
            found = [file for file in files.values() if file]
            if len(found) == len(files):
                return layout, found
            if found and not partial:
                absent = ", ".join(name for name, file in files.items() if file is None)
                partial = f"{folder} holds only a part of {source.name}: it lacks {absent}"
    if partial:
        raise MissingData(f"{partial}; put {source.advice}")
    return None


def _locate(folder: Path, name: str) -> Path | None:
    """The file in the folder by its path, by its name alone, or unpacked."""
    plain = name.removesuffix(".gz")
    choices = (name, plain, Path(name).name, Path(plain).name)
    return next((file for choice in choices if (file := folder / inside(choice, str(folder))).is_file()), None)


def _decoded(source: Source, layout: FileSet, files: list[Path]) -> Raw:
    if not source.idx:
        for file, (_, digest) in zip(files, layout.files, strict=True):
            if digest:
                require_hash(file, digest)
    raw = layout.read(files)
    where = files[0].parent
    _require_shapes(source, raw, str(where))
    if source.idx and idx_sha256(raw) != source.idx:
        raise BadData(f"{where} has not the examples of {source.name}, only their shapes; put {source.advice}")
    return raw


def _require_shapes(source: Source, raw: Raw, where: str) -> None:
    """Refuse what has not as many examples, of the size and classes, as the data set."""
    for x, y, size in ((raw.train_x, raw.train_y, source.sizes[0]), (raw.test_x, raw.test_y, source.sizes[1])):
        if x.shape != (size, *source.shape) or y.shape != (size,) or y.max() >= source.classes:
            raise BadData(
                f"{where} is not {source.name}: expected {(size, *source.shape)} with {source.classes} classes, "
                f"got {x.shape} with labels to {y.max() if y.size else 'none'}"
            )


def _key(source: Source) -> str:
    return f"data/{source.name}-{source.revision[:12]}"


def _kept(source: Source) -> Raw | None:
    artefact = user_store().read(_key(source))
    if artefact is None or not all(name in artefact for name in Raw._fields):
        return None
    raw = Raw(*(artefact.array(name) for name in Raw._fields))
    _require_shapes(source, raw, str(artefact.folder))
    return raw


def _keep(source: Source, raw: Raw) -> Raw:
    contents = {name: np.ascontiguousarray(array) for name, array in raw._asdict().items()}
    user_store().write(_key(source), contents, {"source": source.content})
    return raw
