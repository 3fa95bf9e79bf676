"""Exact training of a linear layer: softmax regression with weight decay at its one optimum, by Newton's method."""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from numpy import ndarray
from torch import Tensor

from expunge.ensembles.ensemble import Ensemble
from expunge.errors import MethodFailed
from expunge.methods.parts.per_sample import flat_weights, in_parts, with_weights
from expunge.methods.parts.rows import in_one_row
from expunge.suites.suite import Suite

STEPS, SMALL = 50, 1e-10  # Newton steps at the most; the largest slope that an optimum may have


def optimum(
    x: Float[Tensor, "n d"], target: Float[Tensor, "n c"], decay: float, start: Float[Tensor, "c d"]
) -> Float[Tensor, "c d"]:
    """Where ``mean_i l(theta x_i, target_i) + decay / 2 |theta|^2`` is least, float64.

    Newton's steps, halved until the loss falls; MethodFailed where the slope does not vanish.
    """
    theta = start.double()
    for _ in range(STEPS):
        shares = (x @ theta.T).softmax(-1)
        slope = (shares - target).T @ x / len(x) + decay * theta
        if slope.abs().max() < SMALL:
            return theta
        step, singular = torch.linalg.solve_ex(curvature(x, shares, decay), slope.flatten())
        if singular:
            raise MethodFailed("no optimum: the curvature of the loss is singular")
        theta = _shorter(x, target, decay, theta, step.view_as(theta))
    raise MethodFailed(f"no optimum after {STEPS} steps of Newton's: the slope is {float(slope.abs().max()):.1e}")


def curvature(x: Float[Tensor, "n d"], shares: Float[Tensor, "n c"], decay: float) -> Float[Tensor, "weights weights"]:
    """The Hessian: ``mean_i (diag(p_i) - p_i p_i^T) (x) x_i x_i^T + decay I``, of weights in rows of classes."""
    inner = torch.diag_embed(shares) - shares.unsqueeze(2) * shares.unsqueeze(1)
    whole = torch.einsum("nab,ni,nj->aibj", inner, x, x).flatten(0, 1).flatten(1, 2) / len(x)
    return whole + decay * torch.eye(len(whole), dtype=x.dtype)


def _shorter(x: Tensor, target: Tensor, decay: float, theta: Tensor, step: Tensor) -> Tensor:
    def loss(at: Tensor) -> float:
        return float(F.cross_entropy(x @ at.T, target) + decay / 2 * at.square().sum())

    here, share = loss(theta), 1.0
    while share > 1e-6 and loss(theta - share * step) > here:
        share /= 2
    return theta - share * step


def at_optimum(suite: Suite, ensemble: Ensemble, gone: Sequence[Int[ndarray, " gone"]]) -> Ensemble:
    """Models of one linear layer with a bias, each brought to the optimum of the recipe's loss without what is gone.

    The loss is a sum, whose regulariser stays that of all records, as the method ``second-order`` has it.
    """
    data, recipe = suite.data.train, suite.recipe
    inputs = F.pad(data.x.flatten(1).double(), (0, 1), value=1.0)
    soft = F.one_hot(data.y, suite.data.classes).double()
    soft = soft * (1 - recipe.label_smoothing) + recipe.label_smoothing / suite.data.classes
    weight, bias = in_parts(ensemble, flat_weights(ensemble).cpu())
    starts = torch.cat([weight, bias.unsqueeze(-1)], dim=-1)
    found = []
    for start, without in zip(starts, gone, strict=True):
        rows = np.setdiff1d(np.arange(len(data)), without)
        decay = recipe.weight_decay * len(data) / len(rows)
        found.append(optimum(inputs[rows], soft[rows], decay, start))
    best = torch.stack(found).to(weight.dtype)
    return with_weights(ensemble, in_one_row([best[..., :-1], best[..., -1]]).to(ensemble.device))
