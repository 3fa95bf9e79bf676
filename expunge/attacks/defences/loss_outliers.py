"""Loss outliers: records that are unusually easy or hard for their class."""

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from expunge.attacks.defence import Defence, Scene
from expunge.attacks.defences.by_class import deviations, labels_of
from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.features import in_parts, outputs
from expunge.suites.suite import Examples
from expunge.suites.target import Target


def losses(ensemble: Ensemble, examples: Examples, target: Target) -> Float[Tensor, "models n"]:
    """The loss of each example by itself, nats, in evaluation mode, on the CPU."""
    found = outputs(ensemble, examples.x)
    labels = examples.y.to(found.device).expand(len(ensemble), *examples.y.shape)
    each = target.loss(found.flatten(0, 1).unsqueeze(1), labels.flatten(0, 1).unsqueeze(1))  # each as a batch of one
    result: Tensor = each.unflatten(0, (len(ensemble), -1)).cpu()
    return result


def records(scene: Scene) -> Float[ndarray, "models train"]:
    """``|loss - median of the class| / MAD of the class`` of each training record; see :func:`.by_class.deviations`.

    0 is usual; higher is more suspicious, whether the record is harder or easier than its class-mates.
    """
    data, labels = scene.suite.data, labels_of(scene)
    parts = [losses(part, data.train, data.target) for part in in_parts(scene.victims, len(labels))]
    return deviations(np.asarray(torch.cat(parts).double()), labels)


DEFENCE = Defence(
    summary="a loss far from the median of the class, above or below, in median absolute deviations",
    when="training",
    price="a first training and one forward pass over the data; honest records that are hard to learn are held back",
    source="ours; the median absolute deviation as a measure of outliers: Hampel 1974, doi:10.1080/01621459.1974."
    "10482962",
    records=records,
)
