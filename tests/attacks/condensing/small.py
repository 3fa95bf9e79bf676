"""Suites that are condensed in a moment."""

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn

from expunge.attacks.condensing.condense import Condensing
from expunge.attacks.condensing.material import Material
from expunge.suites import Data, Examples, ForgetSets, Recipe, Suite

CLASSES, RECORDS = 3, 24  # records of each class


def pictures(dtype: torch.dtype = torch.float32) -> Suite:
    """Three digits of 8 x 8 pixels, and a network with BatchNorm."""
    pixels, labels = load_digits(n_class=CLASSES, return_X_y=True)
    rows = np.concatenate([np.flatnonzero(labels == label)[: 2 * RECORDS] for label in range(CLASSES)])
    x, y = torch.tensor(pixels[rows] / 16, dtype=dtype).reshape(-1, 1, 8, 8), torch.tensor(labels[rows])
    return _suite("small-pictures", x, y, normed, images=(8, 8))


def table() -> Suite:
    """Two Gaussians of five features that overlap, and a perceptron."""
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], 2 * RECORDS)
    x = rng.normal(size=(len(y), 5)) + y[:, None]
    return _suite("small-table", torch.tensor(x, dtype=torch.float32), torch.tensor(y), hidden)


def _suite(name: str, x: torch.Tensor, y: torch.Tensor, network, images=None) -> Suite:  # type: ignore[no-untyped-def]
    part = torch.arange(len(y)) % 2 == 0
    data = Data(Examples(x[part], y[part]), Examples(x[~part], y[~part]), classes=int(y.max()) + 1)
    recipe = Recipe(epochs=4, batch_size=16, lr=0.05)
    sets = ForgetSets({"first": np.arange(4)})
    return Suite(
        name=name, version=1, data=data, network=network, recipe=recipe, forget_sets=sets, models=4, images=images
    )


def normed() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, stride=2), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(36, CLASSES)
    )


def hidden() -> nn.Module:
    return nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 2))


def config(**settings: object) -> Condensing:
    """Three iterations for two images a class, with small networks."""
    return Condensing(**{"images": 2, "iterations": 3, "width": 4, **settings})  # type: ignore[arg-type]


def material(suite: Suite, seeds: tuple[int, ...], **settings: object) -> Material:
    return Material(suite, config(**settings).settled, seeds, np.arange(len(suite.data.train)))
