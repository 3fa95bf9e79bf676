"""What was published for a suite: numbered forget sets in an order of their own, and the names folders carry."""

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from expunge.ensembles.published.files import read_indices
from expunge.errors import BadSetting, StoreError
from expunge.suites import ForgetSet, Suite


@dataclass(frozen=True, eq=False)
class Publication:
    """Ensembles of ``suite`` that others trained and published.

    Published forget set ``k`` is ``suite.forget_sets["set-k"]``; ``orders[k]`` holds the same indices in the order in
    which its file lists them, which need not be sorted: published margins of forget examples follow it.
    """

    suite: Suite
    orders: Mapping[int, ndarray]
    repository: str = "easydub/EasyDUB-dataset"
    data: str = "cifar10"
    network: str = "resnet9"
    epoch: int = 23  # counted from 0, the last of 24

    def __post_init__(self) -> None:
        for number, order in self.orders.items():
            if not np.array_equal(np.sort(order), self.forget(number).indices):
                raise BadSetting(f"published forget set {number} has other indices than set-{number} of the suite")

    @property
    def most(self) -> int:
        """How many models of an ensemble a folder may hold: more than were published is no mistake, millions are."""
        return max(10_000, 10 * self.suite.models)

    def forget(self, number: int) -> ForgetSet:
        """Published forget set ``number``."""
        return self.suite.forget_sets[f"set-{number}"]

    def numbers(self, names: list[str] | None = None) -> list[int]:
        """Numbers of the published forget sets ``names``, rising; default: all."""
        known = {f"set-{number}": number for number in self.orders}
        for name in names or ():
            if name not in known:
                raise BadSetting(f"forget set {name!r} was not published; choose from {', '.join(known)}")
        return sorted(known[name] for name in (known if names is None else names))

    def order_in(self, file: Path, number: int) -> Int[ndarray, " forget"]:
        """The indices that ``file`` lists for forget set ``number``, in its order; they must be the published ones."""
        found = read_indices(file, self.suite.data.sizes[0])
        wanted = self.forget(number).indices
        if not np.array_equal(np.sort(found), wanted):
            common = np.intersect1d(found, wanted).size
            raise StoreError(
                f"{file} lists other indices than set-{number}: {found.size} of which {common} are among its "
                f"{wanted.size}; these margins belong to another forget set"
            )
        return found


@dataclass(frozen=True, eq=False)
class Layout(ABC):
    """A folder of published margins, columns brought into the order of the suite: train, then test."""

    publication: Publication
    folder: Path
    name: ClassVar[str]

    @abstractmethod
    def numbers(self) -> list[int]:
        """Published forget sets whose oracles the folder holds."""

    @abstractmethod
    def has_pretrained(self) -> bool:
        """Whether the folder holds margins of pretrained models."""

    @abstractmethod
    def pretrained(self, models: int | None = None) -> Float[ndarray, "models examples"]:
        """Margins of the first ``models`` pretrained models, float32; default: all."""

    @abstractmethod
    def oracles(self, number: int, models: int | None = None) -> Float[ndarray, "models examples"]:
        """Margins of the first ``models`` oracles of forget set ``number``, float32; default: all."""

    @abstractmethod
    def index_file(self, number: int) -> Path | None:
        """The file that lists forget set ``number``; None where the folder has none."""

    @abstractmethod
    def copies(self, number: int) -> Float[ndarray, "models forget"] | None:
        """Margins of pretrained models on forget set ``number`` that the folder holds a second time, as they lie."""


def order_of(layout: Layout, number: int) -> Int[ndarray, " forget"]:
    """The order of forget margins in a folder: its index file's, else the published one."""
    file = layout.index_file(number)
    return layout.publication.orders[number] if file is None else layout.publication.order_in(file, number)


def known_numbers(publication: Publication, folder: Path, name: str) -> list[int]:
    """Published forget sets among the subfolders ``nameK`` of ``folder``, rising."""
    found = (re.fullmatch(rf"{name}(\d{{1,7}})", each.name) for each in folder.iterdir()) if folder.is_dir() else ()
    return sorted({int(each.group(1)) for each in found if each} & set(publication.orders))
