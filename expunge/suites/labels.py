"""Labels as people have them, numbers or names, brought to the numbers 0 to K - 1 that networks are trained on."""

from typing import NamedTuple

import numpy as np
import torch
from numpy import ndarray
from torch import Tensor

from expunge.engine import warn
from expunge.errors import BadData
from expunge.suites.arrays import as_array, odd_one

SHOWN = 10  # so many classes are named in a line


class Labels(NamedTuple):
    """Labels 0 to ``classes - 1`` of train and test, and the names of the classes in this order."""

    train: Tensor
    test: Tensor
    names: tuple[str, ...]

    @property
    def classes(self) -> int:
        return len(self.names)


def numbered(y_train: object, y_test: object, classes: int | None = None) -> Labels:
    """Labels as numbers from 0.

    Numbers from 0 on stay as they are. Names get numbers in the order of the alphabet. Whole numbers that begin
    elsewhere or leave some out, such as 1 to K or -1 and 1, get numbers in their own order, and a line says so; what
    they were stays the name of the class. ``classes`` is how many there are, where not all of them occur.
    """
    train, test = _column(y_train, "y_train"), _column(y_test, "y_test")
    named = [labels.dtype.kind == "U" for labels in (train, test)]
    if named[0] != named[1]:
        kinds = ("names", "whole numbers") if named[0] else ("whole numbers", "names")
        raise BadData(f"y_test: expected {kinds[0]} as in y_train, got {kinds[1]}")
    if named[0]:
        return _by_order(train, test, classes)
    truths = train.dtype == bool
    train, test = train.astype(np.int64), test.astype(np.int64)
    if truths or _counts_from_zero(train, test, classes):
        count = classes if classes is not None else max(int(train.max()) + 1, 2 if truths else 1)
        _require_below(count, train, test)
        names = ("False", "True") if truths and count == 2 else tuple(map(str, range(count)))
        return Labels(torch.from_numpy(train), torch.from_numpy(test), names)
    found = _by_order(train, test, classes)
    told = _told(np.unique(train))
    warn(
        f"labels {told} do not count from 0 without a gap: they are numbered 0 to {found.classes - 1} in this order; "
        f"classes keep their names {told}"
    )
    return found


def _column(given: object, what: str) -> ndarray:
    """One label for each example: names as text, numbers as they are, of which each is a whole one."""
    labels = as_array(given, what)
    labels = labels[:, 0] if labels.ndim == 2 and labels.shape[1] == 1 else labels
    if labels.ndim != 1 or not labels.size:
        hint = "; of one-hot rows take the argmax" if labels.ndim == 2 and labels.size else ""
        hint = hint if labels.size else "; there is none, and at least one example is needed"
        raise BadData(f"{what}: expected one label for each example, got shape {labels.shape}{hint}")
    if labels.dtype.kind == "S":
        try:
            labels = np.char.decode(labels, "utf-8")
        except UnicodeDecodeError:
            raise BadData(f"{what}: expected names in UTF-8, got other bytes") from None
    if labels.dtype.kind not in "biufU":
        raise BadData(f"{what}: expected whole numbers or names as labels, got {labels.dtype}")
    if labels.dtype.kind == "U" and (blank := np.flatnonzero(np.char.strip(labels) == "")).size:
        raise BadData(
            f"{what}: expected a name for each example, got nothing in row {blank[0]}; fill it, or leave it out"
        )
    row = None if labels.dtype.kind == "U" else odd_one(labels)
    if row is not None:
        raise BadData(f"{what}: expected whole numbers or names as labels, got {labels[row]} in row {row}")
    return labels


def _counts_from_zero(train: ndarray, test: ndarray, classes: int | None) -> bool:
    """Whether labels are numbers from 0 already: none between is without an example, or ``classes`` says how many."""
    if classes is not None and (train.min() == 0 or train.max() < classes):
        return bool(train.min() >= 0)
    known = np.union1d(train, test[test <= train.max()])
    return bool(known[0] == 0 and known[-1] == len(known) - 1)


def _require_below(count: int, train: ndarray, test: ndarray) -> None:
    for labels, what in ((train, "y_train"), (test, "y_test")):
        wrong = np.flatnonzero((labels < 0) | (labels >= count))
        if wrong.size:
            raise BadData(f"{what}: expected labels 0 to {count - 1}, got {labels[wrong[0]]} in row {wrong[0]}")


def _by_order(train: ndarray, test: ndarray, classes: int | None) -> Labels:
    """Numbers in the sorted order of the labels of train, which must be all there are."""
    known = np.unique(train)
    strange = np.setdiff1d(test, known)
    if strange.size:
        label = strange[0].item()
        raise BadData(f"y_test: {label!r} is no class of y_train, whose classes are {_told(known)}")
    if classes is not None and classes != len(known):
        raise BadData(f"y_train: expected {classes} classes, got {len(known)}: {_told(known)}")
    numbers = [torch.from_numpy(np.searchsorted(known, labels).astype(np.int64)) for labels in (train, test)]
    return Labels(numbers[0], numbers[1], tuple(map(str, known)))


def _told(known: ndarray) -> str:
    """Classes in few words: ``1 to 26``, or the first of them."""
    if known.dtype.kind == "i" and len(known) > 2 and known[-1] - known[0] == len(known) - 1:
        return f"{known[0]} to {known[-1]}"
    more = f" and {len(known) - SHOWN} more" if len(known) > SHOWN else ""
    return ", ".join(map(str, known[:SHOWN])) + more
