"""KLOM-models' layout: margins of all models stacked in one ``.pt``, on all of train and all of test; read.

::

    full_models/DATA/{train,val}_margins_all.pt                          (models, all of train or test)
    oracle_models/DATA/only_margins/forget_set_K/{train,val}_margins_all.pt
    forget_set_indices/DATA/forget_set_K.npy                             in older copies: forget_set_inds

The oracles' stacks also lie at ``oracles/DATA/only_margins/forget_set_K`` or ``oracles/DATA/forget_set_K``; the first
that exists is read. Where a folder has no stack, one file a model is read: ``M__train_margins_E.npy``, or ``.pt``.
Forget examples are in "train", in its order, so no index file is needed to read; where there is one it is checked.

Source: the card of huggingface.co/datasets/royrin/KLOM-models, and the paths in the code of
github.com/RoyRin/data-unlearning-bench.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from expunge.ensembles.published.files import NUMBER, numbered, read_matrix, read_vector
from expunge.ensembles.published.publication import Layout, known_numbers
from expunge.errors import StoreError

ORACLES = ("oracle_models/{}/only_margins", "oracles/{}/only_margins", "oracles/{}")
INDICES = ("forget_set_indices/{}", "forget_set_inds/{}")


@dataclass(frozen=True, eq=False)
class KlomModels(Layout):
    """A folder in KLOM-models' layout."""

    name: ClassVar[str] = "KLOM-models"

    @property
    def data(self) -> str:
        return self.publication.data.upper()

    def numbers(self) -> list[int]:
        places = [self.folder / place.format(self.data) for place in ORACLES]
        return sorted({number for place in places for number in known_numbers(self.publication, place, "forget_set_")})

    def has_pretrained(self) -> bool:
        return (self.folder / "full_models" / self.data).is_dir()

    def pretrained(self, models: int | None = None) -> Float[ndarray, "models examples"]:
        return self._read(self.folder / "full_models" / self.data, models)

    def oracles(self, number: int, models: int | None = None) -> Float[ndarray, "models examples"]:
        self._require_same_indices(number)
        places = [self.folder / place.format(self.data) / f"forget_set_{number}" for place in ORACLES]
        return self._read(next(place for place in places if place.is_dir()), models)

    def index_file(self, number: int) -> Path | None:
        files = [self.folder / place.format(self.data) / f"forget_set_{number}.npy" for place in INDICES]
        return next((file for file in files if file.exists()), None)

    def copies(self, number: int) -> Float[ndarray, "models forget"] | None:
        """None: this layout holds nothing twice."""
        return None

    def _require_same_indices(self, number: int) -> None:
        file = self.index_file(number)
        if file is not None:
            self.publication.order_in(file, number)

    def _read(self, place: Path, models: int | None) -> Float[ndarray, "models examples"]:
        """Train and test margins side by side."""
        parts = [
            self._split(place, split, width, models)
            for split, width in zip(("train", "val"), self.publication.suite.data.sizes, strict=True)
        ]
        train, val = map(len, parts)
        if train != val:
            raise StoreError(f"{place}: expected as many models of train as of val, got {train} and {val}")
        return np.concatenate(parts, axis=1)

    def _split(self, place: Path, split: str, width: int, models: int | None) -> Float[ndarray, "models width"]:
        stack = place / f"{split}_margins_all.pt"
        if not stack.exists():
            pattern = rf"(?P<model>{NUMBER})__{split}_margins_(?P<epoch>{NUMBER})\.(npy|pt)"
            files = numbered(place, pattern, self.publication.epoch, self.publication.most, models)
            return np.stack([read_vector(file, width) for file in files])
        margins = read_matrix(stack, width, self.publication.most)
        if models and len(margins) < models:
            raise StoreError(f"{stack}: expected {models} models, got {len(margins)}")
        return margins[:models]
