"""What suites of pictures have in common: forget sets, and pixels as inputs."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from numpy import ndarray
from torch import Tensor

from expunge.errors import StoreError
from expunge.number_files import read_arrays
from expunge.shipped import read_shipped
from expunge.suites.data import Data, Examples, flat_features
from expunge.suites.forget_sets import influential, memorised, neighbours, random_examples, subclass, whole_class
from expunge.suites.formats import Raw
from expunge.suites.suite import ForgetSet, ForgetSets, Unmade


def scaled(
    pixels: UInt8[ndarray, "n channels height width"],
    mean: tuple[float, ...] = (0.0,),
    std: tuple[float, ...] = (1.0,),
) -> Float[Tensor, "n channels height width"]:
    """Pixels as float32 in [0, 1], less ``mean``, over ``std``, which have one number for each channel."""
    result = np.empty(pixels.shape, dtype=np.float32)
    for channel, (centre, spread) in enumerate(zip(mean, std, strict=True)):
        table = ((np.arange(256) / 255.0 - centre) / spread).astype(np.float32)
        result[:, channel] = table[pixels[:, channel]]
    return torch.from_numpy(result)


def examples(raw: Raw, mean: tuple[float, ...] = (0.0,), std: tuple[float, ...] = (1.0,)) -> tuple[Examples, Examples]:
    """Train and test examples of what a source gave."""
    train, test = (
        Examples(scaled(x, mean, std), torch.tensor(y.astype(np.int64)))
        for x, y in ((raw.train_x, raw.train_y), (raw.test_x, raw.test_y))
    )
    return train, test


def random_sets(train: int, *sizes: int) -> list[ForgetSet]:
    """``random-SIZE`` for each size."""
    return [
        ForgetSet(
            f"random-{size}",
            random_examples(train, size, seed=0),
            f"{size:,} examples drawn uniformly, seed 0",
            "random",
        )
        for size in sizes
    ]


def picture_sets(data: Data, *, whole: tuple[int, str], part: tuple[int, str], size: int = 100) -> list[Unmade]:
    """A whole class, a subclass and neighbours, made when they are first asked for.

    ``whole`` and ``part`` are the classes of the first and of the second: number, and what its examples are.
    """
    said = {
        "class": f"every training example of class {whole[0]}, {whole[1]}",
        "subclass": f"one kind of {part[1]} (class {part[0]}): the heart of one of two k-means clusters of its pixels, "
        "seed 0",
        "neighbours": f"the picture least like the mean of its class, and every other one of the {2 * (size - 1)} "
        "nearest to it in pixels",
    }
    numbers = {"class": whole[0], "subclass": size, "neighbours": size}
    return [
        Unmade(f"{kind}-{numbers[kind]}", partial(_made, kind, data, whole[0], part[0], size), how, kind)
        for kind, how in said.items()
    ]


def derived_forget_sets(margins: ndarray, masks: ndarray, *, size: int) -> ForgetSets:
    """The forget sets that need the effect of an example: ``margins`` and ``masks`` of the ``subsets`` ensemble.

    Every other one of those that come first, so that as hard ones are left to tune on.
    """
    own = margins[:, : masks.shape[1]].astype(np.float64)
    return ForgetSets.of(
        ForgetSet(
            f"influential-{size}",
            influential(own, masks, size, every=2),
            "every other one of the largest entries in the top principal direction of the train-by-train influence "
            "matrix of `subsets`",
            "influential",
        ),
        ForgetSet(
            f"memorised-{size}",
            memorised(own, masks, size, every=2),
            "every other one of the examples whose margin depends most on having been trained on, measured on "
            "`subsets`",
            "memorised",
        ),
    )


def shipped_sets(sets: Sequence[Unmade], file: str, suite: str) -> list[ForgetSet]:
    """``sets`` with the indices that ``file`` holds for them, so that they need no data and no k-means."""
    read = shipped_indices(file)
    return [ForgetSet(each.name, read(f"{suite}.{each.name}"), each.made, each.kind) for each in sets]


def shipped_indices(file: str) -> Callable[[str], ndarray]:
    """A function that reads one array of indices out of ``file``, an ``.npz`` of this package."""

    place = Path(__file__).with_name(file)

    def read(name: str) -> ndarray:
        read_shipped(place)
        indices: ndarray = read_arrays(place, [name], StoreError, kinds="iu")[name].astype(np.int64)
        return indices

    return read


def _made(kind: str, data: Data, whole: int, part: int, size: int) -> ndarray:
    labels, pixels = data.train.y.numpy(), flat_features(data.train.x)
    if kind == "class":
        return whole_class(labels, whole)
    if kind == "subclass":
        return subclass(pixels, labels, label=part, size=size, seed=0)
    return neighbours(pixels, labels, size=size, every=2)
