"""A small suite that others have published: 40 training and 20 test examples whose data nobody has."""

from pathlib import Path

import numpy as np
import torch
from numpy import ndarray
from torch import nn

from expunge.ensembles.published import Publication
from expunge.errors import MissingData
from expunge.suites import Data, Examples, ForgetSet, ForgetSets, Recipe, Suite

TRAIN, TEST, MODELS = 40, 20, 8
ORDERS = {1: np.array([3, 9, 30]), 2: np.array([31, 2, 17, 0, 12, 22]), 10: np.array([25, 4, 39, 11])}
OWNER = "owner/published"


def no_data() -> tuple[Examples, Examples]:
    raise MissingData("there are no data: put them where they belong")


def small_publication(models: int = MODELS) -> Publication:
    sets = [ForgetSet(f"set-{number}", np.sort(order), "published") for number, order in ORDERS.items()]
    suite = Suite(
        name="small",
        version=1,
        data=Data.deferred(no_data, (TRAIN, TEST), 3, "small data"),
        network=lambda: nn.Linear(4, 3),
        recipe=Recipe(epochs=1, batch_size=8, lr=0.1),
        forget_sets=ForgetSets.of(*sets),
        models=models,
        architecture="linear",
    )
    return Publication(suite, ORDERS, repository=OWNER)


def small_margins(publication: Publication, models: int = MODELS, seed: int = 0) -> dict[int, ndarray]:
    """Margins of pretrained models (at 0) and of the oracles of every set: the unseen is known less."""
    rng = np.random.default_rng(seed)
    suite = publication.suite
    difficulty = rng.normal(3, 2, suite.data.width)
    difficulty[TRAIN:] -= 4
    margins = {0: rng.normal(difficulty, 1, (models, suite.data.width)).astype(np.float32)}
    for number in publication.orders:
        shift = np.zeros(suite.data.width)
        shift[publication.forget(number).indices] = 4
        margins[number] = rng.normal(difficulty - shift, 1, (models, suite.data.width)).astype(np.float32)
    return margins


def write_by_hand(folder: Path, margins: dict[int, ndarray], *, dtype: type = np.float32) -> Path:
    """EasyDUB's layout, written with plain loops, as its loader reads it: none of the code under test."""
    base = folder / "margins" / "cifar10"

    def put(place: Path, model: int, values: ndarray) -> None:
        place = place / "resnet9"
        place.mkdir(parents=True, exist_ok=True)
        np.save(place / f"id_{model}_epoch_23.npy", values.astype(dtype))

    for model, row in enumerate(margins[0]):
        put(base / "pretrain" / "retain", model, row[:TRAIN])
        put(base / "pretrain" / "val", model, row[TRAIN:])
    for number in set(margins) - {0}:
        listed = [int(index) for index in ORDERS[number]]
        kept = [index for index in range(TRAIN) if index not in listed]
        indices = folder / "forget_sets" / "cifar10" / f"forget_set_{number}.npy"
        indices.parent.mkdir(parents=True, exist_ok=True)
        np.save(indices, np.array(listed, np.int32))
        for model, row in enumerate(margins[0]):
            put(base / "pretrain" / f"forget_{number}", model, row[listed])
        for model, row in enumerate(margins[number]):
            put(base / "oracle" / f"forget_{number}" / "retain", model, row[kept])
            put(base / "oracle" / f"forget_{number}" / "forget", model, row[listed])
            put(base / "oracle" / f"forget_{number}" / "val", model, row[TRAIN:])
    return folder


def write_klom_models(
    folder: Path, margins: dict[int, ndarray], place: str = "oracle_models/CIFAR10/only_margins"
) -> Path:
    """KLOM-models' layout: stacks on all of train and all of test."""
    parts = {folder / "full_models" / "CIFAR10": margins[0]}
    parts |= {folder / place / f"forget_set_{number}": margins[number] for number in set(margins) - {0}}
    for where, values in parts.items():
        where.mkdir(parents=True)
        torch.save(torch.from_numpy(values[:, :TRAIN].copy()), where / "train_margins_all.pt")
        torch.save(torch.from_numpy(values[:, TRAIN:].copy()), where / "val_margins_all.pt")
    for number in set(margins) - {0}:
        indices = folder / "forget_set_indices" / "CIFAR10" / f"forget_set_{number}.npy"
        indices.parent.mkdir(parents=True, exist_ok=True)
        np.save(indices, ORDERS[number])
    return folder
