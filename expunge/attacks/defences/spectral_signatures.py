"""Spectral signatures: records far out along the direction in which their class spreads most."""

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from torch import Tensor

from expunge.attacks.defence import Defence, Scene
from expunge.attacks.defences.by_class import in_double, labels_of, of_each_class, of_each_model


def spectral_signatures(features: Float[Tensor, "train d"], labels: Int[ndarray, " train"]) -> Float[ndarray, " train"]:
    """``((h - mean h) . v)^2``, with v the top right singular vector of the centred features h of the record's class.

    Squared units of the features, 0 or more; higher is more suspicious. The paper removes the highest 1.5 epsilon of
    each class, where a share epsilon is poisoned. Classes of fewer than 3 records: 0.

    Source: Tran, Li and Madry 2018, arXiv:1811.00636.
    """

    def score(members: Int[ndarray, " members"]) -> Float[ndarray, " members"]:
        centred = in_double(features, members)
        squared: ndarray = np.square(centred @ np.linalg.svd(centred, full_matrices=False)[2][0])
        return squared

    return of_each_class(labels, score)


def records(scene: Scene) -> Float[ndarray, "models train"]:
    """The signature of each training record in the features of each model."""
    labels = labels_of(scene)
    return of_each_model(scene, lambda features, _: spectral_signatures(features, labels))


DEFENCE = Defence(
    summary="distance along the direction in which the features of a class spread most",
    when="training",
    price="a first training, one forward pass over the data, a singular value decomposition for each class; records "
    "that are held back are lost for training, honest rare ones first",
    source="Tran, Li and Madry 2018, arXiv:1811.00636",
    records=records,
)
