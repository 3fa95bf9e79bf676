"""The ends of the spectrum of a symmetric matrix of each model, of which only products are known."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from expunge.methods.parts.curvature import Product


class Spectrum(NamedTuple):
    """The least and the greatest eigenvalue of each model's matrix that were found: true ones lie at or beyond them."""

    least: Float[Tensor, " models"]
    greatest: Float[Tensor, " models"]


def lanczos(product: Product, start: Float[Tensor, "models d"], steps: int) -> Spectrum:
    """The ends of the Ritz values of ``steps`` products from ``start``, all models at once, in float64.

    Ritz values lie within the spectrum: ``least`` is never below the true one. In so many steps as there are different
    eigenvalues that ``start`` has a part in, both are exact. Every direction is made orthogonal to all before it,
    twice, so no eigenvalue comes up again. Lanczos 1950; Golub and Van Loan, Matrix Computations, chapter 10.
    """
    basis = [_unit(start.double())]
    diagonal, beside = [], []
    for step in range(steps):
        image = product(basis[-1].to(start.dtype)).double()
        diagonal.append((image * basis[-1]).sum(1))
        if step + 1 == steps:
            break
        known = torch.stack(basis, dim=1)  # (models, steps, d)
        scale = image.norm(dim=1)
        for _ in range(2):
            image = image - torch.bmm(torch.bmm(image[:, None], known.mT), known)[:, 0]
        length = image.norm(dim=1)
        alive = length > 1e-10 * scale  # else the space is exhausted: what is left is rounding
        beside.append(torch.where(alive, length, 0))
        basis.append(torch.where(alive[:, None], _unit(image), 0))
    return _ritz(torch.stack(diagonal, dim=1), torch.stack(beside, dim=1) if beside else None, torch.stack(basis, 1))


def power_iteration(product: Product, start: Float[Tensor, "models d"], iterations: int) -> Float[Tensor, " models"]:
    """``||C v||`` for the unit ``v`` after so many products: an estimate from below of each model's ``||C||``."""
    v = start.double()
    for _ in range(iterations):
        v = product(_unit(v).to(start.dtype)).double()
    norms: Tensor = v.norm(dim=1)
    return norms


def _unit(v: Tensor) -> Tensor:
    unit: Tensor = v / v.norm(dim=1, keepdim=True).clamp_min(torch.finfo(v.dtype).tiny)
    return unit


def _ritz(diagonal: Tensor, beside: Tensor | None, basis: Tensor) -> Spectrum:
    """Eigenvalues of the tridiagonal matrices; where a space was exhausted, those of what was reached."""
    reached = basis.norm(dim=2) > 0.5
    diagonal = torch.where(reached, diagonal, diagonal[:, :1])  # within the spectrum, so it moves neither end
    matrix = torch.diag_embed(diagonal)
    if beside is not None:
        matrix = matrix + torch.diag_embed(beside, 1) + torch.diag_embed(beside, -1)
    values = torch.linalg.eigvalsh(matrix)
    return Spectrum(values[:, 0], values[:, -1])
