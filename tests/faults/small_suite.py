"""A suite that builds in seconds, with weights heavy enough that writing them takes time: what faults are tried on."""

import numpy as np
from sklearn.datasets import load_digits
from torch import nn, tensor

from expunge import Suite
from expunge.suites import Data, Examples, ForgetSets, Recipe


def network() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 2048), nn.ReLU(), nn.Linear(2048, 10))


def small() -> Suite:
    pixels, labels = load_digits(return_X_y=True)
    x, y = tensor(pixels / 16).float(), tensor(labels)
    return Suite(
        name="small",
        version=1,
        data=Data(Examples(x[:600], y[:600]), Examples(x[600:800], y[600:800]), classes=10),
        network=network,
        recipe=Recipe(epochs=10, batch_size=50, lr=0.05),
        forget_sets=ForgetSets({"first": np.arange(20)}),
        models=24,
        chunk=4,
    )
