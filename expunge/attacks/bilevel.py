"""Bilevel optimisation of requests: which points to ask for, and how to change them, through the unlearning operator.

``min over omega, delta of L_adv(theta_u(omega, x + delta))`` with ``omega in {0, 1}``, ``sum omega = k``,
``|delta| <= eps``.

The formulation is derived from abstracts and surveys of Qian et al. 2023, doi:10.1145/3580305.3599526, and Zhao et al.
2023 (NeurIPS), whose full texts and codes were not at hand; nothing here claims to be theirs line by line.
"""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Shaped
from numpy import ndarray
from torch import Tensor

from expunge.attacks.lab.owners import Range
from expunge.attacks.operators import Operator, Points

Objective = Callable[[Tensor], Float[Tensor, " planners"]]  # of weights (planners, d), lower is better for the attacker

BLOCK = 512  # points whose gradients are taken at once, of each planner
Penalty = Callable[[Tensor], Float[Tensor, " victims"]]  # of moved points (victims, k, ...)


def chosen_points(
    operator: Operator,
    objective: Objective,
    x: Shaped[Tensor, "planners owned ..."],
    y: Int[Tensor, "planners owned"],
    count: int,
    *,
    victims: int,
    refreshes: int = 4,
) -> Int[ndarray, "victims count"]:
    """Greedy selection: which of the owned points each attacker asks for, rising.

    In ``refreshes`` turns those with the most negative ``dL_adv / d omega_p`` join, the gradient taken where the points
    of the turns before are removed already; by the first-order operator it is
    ``tau <grad L_adv(theta_u), grad l(z_p)>``. Planners of one victim, that stand side by side, vote by the mean of
    their gradients.
    """
    taken = np.zeros((victims, y.shape[1]), bool)
    for turn in range(min(refreshes, count)):
        slopes = _slopes(operator, objective, x, y, torch.from_numpy(taken).repeat_interleave(len(y) // victims, 0))
        scores = slopes.unflatten(0, (victims, -1)).mean(1).double().cpu().numpy()
        scores[taken] = np.inf
        more = count * (turn + 1) // min(refreshes, count) - int(taken[0].sum())
        order = np.argsort(scores, axis=1, kind="stable")[:, :more]
        np.put_along_axis(taken, order, True, axis=1)
    return np.stack([np.flatnonzero(row) for row in taken])


def _slopes(
    operator: Operator,
    objective: Objective,
    x: Shaped[Tensor, "planners owned ..."],
    y: Int[Tensor, "planners owned"],
    taken: Bool[Tensor, "planners owned"],
) -> Float[Tensor, "planners owned"]:
    """``dL_adv / d omega`` of every point where those that are taken are removed, a block of points at a time."""
    count, at = int(taken[0].sum()), torch.arange(len(y), device=y.device)[:, None]
    taken = taken.to(y.device)
    first = taken.to(torch.int8).argsort(dim=1, descending=True, stable=True)[:, :count]
    found = []
    for block in torch.arange(y.shape[1], device=y.device).split(BLOCK):
        rows = torch.cat([first, block.expand(len(y), -1)], dim=1)
        omega = torch.zeros(rows.shape, dtype=x.dtype, device=x.device)
        omega[:, :count] = 1
        omega.requires_grad_()
        with torch.enable_grad():
            loss = objective(operator(Points(x[at, rows], y[at, rows], omega, places=rows))).sum()
        found.append(torch.autograd.grad(loss, omega)[0][:, count:])
    return torch.cat(found, dim=1)


def perturbed(
    operator: Operator,
    objective: Objective,
    x: Shaped[Tensor, "victims k ..."],
    y: Int[Tensor, "victims k"],
    within: Range,
    eps: float,
    *,
    planners: int,
    steps: int = 40,
    correct: bool = False,
    penalty: Penalty | None = None,
) -> Shaped[Tensor, "victims k ..."]:
    """The points moved by projected gradient descent on ``L_adv(theta_u)``; the best of all iterates for each victim.

    Steps are of the sign of the gradient, their length falling linearly from ``eps / 4`` of the range to none.

    Args:
        operator: what removal is assumed to do.
        objective: of the weights after it; lower is better for the attacker.
        x: the points as they lie, where the search begins.
        y: their labels.
        within: the range of inputs.
        eps: how far a point may move, as a share of it.
        planners: models that plan for each victim, side by side.
        steps: of the search.
        correct: whether the moved points are to stand in the place of ``x``; else they are what is to be removed.
        penalty: of the moved points, one value for each victim, added to the objective.
    """
    reach = within.high - within.low
    best, least = x.clone(), torch.full((len(x),), torch.inf, dtype=torch.float64)
    moved = x.clone()
    for step in range(steps + 1):
        point = moved.clone().requires_grad_()
        with torch.enable_grad():
            repeated = point.repeat_interleave(planners, 0)
            labels = y.repeat_interleave(planners, 0)
            whole = torch.ones(labels.shape, dtype=x.dtype, device=x.device)
            removed = x.repeat_interleave(planners, 0) if correct else repeated
            points = Points(removed, labels, whole, repeated if correct else None)
            each = objective(operator(points)).unflatten(0, (len(x), -1)).mean(1)
            each = each if penalty is None else each + penalty(point)
        (slope,) = torch.autograd.grad(each.sum(), point)
        value = each.detach().double().cpu()
        better = value < least
        best[better], least[better] = moved[better], value[better]
        length = eps / 4 * (1 - step / steps)
        moved = within.kept(moved - length * reach * slope.nan_to_num().sign(), x, eps)
    return best
