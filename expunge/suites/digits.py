"""``digits``: real handwritten digits of 8 x 8 pixels, a small CNN, eight forget sets; all ensembles are shipped."""

from functools import lru_cache, partial

import numpy as np
import torch
from numpy import ndarray
from torch import nn

from expunge.suites.data import Data, Examples, flat_features
from expunge.suites.derived import with_derived
from expunge.suites.forget_sets import neighbours, subclass, whole_class
from expunge.suites.pictures import derived_forget_sets, random_sets
from expunge.suites.recipe import Recipe
from expunge.suites.suite import ForgetSets, Suite, Unmade

RECIPE = Recipe(epochs=15, batch_size=64, lr=0.1)


def network() -> nn.Module:
    """Two 3 x 3 convolutions with BatchNorm and pooling, 16 and 32 channels, and a linear head."""
    return nn.Sequential(
        *_block(1, 16),
        *_block(16, 32),
        nn.Flatten(),
        nn.Linear(32 * 2 * 2, 10),
    )


def _block(inputs: int, outputs: int) -> list[nn.Module]:
    # Pooling before ReLU gives the same numbers as after it, and ReLU then has a quarter of the work.
    conv = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
    return [conv, nn.BatchNorm2d(outputs), nn.MaxPool2d(2), nn.ReLU()]


@lru_cache(maxsize=1)
def load_all() -> tuple[Examples, Examples]:
    """1,437 training and 360 test digits, stratified by class, pixels scaled to [0, 1]."""
    from sklearn.datasets import load_digits  # half a second, which what needs no examples is spared
    from sklearn.model_selection import train_test_split

    pixels, labels = load_digits(return_X_y=True)
    rows = np.arange(len(labels))
    train, test = train_test_split(rows, test_size=360, stratify=labels, random_state=0)
    x = torch.tensor(pixels / 16.0, dtype=torch.float32).reshape(-1, 1, 8, 8)
    y = torch.tensor(labels, dtype=torch.int64)
    everything = Examples(x, y)
    return everything.take(np.sort(train)), everything.take(np.sort(test))


def load_data() -> Data:
    """The digits, read when one is first asked for, and carried to the workers, which need no scikit-learn then."""
    sha256 = "29b488916495b18c6f794cec2c28f21d6b561879441ad20b201ffcb72ec90d29"
    return Data.deferred(load_all, (1437, 360), 10, sha256, carried=True)


def known_forget_sets(data: Data) -> ForgetSets:
    """The forget sets that follow from the data alone; k-means, half a second, runs when its set is asked for."""
    train, _ = data.sizes
    return ForgetSets.of(
        *random_sets(train, 10, 50, 144),
        Unmade("class-3", partial(_threes, data), "every training example of the digit 3", "class"),
        Unmade(
            "subclass-50",
            partial(_one_kind_of_ones, data),
            "one way of writing the digit 1: the heart of one of two k-means clusters of its pixels, seed 0",
            "subclass",
        ),
        Unmade(
            "neighbours-50",
            partial(_odd_and_near, data),
            "the digit least like the mean of its class, and every other one of the 98 nearest to it in pixels",
            "neighbours",
        ),
    )


def _threes(data: Data) -> ndarray:
    return whole_class(data.train.y.numpy(), 3)


def _one_kind_of_ones(data: Data) -> ndarray:
    return subclass(flat_features(data.train.x), data.train.y.numpy(), label=1, size=50, seed=0)


def _odd_and_near(data: Data) -> ndarray:
    return neighbours(flat_features(data.train.x), data.train.y.numpy(), size=50, every=2)


def digits() -> Suite:
    """The embedded suite; its derived forget sets come from the store, like every artefact."""
    data = load_data()
    return with_derived(
        Suite(
            name="digits",
            version=1,
            data=data,
            network=network,
            architecture="2 x (3x3 convolution, BatchNorm, 2x2 max-pool, ReLU), linear",
            recipe=RECIPE,
            forget_sets=known_forget_sets(data),
            derive=partial(derived_forget_sets, size=50),
            models=200,
            subsets=1000,
            images=(8, 8),
        )
    )
