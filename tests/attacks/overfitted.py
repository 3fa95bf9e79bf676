"""A suite whose models know their data by heart: half of the labels are drawn at random, and a wide layer fits them."""

from dataclasses import replace

import numpy as np
import torch
from torch import nn

from expunge.suites import Data, Examples, Recipe, Suite
from tests.attacks.small import small


def network() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 96), nn.ReLU(), nn.Linear(96, 10))


def overfitted() -> Suite:
    suite = small()
    rng = np.random.default_rng(0)
    parts = []
    for each in (suite.data.train, suite.data.test):
        noise = torch.from_numpy(rng.integers(10, size=len(each)))
        drawn = torch.from_numpy(rng.random(len(each)) < 0.5)
        parts.append(Examples(each.x, torch.where(drawn, noise, each.y)))
    recipe = Recipe(epochs=50, batch_size=20, lr=0.1)
    return replace(suite, name="overfitted", data=Data(parts[0], parts[1], classes=10), network=network, recipe=recipe)
