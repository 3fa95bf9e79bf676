"""Update budget: how far the removals that were asked for would move the weights, all together, owner by owner or in
all."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from expunge.attacks.defence import Defence, Scene
from expunge.attacks.defences import update_norm
from expunge.suites.request import Request


def accumulated(
    norms: Float[ndarray, "models requests"], requests: Sequence[Request], *, by_owner: bool
) -> Float[ndarray, "models requests"]:
    """The sum of the norms up to and with each request, of its owner or of all; owners without a name are each alone.

    The norm of a sum of updates is at most the sum of their norms: whoever keeps below a budget moves the weights no
    further, to first order.
    """
    if not by_owner:
        return norms.cumsum(axis=1)
    spent: defaultdict[str, ndarray] = defaultdict(lambda: np.zeros(len(norms)))
    found = []
    for request, own in zip(requests, norms.T, strict=True):
        total = spent[request.owner] + own if request.owner else own
        spent[request.owner] = total
        found.append(total)
    return np.stack(found, axis=1)


def of_owner(scene: Scene) -> Float[ndarray, "models requests"]:
    """The predicted norms of the updates of an owner's requests until now; the unit is that of the gradients."""
    return accumulated(update_norm.requests(scene), scene.requests, by_owner=True)


def of_all(scene: Scene) -> Float[ndarray, "models requests"]:
    """The predicted norms of the updates of all requests until now; the unit is that of the gradients."""
    return accumulated(update_norm.requests(scene), scene.requests, by_owner=False)


OWNER = Defence(
    summary="predicted norms of the updates that an owner has asked for so far, summed up",
    when="request",
    price="a forward and a backward pass for each requested record; owners of much or of hard records are held back; "
    "an attacker with many names passes",
    source="ours; a budget of predicted updates for each owner, in the norm of Warnecke et al. 2023, arXiv:2108.11577",
    requests=of_owner,
    accumulates="owner",
)

TOTAL = Defence(
    summary="predicted norms of the updates that all owners have asked for so far, summed up",
    when="request",
    price="a forward and a backward pass for each requested record; who comes late is held back, whoever has used up "
    "the budget: an attacker's large request shuts out honest owners until the model is trained anew",
    source="ours; a budget of predicted updates for each version of a model, in the norm of Warnecke et al. 2023, "
    "arXiv:2108.11577",
    requests=of_all,
    accumulates="all",
)
