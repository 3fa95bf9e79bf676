"""Suspicion of records beside their class-mates: what defences at training time have in common."""

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray
from torch import Tensor

from expunge.attacks.defence import Scene
from expunge.ensembles.features import features, in_parts
from expunge.errors import BadSetting

LEAST = 3  # records of a class; of a smaller class nothing can be told, and its records are as usual: suspicion 0

Score = Callable[[Tensor, int], ndarray]  # (features (train, d), number of the model) -> suspicions (train,)


def labels_of(scene: Scene) -> Int[ndarray, " train"]:
    """The class of each training record; a BadSetting where a record has not one class."""
    labels = scene.suite.data.train.y
    if labels.ndim != 1:
        raise BadSetting(
            f"suite {scene.suite.name!r}: this defence looks at records beside their class-mates; expected one label "
            f"an example, got labels {tuple(labels.shape)}; take a defence that asks for no class"
        )
    found: ndarray = labels.numpy()
    return found


def of_each_model(scene: Scene, score: Score) -> Float[ndarray, "models train"]:
    """``score`` of the features of each model."""
    x, found = scene.suite.data.train.x, []
    for part in in_parts(scene.victims, len(x)):
        found += [score(each, number) for each, number in zip(features(part, x), part.origin.models, strict=True)]
    return np.stack(found)


def of_each_class(
    labels: Int[ndarray, " train"], score: Callable[[Int[ndarray, " members"]], ndarray]
) -> Float[ndarray, " train"]:
    """``score`` of the numbers of the records of each class, put in the order of the records.

    Classes of fewer than 3 records are not scored: 0.
    """
    found = np.zeros(len(labels))
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        if len(members) >= LEAST:
            found[members] = score(members)
    return found


def deviations(
    values: Float[ndarray, "models train"], labels: Int[ndarray, " train"]
) -> Float[ndarray, "models train"]:
    """``|v - median| / MAD`` of each record within its class: how odd it is, in either direction; 0 is usual.

    MAD is the median of the absolute deviations; where it is 0, for more than half of a class agree, their mean; where
    all agree, nothing is odd. Classes of fewer than 3 records: 0.
    """
    return np.stack([of_each_class(labels, partial(_deviations, row)) for row in values])


def _deviations(values: Float[ndarray, " train"], members: Int[ndarray, " members"]) -> Float[ndarray, " members"]:
    own = values[members].astype(np.float64)
    off: ndarray = np.abs(own - np.median(own))
    return off / (float(np.median(off)) or float(off.mean()) or 1.0)


def in_double(features: Tensor, members: Int[ndarray, " members"]) -> Float[ndarray, "members d"]:
    """The features of these records, less their mean, in float64."""
    own: ndarray = features[torch.as_tensor(members, device=features.device)].double().cpu().numpy()
    centred: ndarray = own - own.mean(axis=0)
    return centred
