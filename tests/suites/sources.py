"""Tiny public data sets in the layouts of the real ones, and where a test finds them."""

import gzip
import hashlib
import io
import pickle
import struct
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy import ndarray
from PIL import Image

from expunge.suites.cifar10 import SOURCE as CIFAR10
from expunge.suites.cifar10 import read_hub
from expunge.suites.cifar100 import SOURCE as CIFAR100
from expunge.suites.cifar100 import read_hub as begins_as_the_archive
from expunge.suites.formats import Raw, idx_sha256
from expunge.suites.mnist import SOURCE as MNIST
from expunge.suites.sources import FileSet, Source

TRAIN, TEST = 10, 4


def small_raw(channels: int, side: int, seed: int = 0) -> Raw:
    """10 train and 4 test pictures, the training ones in 5 blocks of 2 that their labels tell apart."""
    rng = np.random.default_rng(seed)
    parts = []
    for size in (TRAIN, TEST):
        parts.append(rng.integers(0, 256, (size, channels, side, side), dtype=np.uint8))
        parts.append((np.arange(size) % 10).astype(np.uint8))
    return Raw(*parts)


def small_mnist(raw: Raw) -> Source:
    """MNIST's record with the sizes and hashes of ``raw``, whose pictures have 28 x 28 pixels."""
    return replace(MNIST, sizes=(TRAIN, TEST), idx=idx_sha256(raw))


def small_cifar10(raw: Raw, folder: Path) -> Source:
    """CIFAR-10's record with the sizes of ``raw`` and the hashes of the batches in ``folder``."""
    names = [name for name, _ in CIFAR10.layouts[0].files]
    hashed = tuple((name, f"md5:{hashlib.md5((folder / name).read_bytes()).hexdigest()}") for name in names)
    hub = FileSet(tuple((name, "") for name, _ in CIFAR10.hub.files), partial(read_hub, batches=told_apart(raw)))
    layouts = (FileSet(hashed, CIFAR10.layouts[0].read),)
    return replace(CIFAR10, sizes=(TRAIN, TEST), layouts=layouts, hub=hub)


def small_cifar100(raw: Raw, folder: Path) -> Source:
    """CIFAR-100's record with the sizes of ``raw`` and the hashes of the two files in ``folder``."""
    names = [name for name, _ in CIFAR100.layouts[0].files]
    hashed = tuple((name, f"md5:{hashlib.md5((folder / name).read_bytes()).hexdigest()}") for name in names)
    first = raw.train_y[:5].tolist()
    hub = FileSet(tuple((name, "") for name, _ in CIFAR100.hub.files), partial(begins_as_the_archive, first=first))
    return replace(CIFAR100, sizes=(TRAIN, TEST), layouts=(FileSet(hashed, CIFAR100.layouts[0].read),), hub=hub)


def told_apart(raw: Raw) -> list[tuple[str, tuple[int, ...]]]:
    """What tells the five blocks of training examples apart, as in ``cifar10.BATCHES``."""
    blocks = raw.train_y.reshape(5, 2)
    return [("".join(map(str, block)), tuple(np.bincount(block, minlength=10).tolist())) for block in blocks]


def write_idx(folder: Path, raw: Raw, *, packed: bool = True) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for (name, _), array in zip(MNIST.layouts[0].files, raw, strict=True):
        flat = array[:, 0] if array.ndim == 4 else array
        content = struct.pack(f">HBB{flat.ndim}I", 0, 8, flat.ndim, *flat.shape) + flat.tobytes()
        file = folder / (name if packed else name.removesuffix(".gz"))
        file.write_bytes(gzip.compress(content) if packed else content)


def write_batches(folder: Path, raw: Raw) -> None:
    """CIFAR-10's six pickles."""
    (folder / CIFAR10.layouts[0].files[0][0]).parent.mkdir(parents=True, exist_ok=True)
    x, y = (np.split(array, 5) for array in (raw.train_x, raw.train_y))
    parts = [*zip(x, y, strict=True), (raw.test_x, raw.test_y)]
    for (name, _), (pixels, labels) in zip(CIFAR10.layouts[0].files, parts, strict=True):
        (folder / name).write_bytes(_batch(pixels, {b"labels": labels.tolist()}))


def write_fine_batches(folder: Path, raw: Raw) -> None:
    """CIFAR-100's two pickles, which have coarse labels beside the fine ones."""
    (folder / CIFAR100.layouts[0].files[0][0]).parent.mkdir(parents=True, exist_ok=True)
    parts = ((raw.train_x, raw.train_y), (raw.test_x, raw.test_y))
    for (name, _), (pixels, fine) in zip(CIFAR100.layouts[0].files, parts, strict=True):
        labels = {b"fine_labels": fine.tolist(), b"coarse_labels": (fine // 5).tolist()}
        (folder / name).write_bytes(_batch(pixels, labels))


def _batch(pixels: ndarray, labels: dict[bytes, list[int]]) -> bytes:
    """A pickle of protocol 2 that names numpy's modules as those of 2009 do."""
    batch = {b"batch_label": b"batch", **labels, b"data": pixels.reshape(len(pixels), -1)}
    content = pickle.dumps(batch, protocol=2)
    return content.replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")


def write_parquet(file: Path, pictures: ndarray, labels: ndarray, image: str, label: str) -> None:
    """A parquet file as the hub has them: encoded pictures with a path, and numbers."""
    file.parent.mkdir(parents=True, exist_ok=True)
    encoded = [{"bytes": png(each), "path": None} for each in pictures]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    pq.write_table(pa.table({image: pa.array(encoded, kind), label: pa.array(labels.astype(np.int64))}), file)


def write_hub_files(folder: Path, raw: Raw, source: Source, image: str, label: str) -> None:
    """The two files of the source's hub layout."""
    for (name, _), x, y in zip(source.hub.files, (raw.train_x, raw.test_x), (raw.train_y, raw.test_y), strict=True):
        write_parquet(folder / name, x, y, image, label)


def png(pixels: ndarray) -> bytes:
    """A picture (channels, height, width) as PNG."""
    stream = io.BytesIO()
    Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0)).save(stream, "png")
    return stream.getvalue()


class Boom:
    """Unpickled by anything that trusts it, it makes a file."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[object, ...]:
        return open, (str(self.file), "w")
