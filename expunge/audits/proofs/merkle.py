"""A Merkle tree of the training records: one hash that stands for all of them, and what it proves.

Leaves and inner nodes are hashed apart, and an odd node climbs as it is: no two lists of leaves have one root, as they
have where the last node is doubled. A leaf is the hash of a record: of a record of few possible values it can be
guessed, so leaves go to those who may know which records there are.
"""

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray

from expunge.suites.data import Examples


class Sibling(NamedTuple):
    """A node beside the way from a leaf to the root."""

    left: bool  # whether it stands to the left
    digest: bytes


def leaves_of(examples: Examples) -> UInt8[ndarray, "records 32"]:
    """The hash of each record, input and label, in the order of the data."""
    x, y = (np.ascontiguousarray(part.cpu().numpy()) for part in (examples.x, examples.y))
    found = [hashlib.sha256(b"\0" + one.tobytes() + other.tobytes()).digest() for one, other in zip(x, y, strict=True)]
    return np.frombuffer(b"".join(found), np.uint8).reshape(-1, 32)


def root_of(leaves: UInt8[ndarray, "records 32"]) -> str:
    """The root, in hexadecimal digits."""
    nodes = [row.tobytes() for row in leaves]
    while len(nodes) > 1:
        nodes = _above(nodes)
    return (nodes[0] if nodes else hashlib.sha256(b"").digest()).hex()


def without(leaves: UInt8[ndarray, "records 32"], removed: Sequence[int]) -> UInt8[ndarray, "kept 32"]:
    """The leaves of what is kept: the root of these is that of all data but the removed, and of nothing else."""
    return np.delete(leaves, np.asarray(removed, dtype=int), axis=0)


def way_of(leaves: UInt8[ndarray, "records 32"], place: int) -> list[Sibling]:
    """What proves that the leaf at ``place`` is below the root: for an owner who may not see the other records."""
    nodes, way = [row.tobytes() for row in leaves], []
    while len(nodes) > 1:
        beside = place ^ 1
        if beside < len(nodes):
            way.append(Sibling(beside < place, nodes[beside]))
        nodes, place = _above(nodes), place // 2
    return way


def is_below(root: str, leaf: bytes, way: Sequence[Sibling]) -> bool:
    """Whether ``leaf`` and its way lead to ``root``."""
    node = leaf
    for left, other in way:
        node = _joined(other, node) if left else _joined(node, other)
    return node.hex() == root


def _above(nodes: list[bytes]) -> list[bytes]:
    pairs = [_joined(*nodes[start : start + 2]) for start in range(0, len(nodes) - 1, 2)]
    return [*pairs, *nodes[2 * len(pairs) :]]


def _joined(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\1" + left + right).digest()
