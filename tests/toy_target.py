"""A second target: every example has two labels, and some of them are left out."""

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from sklearn.datasets import load_digits
from torch import Tensor, nn, tensor

from expunge import Suite
from expunge.errors import BadData
from expunge.suites import Data, Examples, ForgetSets, Recipe, Target
from expunge.suites.target import log_odds

ABSENT = -1  # a label that is left out


class TwoLabels(Target):
    """Labels ``(examples, 2)``, of which one may be left out; a margin for each that is not."""

    name = "two-labels"

    def check_labels(self, labels: Tensor, classes: int) -> None:
        if labels.ndim != 2 or labels.shape[1] != 2 or labels.max() >= classes or labels.min() < ABSENT:
            raise BadData(f"expected two labels an example, got {tuple(labels.shape)}")

    def output_shape(self, labels: Tensor, classes: int) -> tuple[int, ...]:
        return len(labels), 2, classes

    def loss(self, outputs: Tensor, labels: Tensor, smoothing: float = 0.0) -> Float[Tensor, " models"]:
        labels = labels.expand(outputs.shape[:-1])
        there = labels != ABSENT
        logs = outputs.log_softmax(-1)
        own = logs.gather(-1, labels.clamp(min=0)[..., None])[..., 0]
        losses = -((1 - smoothing) * own + smoothing * logs.mean(-1))
        return (losses * there).flatten(1).sum(1) / there.flatten(1).sum(1)

    def margins(self, outputs: Tensor, labels: Tensor) -> Float[Tensor, "models columns"]:
        return log_odds(outputs, labels.clamp(min=0))[:, labels != ABSENT]

    def correct(self, outputs: Tensor, labels: Tensor) -> Bool[Tensor, "models columns"]:
        return (outputs.argmax(-1) == labels)[:, labels != ABSENT]

    def owners(self, data: Data) -> Int[ndarray, " columns"]:
        return np.repeat(np.arange(data.examples), (data.labels != ABSENT).sum(1).numpy())


def network() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 20), nn.Unflatten(-1, (2, 10)))


def two_labels(classes: int = 10) -> Suite:
    """Of each picture its digit, and the digit's remainder by 3; of every fifth the second is left out."""
    pixels, digits = load_digits(return_X_y=True)
    x = tensor(pixels / 16).float()
    labels = np.stack([digits, digits % 3], axis=1)
    labels[::5, 1] = ABSENT
    y = torch.from_numpy(labels)
    return Suite(
        name="two-labels",
        version=1,
        data=Data(Examples(x[:120], y[:120]), Examples(x[120:160], y[120:160]), classes, TwoLabels()),
        network=network,
        recipe=Recipe(epochs=4, batch_size=20, lr=0.1),
        forget_sets=ForgetSets({"first": np.arange(10)}),
        models=8,
        chunk=4,
    )
