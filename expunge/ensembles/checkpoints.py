"""Activation checkpoints, ``torch.utils.checkpoint``, in networks of the user's own: what they wrap is run as it is.

Torch runs it a second time as the gradient comes back, when a stack is no longer in the midst of its pass: with the
weights of all models for those of one. Checkpoints spare memory and change no number, so nothing is lost but that.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch.utils.checkpoint as torchs


class _AsItIs:
    """In place of the autograd function of checkpoints that are reentrant."""

    @staticmethod
    def apply(function: Callable[..., Any], preserve: bool, *args: Any) -> Any:
        return function(*args)


def _nothing(*args: Any, **kwargs: Any) -> Iterator[None]:
    """In place of what surrounds the call in the others."""
    yield


PLACES = {"CheckpointFunction": _AsItIs, "_checkpoint_without_reentrant_generator": _nothing}  # what torch looks up


@contextlib.contextmanager
def without_checkpoints() -> Iterator[None]:
    """Within, a checkpoint is a plain call, whoever makes it."""
    before = {name: getattr(torchs, name) for name in PLACES}
    try:
        for name, other in PLACES.items():
            setattr(torchs, name, other)
        yield
    finally:
        for name, own in before.items():
            setattr(torchs, name, own)
