"""Running statistics of normalisation layers, held where they are while a batch goes through in training mode."""

import contextlib
from collections.abc import Iterator

import torch
from torch.nn.modules.batchnorm import _NormBase

from expunge.ensembles.ensemble import Ensemble


@contextlib.contextmanager
def still_statistics(student: Ensemble) -> Iterator[None]:
    """Batches are normalised by their own statistics, and leave no trace in the running ones."""
    norms = [layer for layer in student.modules() if isinstance(layer, _NormBase) and layer.running_mean is not None]
    before = [(layer.momentum, layer.num_batches_tracked) for layer in norms]
    for layer in norms:
        layer.momentum = 0.0  # and not a copy put back, which autograd would take for damage to what it kept
        layer.num_batches_tracked = (
            None if layer.num_batches_tracked is None else torch.clone(layer.num_batches_tracked)
        )
    try:
        yield
    finally:
        for layer, (momentum, batches) in zip(norms, before, strict=True):
            layer.momentum, layer.num_batches_tracked = momentum, batches
