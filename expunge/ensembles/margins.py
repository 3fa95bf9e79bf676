"""The margin of an example, the number that everything else compares; and the checks margins must pass."""

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray
from torch import Tensor

from expunge.errors import BadMargins


def margins(
    logits: Float[Tensor, "*models batch classes"], labels: Int[Tensor, " batch"]
) -> Float[Tensor, "*models batch"]:
    """``z_y - logsumexp(other logits)``, natural log, higher is more confident; equals ``log(p_y / (1 - p_y))``.

    Computed from the logits in float32, or float64 where they are, never through probabilities: those saturate near a
    margin of 17.
    Source: Georgiev et al. 2024, arXiv:2410.23232.

    >>> margins(torch.tensor([[2.0, 0.0], [2.0, 0.0]]), torch.tensor([0, 1]))
    tensor([ 2., -2.])
    """
    logits = logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits
    index = labels.expand(logits.shape[:-1]).unsqueeze(-1)
    own = logits.gather(-1, index).squeeze(-1)
    others = logits.scatter(-1, index, -torch.inf)
    return own - others.logsumexp(-1)


def require_finite(values: Float[ndarray, "models examples"], what: str) -> None:
    """Raise :class:`BadMargins` that names the models whose margins are NaN or infinite."""
    if np.isfinite(values).all():
        return
    bad = np.flatnonzero(~np.isfinite(values).all(axis=1)).tolist()
    shown = ", ".join(map(str, bad[:10])) + (f" and {len(bad) - 10} more" if len(bad) > 10 else "")
    raise BadMargins(
        f"{what}: expected finite margins, got NaN or infinity in model {shown}; leave these models out or mend them"
    )


def check_margins(values: ndarray, examples: int, what: str) -> None:
    """Refuse margins that no set of separately trained models gives: wrong shape, not finite, constant, repeated."""
    if values.ndim != 2 or values.shape[1] != examples:
        raise BadMargins(f"{what}: expected shape (models, {examples}), train then test examples, got {values.shape}")
    if values.shape[0] < 2:
        raise BadMargins(f"{what}: expected at least 2 models, got {values.shape[0]}")
    if not np.issubdtype(values.dtype, np.floating):
        raise BadMargins(f"{what}: expected floating-point margins, got {values.dtype}")
    require_finite(values, what)
    flat = np.flatnonzero(np.ptp(values, axis=1) == 0)
    if flat.size:
        raise BadMargins(
            f"{what}: model {flat[0]} has one and the same margin on every example; that is no trained model"
        )
    _, first, count = np.unique(values, axis=0, return_index=True, return_counts=True)
    if (count > 1).any():
        again = first[count > 1][0]
        twins = np.flatnonzero((values == values[again]).all(axis=1)).tolist()
        raise BadMargins(
            f"{what}: models {twins} are bit-identical; an ensemble needs models trained from different seeds"
        )
