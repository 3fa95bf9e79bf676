"""``digits``: real handwritten digits of 8 x 8 pixels, a small CNN, eight forget sets; all ensembles are shipped."""

import numpy as np
import torch
from numpy import ndarray
from torch import nn

from expunge.suites.forget_sets import (
    influence,
    influential,
    memorised,
    neighbours,
    random_examples,
    subclass,
    whole_class,
)
from expunge.suites.suite import Data, Examples, ForgetSet, ForgetSets, Recipe, Suite, flat_features, with_derived

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


def load_data() -> Data:
    """1,437 training and 360 test digits, stratified by class, pixels scaled to [0, 1]."""
    from sklearn.datasets import load_digits  # workers get the data from their jobs and need no scikit-learn
    from sklearn.model_selection import train_test_split

    pixels, labels = load_digits(return_X_y=True)
    rows = np.arange(len(labels))
    train, test = train_test_split(rows, test_size=360, stratify=labels, random_state=0)
    x = torch.tensor(pixels / 16.0, dtype=torch.float32).reshape(-1, 1, 8, 8)
    y = torch.tensor(labels, dtype=torch.int64)
    everything = Examples(x, y)
    return Data(everything.take(np.sort(train)), everything.take(np.sort(test)), classes=10)


def known_forget_sets(data: Data) -> ForgetSets:
    """The forget sets that follow from the data alone."""
    labels = data.train.y.numpy()
    pixels = flat_features(data.train.x)
    train = len(labels)
    return ForgetSets.of(
        ForgetSet("random-10", random_examples(train, 10, seed=0), "10 examples drawn uniformly, seed 0"),
        ForgetSet("random-50", random_examples(train, 50, seed=0), "50 examples drawn uniformly, seed 0"),
        ForgetSet("random-144", random_examples(train, 144, seed=0), "144 examples drawn uniformly, seed 0"),
        ForgetSet("class-3", whole_class(labels, 3), "every training example of the digit 3"),
        ForgetSet(
            "subclass-50",
            subclass(pixels, labels, label=1, size=50, seed=0),
            "one way of writing the digit 1: the heart of one of two k-means clusters of its pixels, seed 0",
        ),
        ForgetSet(
            "neighbours-50",
            neighbours(pixels, labels, size=50),
            "the digit least like the mean of its class, and the 49 nearest to it in pixels",
        ),
    )


def derived_forget_sets(margins: ndarray, masks: ndarray) -> ForgetSets:
    """The forget sets that need the effect of an example: ``margins`` and ``masks`` of the ``subsets`` ensemble."""
    effect = influence(margins[:, : masks.shape[1]].astype(np.float64), masks)
    return ForgetSets.of(
        ForgetSet(
            "influential-50",
            influential(effect, size=50),
            "largest entries in the top principal direction of the train-by-train influence matrix of `subsets`",
        ),
        ForgetSet(
            "memorised-50",
            memorised(effect, size=50),
            "examples whose margin depends most on having been trained on, measured on `subsets`",
        ),
    )


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
            derive=derived_forget_sets,
            models=200,
            subsets=1000,
            images=(8, 8),
        )
    )
