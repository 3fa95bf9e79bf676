"""A suite whose victims train in a blink, with condensed-like records of two owners in it."""

from dataclasses import replace

import numpy as np
import torch

from expunge.attacks.injection import Batching, Contribution, Injection, inject
from expunge.suites import Data, Examples, Suite
from tests.tiny_suite import tiny

MODELS = 3


def small() -> Suite:
    suite = tiny()
    parts = [Examples(each.x.unflatten(1, (1, 8, 8)), each.y) for each in (suite.data.train, suite.data.test)]
    return replace(suite, name="small", data=Data(parts[0], parts[1], classes=10), images=(8, 8))


def blurred(suite: Suite, images: int) -> tuple[Examples, np.ndarray]:
    """Of each class so many records, each half itself and half the mean of its class; and which they were."""
    x, y = suite.data.train.x, suite.data.train.y
    rows = np.concatenate([np.flatnonzero(y.numpy() == label)[:images] for label in range(10)])
    means = torch.stack([x[y == label].mean(0) for label in range(10)])
    return Examples((x[rows] + means[y[rows]]) / 2, y[rows]), rows


def attacked(batching: Batching = "shuffled", images: int = 1, owners: int = 1) -> Injection:
    suite = small()
    examples, rows = blurred(suite, images)
    dealt = [np.arange(number, len(rows), owners) for number in range(owners)]
    contributions = [
        Contribution(f"owner-{number + 1}", examples.take(part), rows[part]) for number, part in enumerate(dealt)
    ]
    free = np.setdiff1d(np.arange(200), rows)
    size = len(rows)
    draws = [free[size : 2 * size], free[2 * size : 3 * size]]
    return inject(suite, contributions, {"random": free[:size]}, batching=batching, draws=draws, models=MODELS)
