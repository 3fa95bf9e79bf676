"""Owner cap: owners who ask for much, all their requests together."""

from collections import Counter

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from expunge.attacks.defence import Defence, Scene


def requests(scene: Scene) -> Float[ndarray, "one requests"]:
    """The records that a request's owner has asked for up to and with this request, over the training size.

    Higher is more suspicious. Requests are taken in their order; a record that is asked for again counts again. Owners
    without a name are each their own.
    """
    asked: Counter[str] = Counter()
    found = []
    for request in scene.requests:
        before = asked[request.owner] if request.owner else 0
        asked[request.owner] = before + len(request)
        found.append((before + len(request)) / scene.suite.data.sizes[0])
    return np.array([found])


DEFENCE = Defence(
    summary="share of the training data that the owner of a request has asked for so far",
    when="request",
    price="a count for each owner, no model; owners who contributed much are held back; an attacker with many names "
    "passes",
    source="ours; rate limits for requests",
    requests=requests,
    accumulates="owner",
)
