"""EasyDUB's layout: one ``.npy`` a model and split; read and written.

::

    forget_sets/DATA/forget_set_K.npy                                   indices into train, in an order of their own
    margins/DATA/pretrain/{retain,val,forget_K}/NETWORK/id_M_epoch_E.npy
    margins/DATA/oracle/forget_K/{retain,val,forget}/NETWORK/id_M_epoch_E.npy

The pretrained models' ``retain`` holds all training examples. The oracles' holds those outside the forget set, indices
rising; their ``forget`` follows the order of the index file, which is not sorted for set 10. ``val`` is the test set.

Source: the loader of github.com/easydub/EasyDUB-code, ``easydub/data.py``, and the card of its data set.
"""

import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from expunge.ensembles.published.files import NUMBER, numbered, read_vector
from expunge.ensembles.published.publication import Layout, Publication, known_numbers, order_of
from expunge.errors import BadSetting, StoreError

_FILE = rf"id_(?P<model>{NUMBER})_epoch_(?P<epoch>{NUMBER})\.npy"


@dataclass(frozen=True, eq=False)
class EasyDub(Layout):
    """A folder in EasyDUB's layout."""

    name: ClassVar[str] = "EasyDUB"

    @property
    def margins(self) -> Path:
        return self.folder / "margins" / self.publication.data

    def numbers(self) -> list[int]:
        return known_numbers(self.publication, self.margins / "oracle", "forget_")

    def has_pretrained(self) -> bool:
        return (self.margins / "pretrain" / "retain").is_dir()

    def pretrained(self, models: int | None = None) -> Float[ndarray, "models examples"]:
        train, examples = self.publication.suite.data.sizes[0], self.publication.suite.data.width
        place = self.margins / "pretrain"
        return self._assemble(place, {"retain": np.arange(train), "val": np.arange(train, examples)}, models)

    def oracles(self, number: int, models: int | None = None) -> Float[ndarray, "models examples"]:
        columns = self.publication.suite.columns(self.publication.forget(number))
        splits = {"retain": columns["retain"], "forget": order_of(self, number), "val": columns["test"]}
        return self._assemble(self.margins / "oracle" / f"forget_{number}", splits, models)

    def index_file(self, number: int) -> Path | None:
        file = index_file(self.folder, self.publication, number)
        return file if file.exists() else None

    def copies(self, number: int) -> Float[ndarray, "models forget"] | None:
        place = self.margins / "pretrain" / f"forget_{number}" / self.publication.network
        if not place.is_dir():
            return None
        files = numbered(place, _FILE, self.publication.epoch, self.publication.most)
        return np.stack([read_vector(file, len(self.publication.forget(number))) for file in files])

    def _assemble(
        self, place: Path, columns: Mapping[str, ndarray], models: int | None
    ) -> Float[ndarray, "models examples"]:
        """Every split's margins, put into its columns, model by model."""
        publication = self.publication
        files = {
            split: numbered(place / split / publication.network, _FILE, publication.epoch, publication.most, models)
            for split in columns
        }
        counts = {split: len(each) for split, each in files.items()}
        if len(set(counts.values())) > 1:
            told = ", ".join(f"{count} of {split}" for split, count in counts.items())
            raise StoreError(f"{place}: expected as many models in every split, got {told}")
        margins = np.empty((next(iter(counts.values())), publication.suite.data.width), np.float32)
        for split, where in columns.items():
            for row, file in zip(margins, files[split], strict=True):
                row[where] = read_vector(file, len(where))
        return margins


def index_file(folder: Path, publication: Publication, number: int) -> Path:
    """Where a folder lists the indices of forget set ``number``."""
    return folder / "forget_sets" / publication.data / f"forget_set_{number}.npy"


def write_easydub(
    publication: Publication,
    folder: Path,
    pretrained: Float[ndarray, "models examples"],
    oracles: Mapping[int, Float[ndarray, "_oracles examples"]],
) -> None:
    """Write EasyDUB's layout: pretrained models, and the oracles of each numbered forget set; all of it or nothing."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BadSetting(f"{folder} is not empty; choose a folder that is, or a new one")
    folder = folder.resolve()
    suite, train = publication.suite, publication.suite.data.sizes[0]
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))  # of this call alone
    except OSError as error:
        raise StoreError(f"cannot write {folder}: {error.strerror}; choose a folder that can be written") from None
    place = part / "margins" / publication.data
    try:
        _write(publication, place / "pretrain", pretrained, {"retain": slice(0, train), "val": slice(train, None)})
        for number, margins in oracles.items():
            order, columns = publication.orders[number], suite.columns(publication.forget(number))
            _save(index_file(part, publication, number), order.astype(np.int64))
            _write(publication, place / "pretrain", pretrained, {f"forget_{number}": order})
            splits = {"retain": columns["retain"], "forget": order, "val": columns["test"]}
            _write(publication, place / "oracle" / f"forget_{number}", margins, splits)
        os.chmod(part, 0o755)
        os.replace(part, folder)
    except OSError as error:
        raise StoreError(f"cannot write {folder}: {error.strerror}; choose a folder that can be written") from None
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _write(publication: Publication, place: Path, margins: ndarray, columns: Mapping[str, ndarray | slice]) -> None:
    for split, where in columns.items():
        for model, row in enumerate(margins):
            name = f"id_{model}_epoch_{publication.epoch}.npy"
            _save(place / split / publication.network / name, np.ascontiguousarray(row[where]))


def _save(file: Path, values: ndarray) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    np.save(file, values, allow_pickle=False)
