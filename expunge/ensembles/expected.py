"""What is said where something else is given than an ensemble."""

from pathlib import Path

import numpy as np
from torch import nn

from expunge.ensembles.ensemble import Ensemble
from expunge.errors import BadSetting, in_a_line

MAKE = (
    "xp.pretrain(suite) and xp.retrain(suite, forget) make one; Ensemble.stack(modules, origin, sample_shape) stacks "
    "modules of one's own; `expunge score` takes margins that were made elsewhere"
)


def require_ensemble(given: object, what: str, *others: type) -> None:
    """Raise :class:`BadSetting`, which says how to make one, where ``given`` is no ensemble and none of ``others``."""
    if not isinstance(given, (Ensemble, *others)):
        raise BadSetting(f"{what}: expected an Ensemble, got {_told(given)}; {MAKE}")


def _told(given: object) -> str:
    """What it is, in a few words."""
    if isinstance(given, nn.Module):
        return f"a single module, {type(given).__name__}"
    if isinstance(given, list | tuple):
        kinds = ", ".join(sorted({type(each).__name__ for each in given})[:3])
        return f"a {type(given).__name__} of {len(given)} ({kinds})" if given else f"an empty {type(given).__name__}"
    if isinstance(given, np.ndarray):
        return f"an array of shape {given.shape}"
    if isinstance(given, str | Path):
        return f"{type(given).__name__} {in_a_line(str(given))[:80]!r}"
    return type(given).__name__
