"""Deep k-NN: records whose neighbours in the features have other labels."""

import torch
from jaxtyping import Float, Int
from numpy import ndarray
from torch import Tensor

from expunge.attacks.defence import Defence, Scene
from expunge.attacks.defences.by_class import LEAST, labels_of, of_each_model

SHARE = 0.2  # k is this share of the record's class
BLOCK = 512  # records whose distances to all others are held at once


def deep_knn(
    features: Float[Tensor, "train d"], labels: Int[ndarray, " train"], share: float = SHARE
) -> Float[ndarray, " train"]:
    """The share of a record's k nearest other records that do not have its label, 0 to 1; higher is more suspicious.

    Distances are Euclidean; k is a ``share`` of the number of records of its class, and at least 1. The paper drops a
    record whose label has no plurality among them: a vote, of which this is the grade. Classes of fewer than 3
    records: 0.

    Source: Peri et al. 2020, arXiv:1909.13374.
    """
    own = torch.as_tensor(labels, device=features.device)
    sizes = torch.bincount(own)[own]
    wanted = (share * sizes).round().long().clamp(min=1).minimum(sizes - 1)  # 0 of a record alone in its class
    features = features - features.mean(0)  # what all share is lost in distances, and costs digits
    found = torch.zeros(len(own), dtype=torch.float64, device=features.device)
    for rows in torch.arange(len(own), device=features.device).split(BLOCK):
        distances = torch.cdist(features[rows], features)
        distances[torch.arange(len(rows)), rows] = torch.inf
        nearest = distances.topk(max(1, int(wanted[rows].max())), largest=False).indices
        counted = torch.arange(nearest.shape[1], device=features.device) < wanted[rows, None]
        others = (own[nearest] != own[rows, None]) & counted
        found[rows] = others.sum(1).double() / wanted[rows].clamp(min=1)
    found[sizes < LEAST] = 0
    result: ndarray = found.cpu().numpy()
    return result


def records(scene: Scene) -> Float[ndarray, "models train"]:
    """The share for each training record in the features of each model."""
    labels = labels_of(scene)
    return of_each_model(scene, lambda features, _: deep_knn(features, labels))


DEFENCE = Defence(
    summary="share of the nearest records, in the features, that have another label",
    when="training",
    price="a first training, one forward pass over the data, all distances between records; honest records near "
    "another class are held back, which are those that draw the boundary",
    source="Peri et al. 2020, arXiv:1909.13374",
    records=records,
)
