"""What people hand in as arrays, brought to numpy: tensors, lists, tables of pandas; what is none ends in one line."""

import numbers
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy import ndarray
from torch import Tensor

from expunge.errors import BadData, in_a_line
from expunge.outside import Refuse

EXACT = 1 << 53  # whole numbers below it are floats of their own
_MISSING = ("NAType", "NaTType", "NoneType")  # types of what pandas and Python put where there is nothing


def as_array(given: object, what: str, refuse: Refuse = BadData) -> ndarray:
    """An array of numbers, truth values or names, in this machine's byte order.

    Tensors, lists, and columns, indices and tables of pandas are taken; an array of Python objects becomes one of
    numbers where all are numbers, one of names where all are names. What is missing (None, NA) is refused with its row.
    """
    if isinstance(given, np.ma.MaskedArray) and np.ma.is_masked(given):
        raise refuse(f"{what}: expected values everywhere, got a masked array; fill what is masked, or leave it out")
    if isinstance(given, Tensor) and given.layout != torch.strided:
        raise refuse(f"{what}: expected a dense tensor, got a sparse one; give its to_dense()")
    try:
        array = _dense(given) if isinstance(given, Tensor) else np.asarray(given)
        if array.dtype.kind in "SU" and isinstance(given, list | tuple):  # of numbers beside names numpy makes names
            array = np.asarray(given, object)
    except Exception as error:  # a stranger's class may raise anything when it is to be an array
        found = f"{type(given).__name__} that makes none"
        found += "" if isinstance(error, ValueError) else f" ({in_a_line(error)})"
        raise refuse(f"{what}: expected an array, with rows of one length, got {found}") from None
    if array.dtype == object:
        array = _without_objects(array, what, refuse)
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def plain(value: object) -> Any:
    """A number of numpy or torch as Python's own; everything else as it is.

    >>> plain(np.float64(0.5)), plain(np.int64(3)), plain("all")
    (0.5, 3, 'all')
    """
    if isinstance(value, np.generic):
        return value.item()
    return value.item() if isinstance(value, ndarray | Tensor) and value.ndim == 0 else value


def shown(value: object) -> str:
    """A value in a few words: a plain one as it is written, else its type."""
    return f"{value!r:.40}" if isinstance(value, str | int | float | None) else type(value).__name__


def odd_one(array: ndarray) -> int | None:
    """The first row whose number is none that int64 holds; None where all are.

    >>> odd_one(np.array([1.0, 2.5])), odd_one(np.array([3.0]))
    (1, None)
    """
    if array.dtype.kind in "ib" or not array.size:
        return None
    if array.dtype.kind == "u":
        odd = array > np.iinfo(np.int64).max
    else:
        array = array.astype(np.float64) if array.itemsize < 8 else array
        odd = ~(np.abs(array) < EXACT) | (array != np.trunc(array))  # NaN is below nothing
    return int(odd.argmax()) if odd.any() else None


def _dense(tensor: Tensor) -> ndarray:
    tensor = tensor.detach().cpu()
    tensor = tensor if tensor.is_floating_point() is False or tensor.element_size() > 2 else tensor.float()  # bfloat16
    array: ndarray = tensor.numpy(force=True)
    return array


def _without_objects(array: ndarray, what: str, refuse: Refuse) -> ndarray:
    if array.ndim == 0:
        advice = "; give its toarray()" if hasattr(array.item(), "toarray") else ""
        raise refuse(f"{what}: expected an array, got {type(array.item()).__name__}{advice}")
    for holds, kind in _OBJECTS:
        if all(holds(each) for each in array.flat):
            try:
                return array.astype(kind)
            except (OverflowError, ValueError, TypeError):
                raise refuse(f"{what}: expected numbers that a computer's own can hold, got larger ones") from None
    strange: tuple[Callable[[object], bool], ...] = (
        _is_missing,  # before all else, for numbers of two types may stand beside it
        lambda each: not _is_plain(each),
        lambda each: isinstance(each, str) != isinstance(array.flat[0], str),
    )
    row, odd = next((place[0], each) for is_so in strange for place, each in np.ndenumerate(array) if is_so(each))
    if _is_missing(odd):
        raise refuse(f"{what}: nothing is in row {row} ({odd!r}); fill it, or leave the row out")
    mixed = ", numbers beside names" if _is_plain(odd) else ""
    told = f"{odd!r:.40} in row {row}" if mixed else f"{type(odd).__name__} in row {row}"
    advice = "; leave columns of text out, or make numbers of them" if mixed and array.ndim > 1 else ""
    raise refuse(f"{what}: expected an array of numbers or names, got Python objects{mixed}: {told}{advice}")


def _is_missing(each: object) -> bool:
    """None, NA, or a NaN, where it stands beside what is no number."""
    return type(each).__name__ in _MISSING or (isinstance(each, float) and each != each)


def _is_plain(each: object) -> bool:
    return isinstance(each, str | numbers.Real | np.bool_)


def _is_whole(each: object) -> bool:
    return isinstance(each, numbers.Integral) and not isinstance(each, bool)


_OBJECTS: tuple[tuple[Callable[[object], bool], type], ...] = (
    (lambda each: isinstance(each, bool | np.bool_), bool),
    (_is_whole, np.int64),
    (lambda each: isinstance(each, numbers.Real | np.bool_), np.float64),
    (lambda each: isinstance(each, str), np.str_),
)
