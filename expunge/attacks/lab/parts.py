"""Requests in parts, and several as one."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Int
from numpy import ndarray

from expunge.suites.data import Examples
from expunge.suites.request import Request


def each_record(request: Request) -> list[Request]:
    """A request for each of the records of one."""
    return [part for row in range(len(request)) if (part := rest(request, np.arange(len(request)) == row))]


def rest(request: Request, kept: Bool[ndarray, " requested"]) -> Request | None:
    """What is left of a request where not all of its records are kept; None where none is."""
    rows: Int[ndarray, " kept"] = np.flatnonzero(kept)
    if not len(rows):
        return None
    instead = None if request.instead is None else request.instead.take(rows)
    return Request(request.examples.take(rows), request.indices[rows], request.owner, instead)


def union_of(requests: Sequence[Request]) -> Request:
    """Several requests as one of the first one's owner, in the order of the records' numbers."""
    indices = np.concatenate([each.indices for each in requests])
    order = np.argsort(indices, kind="stable")
    joined = _joined([each.examples for each in requests]).take(order)
    news = [each.examples if each.instead is None else each.instead for each in requests]
    corrected = any(each.instead is not None for each in requests)
    return Request(joined, indices[order], requests[0].owner, _joined(news).take(order) if corrected else None)


def turns_of(requests: Sequence[Request]) -> Int[ndarray, " requested"]:
    """Of each record of the union of several requests the number of the request that asks for it, from 0 on."""
    numbers = np.repeat(np.arange(len(requests)), [len(each) for each in requests])
    found: ndarray = numbers[np.argsort(np.concatenate([each.indices for each in requests]), kind="stable")]
    return found


def by_turns(request: Request, turns: Int[ndarray, " requested"]) -> list[Request]:
    """The requests that :func:`union_of` joined, in their order."""
    return [part for turn in np.unique(turns) if (part := rest(request, turns == turn))]


def _joined(parts: Sequence[Examples]) -> Examples:
    return Examples(torch.cat([part.x for part in parts]), torch.cat([part.y for part in parts]))
