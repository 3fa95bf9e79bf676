"""A suite that trains in a second: what tuning is tried on."""

from dataclasses import replace

import numpy as np
from sklearn.datasets import load_digits
from torch import nn, tensor

from expunge import Suite
from expunge.suites import Data, Examples, ForgetSets, Recipe


def network() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))


def tiny() -> Suite:
    pixels, labels = load_digits(return_X_y=True)
    x, y = tensor(pixels / 16).float(), tensor(labels)
    return Suite(
        name="tiny",
        version=1,
        data=Data(Examples(x[:200], y[:200]), Examples(x[200:260], y[200:260]), classes=10),
        network=network,
        recipe=Recipe(epochs=8, batch_size=20, lr=0.05),
        forget_sets=ForgetSets({"first": np.arange(10), "more": np.arange(5, 25)}),
        models=12,
        chunk=3,
    )


def crowded() -> Suite:
    """Its forget sets leave too little for tuning."""
    return replace(tiny(), forget_sets=ForgetSets({"low": np.arange(120), "high": np.arange(110, 150)}))


def hidden_network() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 10))


def hidden() -> Suite:
    """With a layer that can be pruned."""
    return replace(tiny(), name="hidden", network=hidden_network)
