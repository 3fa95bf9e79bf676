"""Isolated medoids: requests for records that, in the space of gradients, stand for themselves and for nobody else."""

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from torch import Tensor

from expunge.attacks.defence import Defence, Scene
from expunge.attacks.defences.by_class import LEAST
from expunge.attacks.defences.class_gradients import Factors, factors_of
from expunge.attacks.defences.requested import Requested, means_by_request
from expunge.ensembles.ensemble import Ensemble

SHARE = 0.1  # of the records of a class that are medoids
MOST = 1000  # records of a class that are clustered: the first so many


def cosines(one: Factors, other: Factors) -> Float[Tensor, "n m"]:
    """Cosines between last-layer gradients, each the product of that of the residuals and that of the features."""
    return (one[0] @ other[0].T) * (one[1] @ other[1].T)


def medoids(alike: Float[Tensor, "n n"], count: int) -> Int[Tensor, " count"]:
    """Greedy facility location: ``count`` members, each the one that adds most to ``sum_j max over medoids of alike``.

    Source: Nemhauser, Wolsey and Fisher 1978, doi:10.1007/BF01588971, within 1 - 1/e of the best.
    """
    covered = torch.full((len(alike),), -1.0, dtype=alike.dtype, device=alike.device)
    found: list[int] = []
    for _ in range(count):
        gains = (alike - covered[:, None]).clamp(min=0).sum(0)
        if found:
            gains[found] = -1
        found.append(int(gains.argmax()))
        covered = torch.maximum(covered, alike[:, found[-1]])
    return torch.tensor(found, device=alike.device)


def isolation(
    asked: Factors, mates: Factors, chosen: Int[Tensor, " medoids"], itself: Int[Tensor, " n"]
) -> Float[Tensor, " n"]:
    """``(1 - max over medoids of the cosine) / (1 + mates that would join it)``, 0 to 2; higher is more isolated.

    That is how badly a record is stood for by the medoids of its class, and, were it a medoid, by how many members its
    cluster would be its own: an isolated medoid is far from all others and has nobody but itself. ``itself`` is the
    place of a record among the mates, -1 where it is none of them: it is left out on both sides.
    """
    alike, among = cosines(asked, mates), cosines(mates, (mates[0][chosen], mates[1][chosen]))
    mine = itself[:, None]
    own = chosen[None] == mine  # where a record is a medoid, the others stand for it
    best = alike[:, chosen].masked_fill(own, -1.0).amax(1)
    others = torch.arange(alike.shape[1], device=alike.device)[None] != mine
    joining = ((alike > among.amax(1)) & others).sum(1)
    for row in own.any(1).nonzero().flatten().tolist():
        covered = among.masked_fill(own[row], -1.0).amax(1)
        joining[row] = ((alike[row] > covered) & others[row]).sum()
    return (1 - best) / (1 + joining)


def requests(scene: Scene) -> Float[ndarray, "models requests"]:
    """The mean :func:`isolation` over the records of each request; a class of fewer than 3 records: 0."""
    return means_by_request(scene, _of_records)


def _of_records(ensemble: Ensemble, scene: Scene, wanted: Requested) -> Float[Tensor, "models records"]:
    train, device = scene.suite.data.train, ensemble.device
    labels, classes = wanted.examples.y.to(device), train.y.to(device)
    numbers = torch.as_tensor(np.asarray(wanted.numbers), device=device)
    asked, mates = factors_of(ensemble, wanted.examples), factors_of(ensemble, train)
    found = torch.zeros(len(ensemble), len(labels), dtype=torch.float64, device=device)
    for label in labels.unique():
        members, rows = (classes == label).nonzero().flatten()[:MOST], labels == label
        if len(members) >= LEAST:
            itself = _places(numbers[rows], members)
            for model in range(len(ensemble)):
                own, others = (_of(factors, model, at) for factors, at in ((asked, rows), (mates, members)))
                chosen = medoids(cosines(others, others), max(1, round(SHARE * len(members))))
                found[model, rows] = isolation(own, others, chosen, itself)
    return found


def _of(factors: Factors, model: int, rows: Bool[Tensor, " n"] | Int[Tensor, " m"]) -> Factors:
    return factors[0][model, rows], factors[1][model, rows]


def _places(numbers: Int[Tensor, " n"], members: Int[Tensor, " m"]) -> Int[Tensor, " n"]:
    """Where each record is among the members of its class; -1 where it is not."""
    at = numbers[:, None] == members[None]
    return torch.where(at.any(1), at.int().argmax(1), -1)


DEFENCE = Defence(
    summary="how isolated the records of a request are among the medoids of the last-layer gradients of their class",
    when="request",
    price="a forward pass over the data and a clustering of each class at each version of the model; honest requests "
    "for rare or mislabelled records are held back",
    source="Qian et al. 2023, doi:10.1145/3580305.3599526, by reviews, which speak of isolated medoids; the formula is "
    "ours: the paper's was not at hand",
    requests=requests,
    filters=True,
)
