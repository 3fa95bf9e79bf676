"""Class gradients: requests for records whose gradients are unlike those of their class."""

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from numpy import ndarray
from torch import Tensor

from expunge.attacks.defence import Defence, Scene
from expunge.attacks.defences.by_class import LEAST
from expunge.attacks.defences.requested import Requested, means_by_request
from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.features import last_inputs, outputs
from expunge.suites.data import Examples

Factors = tuple[Tensor, Tensor]  # unit residuals (n, classes) and unit features (n, d): a gradient is their product


def dissimilarities(
    factors: Factors, labels: Int[Tensor, " n"], mates: Factors, classes: Int[Tensor, " train"], own: Tensor
) -> Float[Tensor, " n"]:
    """``1 - mean cosine`` between the last-layer gradient of each record and those of its class-mates, 0 to 2.

    The gradient by the last layer's weights is ``(softmax - onehot) (x) h``, with h what goes into the layer; so the
    cosine of two is the product of two cosines, and the mean over a class needs one matrix of that class. ``own`` says
    which records are themselves among the mates, and are left out there. A class of fewer than 3 mates: 0.
    """
    found = torch.zeros(len(labels), dtype=torch.float64, device=labels.device)
    for label in labels.unique():
        members, asked = classes == label, labels == label
        if members.sum() < LEAST:
            continue
        mean = mates[0][members].T @ mates[1][members]  # (classes, d): the sum of the unit gradients of the class
        residual, feature = factors[0][asked], factors[1][asked]
        itself = own[asked] * residual.square().sum(1) * feature.square().sum(1)
        cosines = ((residual @ mean) * feature).sum(1) - itself
        found[asked] = 1 - cosines / (members.sum() - own[asked])
    return found


def factors_of(ensemble: Ensemble, examples: Examples) -> tuple[Tensor, Tensor]:
    """Unit residuals ``(models, n, classes)`` and unit features ``(models, n, d)`` in float64.

    Where the last layer is not linear, softmax - onehot stands alone. What is exactly 0 stays 0.
    """
    logits, inputs = outputs(ensemble, examples.x).double(), last_inputs(ensemble, examples.x)
    feature = logits.new_ones(*logits.shape[:2], 1) if inputs is None else inputs.double()
    labels = examples.y.to(logits.device).expand(logits.shape[:2]).unsqueeze(-1)
    others = logits.softmax(-1).scatter(-1, labels, 0)
    residual = others.scatter(-1, labels, -others.sum(-1, keepdim=True))  # p - 1, without its cancellation near 1
    return F.normalize(residual, dim=-1, eps=1e-300), F.normalize(feature, dim=-1, eps=1e-300)


def requests(scene: Scene) -> Float[ndarray, "models requests"]:
    """The mean over the records of each request of their :func:`dissimilarities`; higher is more suspicious."""
    return means_by_request(scene, _of_records)


def _of_records(ensemble: Ensemble, scene: Scene, wanted: Requested) -> Float[Tensor, "models records"]:
    train, device = scene.suite.data.train, ensemble.device
    own = torch.as_tensor(np.asarray(wanted.numbers >= 0), device=device).double()
    labels, classes = wanted.examples.y.to(device), train.y.to(device)
    asked, mates = factors_of(ensemble, wanted.examples), factors_of(ensemble, train)
    rows = zip(*asked, *mates, strict=True)
    return torch.stack([dissimilarities((r, h), labels, (mr, mh), classes, own) for r, h, mr, mh in rows])


DEFENCE = Defence(
    summary="how unlike the last-layer gradients of the records of a request are to those of their class",
    when="request",
    price="a forward pass over the data at each version of the model; honest requests for rare or mislabelled records "
    "are held back",
    source="Qian et al. 2023, doi:10.1145/3580305.3599526, in a formulation of ours: the paper's is not public",
    requests=requests,
    filters=True,
)
