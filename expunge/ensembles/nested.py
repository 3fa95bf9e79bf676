"""What a layer may give: a tensor, or tensors in tuples, lists and dictionaries, as recurrent layers do."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor


def leaves(value: Any) -> Iterator[Tensor]:
    """The tensors of ``value``."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        yield from (leaf for each in value.values() for leaf in leaves(each))
    elif isinstance(value, tuple | list):
        yield from (leaf for each in value for leaf in leaves(each))


def mapped(function: Callable[[Tensor], Any], value: Any) -> Any:
    """``value`` with each tensor replaced by what ``function`` makes of it."""
    if isinstance(value, Tensor):
        return function(value)
    if isinstance(value, dict):
        return {key: mapped(function, each) for key, each in value.items()}
    if isinstance(value, tuple | list):
        parts = [mapped(function, each) for each in value]
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    return value


def stacked(values: Sequence[Any]) -> Any:
    """One value whose tensors are those of ``values``, stacked along a new first axis."""
    first = values[0]
    if isinstance(first, Tensor):
        return torch.stack(list(values))
    if isinstance(first, dict):
        return {key: stacked([each[key] for each in values]) for key in first}
    if isinstance(first, tuple | list):
        parts = [stacked(each) for each in zip(*values, strict=True)]
        return type(first)(*parts) if hasattr(first, "_fields") else type(first)(parts)
    return first
