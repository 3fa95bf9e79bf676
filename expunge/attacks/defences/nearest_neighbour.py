"""Nearest neighbours: records that nearly repeat another one, and records that no class-mate is near to."""

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray
from torch import Tensor

from expunge.attacks.defence import Defence, Scene
from expunge.attacks.defences.by_class import labels_of, of_each_class

BLOCK = 1024  # records whose distances to all others are held at once


def nearest(rows: Float[Tensor, "n values"]) -> Float[Tensor, " n"]:
    """The Euclidean distance of each of 2 or more rows to the nearest other one; exactly 0 where that is the same."""
    centred = rows - rows.mean(0)  # products of small numbers lose less
    squares, found = centred.square().sum(1), []
    for block in torch.arange(len(rows), device=rows.device).split(BLOCK):
        near = squares - 2 * centred[block] @ centred.T  # squared distances, less what each row has in common
        near[torch.arange(len(block)), block] = torch.inf
        found.append((rows[block] - rows[near.argmin(1)]).norm(dim=1))
    return torch.cat(found)


def duplicates(x: Tensor, labels: Int[ndarray, " train"]) -> Float[ndarray, " train"]:
    """``1 - d / median of d over the class``, d the distance of each input to the nearest other of any class.

    1 is an exact repetition, 0 usual, below 0 farther than usual; higher is more suspicious. Where half of a class are
    repetitions the mean stands for the median; where all are, and in classes of fewer than 3 records: 0.
    """
    distances: ndarray = nearest(x.flatten(1).float()).double().cpu().numpy()
    return of_each_class(labels, lambda members: -_beyond(distances[members]))


def isolated(x: Tensor, labels: Int[ndarray, " train"]) -> Float[ndarray, " train"]:
    """``d / median of d over the class - 1``, d the distance of each input to the nearest other of its class.

    0 is usual, 1 twice as far, -1 a repetition; higher is more suspicious. Median and small classes as in
    :func:`duplicates`.
    """
    rows = x.flatten(1).float()

    def score(members: Int[ndarray, " members"]) -> Float[ndarray, " members"]:
        own = rows[torch.as_tensor(members, device=rows.device)]
        return _beyond(nearest(own).double().cpu().numpy())

    return of_each_class(labels, score)


def _beyond(distances: Float[ndarray, " members"]) -> Float[ndarray, " members"]:
    usual = float(np.median(distances)) or float(distances.mean())
    result: ndarray = distances / usual - 1 if usual else distances
    return result


def duplicate_records(scene: Scene) -> Float[ndarray, "one train"]:
    """How nearly each training record repeats another; no model is looked at."""
    return duplicates(scene.suite.data.train.x.to(scene.victims.device), labels_of(scene))[None]


def isolated_records(scene: Scene) -> Float[ndarray, "one train"]:
    """How far each training record is from its class-mates; no model is looked at."""
    return isolated(scene.suite.data.train.x.to(scene.victims.device), labels_of(scene))[None]


DUPLICATES = Defence(
    summary="how near the input of a record is to that of another record",
    when="training",
    price="all distances between inputs, no model; honest repetitions are held back",
    source="ours; near repetitions in public data sets: Barz and Denzler 2020, arXiv:1902.00423",
    records=duplicate_records,
)

ISOLATED = Defence(
    summary="how far the input of a record is from the nearest of its class",
    when="training",
    price="all distances between the inputs of a class, no model; honest rare records are held back",
    source="ours; distance to a nearest neighbour as a measure of outliers: Ramaswamy, Rastogi and Shim 2000, "
    "doi:10.1145/342009.335437",
    records=isolated_records,
)
