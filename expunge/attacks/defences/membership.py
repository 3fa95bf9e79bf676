"""Membership: whether what is to be removed is, byte for byte, what was trained on."""

import hashlib

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from expunge.attacks.defence import Defence, Scene
from expunge.suites.data import Examples

MISPLACED = 0.5  # what a record counts that is in the training data, but not where the owner says


def hashes(examples: Examples) -> list[bytes]:
    """SHA-256 of type, shape and bytes of the input and the label of each example."""
    kind = f"{examples.x.dtype}{tuple(examples.x.shape[1:])}{examples.y.dtype}{tuple(examples.y.shape[1:])}".encode()
    x, y = examples.x.contiguous().numpy(), examples.y.contiguous().numpy()
    return [hashlib.sha256(kind + one.tobytes() + other.tobytes()).digest() for one, other in zip(x, y, strict=True)]


def requests(scene: Scene) -> Float[ndarray, "one requests"]:
    """The share of a request's records that are not in the training data, 0 to 1; higher is more suspicious.

    A record counts 0 if it is the one at the index that the owner claims, 1 if it is nowhere, and one half if it lies
    elsewhere: its bytes are known, but the claim would remove another.
    """
    known = hashes(scene.suite.data.train)
    anywhere, found = set(known), []
    for request in scene.requests:
        each = zip(hashes(request.examples), request.indices.tolist(), strict=True)
        found.append(np.mean([_strange(one, index, known, anywhere) for one, index in each]))
    return np.array([found])


def _strange(one: bytes, index: int, known: list[bytes], anywhere: set[bytes]) -> float:
    if 0 <= index < len(known) and known[index] == one:
        return 0.0
    return MISPLACED if one in anywhere else 1.0


DEFENCE = Defence(
    summary="share of the records of a request that are not, byte for byte, in the training data",
    when="request",
    price="a hash of each training record, no model; no honest request is held back; an owner who contributed the "
    "records passes",
    source="countermeasure to over-unlearning in Liu et al. 2025, arXiv:2403.13682",
    requests=requests,
)
