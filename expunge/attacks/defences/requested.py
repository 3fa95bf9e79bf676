"""The records that requests hold, each once, so that what is computed of a record is computed once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray
from torch import Tensor

from expunge.attacks.defence import Scene
from expunge.attacks.defences.by_class import labels_of
from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.features import in_parts
from expunge.errors import BadSetting
from expunge.suites.data import Data, Examples
from expunge.suites.request import Request

FOREIGN = -1


@dataclass(frozen=True, eq=False)
class Requested:
    """Records, their numbers in the training data, and how often each request holds each.

    A record that is not, byte for byte, the training record at its claimed index stands as it was handed in: its number
    is -1.
    """

    examples: Examples
    numbers: Int[ndarray, " records"]
    held: Float[Tensor, "requests records"]

    def means(self, values: Float[Tensor, "models records"]) -> Float[Tensor, "models requests"]:
        """The mean of ``values`` over the records of each request."""
        weights = self.held.to(values) / self.held.to(values).sum(1, keepdim=True)
        result: Tensor = values @ weights.T
        return result


def means_by_request(
    scene: Scene, of_records: Callable[[Ensemble, Scene, Requested], Float[Tensor, "models records"]]
) -> Float[ndarray, "models requests"]:
    """The mean over the records of each request of what ``of_records`` finds of them, some models at a time."""
    labels_of(scene)
    wanted = requested(scene.requests, scene.suite.data)
    parts = in_parts(scene.victims, scene.suite.data.sizes[0] + len(wanted.examples))
    found: ndarray = wanted.means(torch.cat([of_records(part, scene, wanted) for part in parts])).cpu().numpy()
    return found


def requested(requests: Sequence[Request], data: Data) -> Requested:
    """The records of ``requests``: those of the training data by their numbers, then those that are not."""
    honest = [request.honest(data) for request in requests]
    claimed = [request.indices[true] for request, true in zip(requests, honest, strict=True)]
    numbers = np.unique(np.concatenate(claimed))
    foreign = [_foreign(request, ~true, data) for request, true in zip(requests, honest, strict=True)]
    own = data.train.take(numbers)
    x, y = (torch.cat(parts) for parts in zip((own.x, own.y), *((each.x, each.y) for each in foreign), strict=True))
    held, first = torch.zeros(len(requests), len(x)), len(numbers)
    for row, indices, others in zip(held, claimed, foreign, strict=True):
        row += torch.bincount(torch.as_tensor(np.searchsorted(numbers, indices)), minlength=len(x))
        row[first : first + len(others)] = 1
        first += len(others)
    return Requested(Examples(x, y), np.append(numbers, np.full(len(x) - len(numbers), FOREIGN)), held)


def _foreign(request: Request, rows: ndarray, data: Data) -> Examples:
    """What of a request is not in the training data, in their types."""
    like = data.train
    if request.examples.x.shape[1:] != like.x.shape[1:] or request.examples.y.shape[1:] != like.y.shape[1:]:
        found = tuple(request.examples.x.shape[1:])
        raise BadSetting(
            f"a request of {request.owner or 'nobody named'}: expected records of shape {tuple(like.x.shape[1:])}, got "
            f"{found}; hand in records as they lie in the training data"
        )
    some = request.examples.take(np.flatnonzero(rows))
    return Examples(some.x.to(like.x.dtype), some.y.to(like.y.dtype))
