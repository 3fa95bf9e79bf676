"""Small scenes: records that a test makes, a few networks, and requests."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy import ndarray
from torch import Tensor, nn

from expunge import Suite
from expunge.attacks.defence import Remove, Scene
from expunge.ensembles import Ensemble, Origin
from expunge.suites import Data, Examples, ForgetSets, Recipe, Request

MODELS, CLASSES, WIDTH = 2, 3, 6


def linear() -> nn.Module:
    """Its features are its inputs."""
    return nn.Linear(WIDTH, CLASSES)


def hidden() -> nn.Module:
    return nn.Sequential(nn.Linear(WIDTH, 8), nn.ReLU(), nn.Linear(8, CLASSES))


def blobs(n: int = 300, seed: int = 0) -> Examples:
    """Three classes, one normal cloud each: any record could be any other of its class."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % CLASSES
    x = rng.normal(size=(n, WIDTH)) + 4 * np.eye(CLASSES, WIDTH)[labels]
    return Examples(torch.tensor(x, dtype=torch.float32), torch.tensor(labels))


def untouched(request: Request) -> Ensemble:
    raise AssertionError("this defence removes nothing")


def scene_of(
    train: Examples,
    network: Callable[[], nn.Module] = linear,
    requests: Sequence[Request] = (),
    remove: Remove = untouched,
    validation: Sequence[int] = (),
    test: Examples | None = None,
) -> Scene:
    suite = Suite(
        name="small",
        version=1,
        data=Data(train, test or blobs(60, seed=1), classes=CLASSES),
        network=network,
        recipe=Recipe(epochs=1, batch_size=10, lr=0.1),
        forget_sets=ForgetSets({"first": np.arange(2)}),
        models=MODELS,
    )
    return Scene(suite, stacked(network, train.x), requests, remove, np.array(validation, dtype=np.int64))


def stacked(network: Callable[[], nn.Module], x: Tensor) -> Ensemble:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        networks = [network() for _ in range(MODELS)]
    origin = Origin("small", "0123456789abcdef", "pretrained", None, tuple(range(MODELS)))
    return Ensemble.stack(networks, origin, x.shape[1:]).eval()


def request_of(train: Examples, indices: Sequence[int] | ndarray, owner: str = "") -> Request:
    return Request(train.take(np.array(indices)), np.array(indices), owner)


def with_rows(train: Examples, rows: Sequence[int] | ndarray, x: Tensor) -> Examples:
    changed = train.x.clone()
    changed[torch.as_tensor(np.array(rows))] = x
    return Examples(changed, train.y)
