"""Gradient-norm outliers: records that pull on the weights unusually much or little for their class."""

import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from expunge.attacks.defence import Defence, Scene
from expunge.attacks.defences.by_class import deviations, labels_of
from expunge.ensembles.device import resident
from expunge.ensembles.ensemble import Ensemble
from expunge.methods.parts.layer_gradients import norms
from expunge.methods.parts.per_sample import each_gradient
from expunge.suites.suite import Examples
from expunge.suites.target import Target


def gradient_norms(ensemble: Ensemble, examples: Examples, target: Target) -> Float[Tensor, "models n"]:
    """``|| grad loss ||`` of each example by itself over all weights, in evaluation mode, on the CPU."""
    blocks = each_gradient(ensemble, resident(examples, ensemble.device), loss=target.loss)
    return torch.cat([norms(block).cpu() for block in blocks], dim=1)


def records(scene: Scene) -> Float[ndarray, "models train"]:
    """``|norm - median of the class| / MAD of the class`` of each training record's gradient norm.

    0 is usual; higher is more suspicious, in either direction; see :func:`.by_class.deviations`.
    """
    data, labels = scene.suite.data, labels_of(scene)
    found: ndarray = gradient_norms(scene.victims, data.train, data.target).numpy()
    return deviations(found, labels)


DEFENCE = Defence(
    summary="a gradient whose norm is far from the median of the class, in median absolute deviations",
    when="training",
    price="a first training and, one record at a time, a forward and a backward pass over the data; honest records "
    "that are hard to learn are held back",
    source="ours; the median absolute deviation as a measure of outliers: Hampel 1974, doi:10.1080/01621459.1974."
    "10482962",
    records=records,
)
