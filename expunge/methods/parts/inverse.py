"""Solutions of ``(C + D) x = v`` for the curvature ``C`` of all models at once; no model waits for another.

``D`` is diagonal: ``damping`` is one number, or one for each weight.
"""

from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor

from expunge.methods.parts.curvature import Product


def conjugate_gradients(
    product: Product,
    v: Float[Tensor, "models d"],
    *,
    damping: float | Float[Tensor, " d"],
    iterations: int,
    tolerance: float = 0.0,
) -> Float[Tensor, "models d"]:
    """Hestenes and Stiefel's conjugate gradients, with step sizes of each model's own.

    A model stops, and the others go on, when its residual is ``tolerance`` times its first, or when it meets a
    direction in which ``C + D`` does not curve upwards: there its solution stays what it was.
    """
    x, residual, direction = torch.zeros_like(v), v, v
    square = v.square().sum(1, keepdim=True)
    enough = tolerance**2 * square
    for _ in range(iterations):
        image = product(direction) + damping * direction
        curve = (direction * image).sum(1, keepdim=True)
        goes = (square > enough) & (curve > 0)
        size = torch.where(goes, square / torch.where(goes, curve, 1), 0)
        x, residual = x + size * direction, residual - size * image
        after = residual.square().sum(1, keepdim=True)
        turn = torch.where(goes, after / torch.where(goes, square, 1), 0)
        direction = torch.where(goes, residual + turn * direction, direction)
        square = after
    return x


def lissa(
    products: Iterable[Product],
    v: Float[Tensor, "models d"],
    *,
    damping: float | Float[Tensor, " d"],
    scale: float | Float[Tensor, "models 1"],
) -> Float[Tensor, "models d"]:
    """``u <- v + u - (C u + damping u) / scale`` from ``u = v``, one step for each product; then ``u / scale``.

    ``scale`` is one number, or one for each model. Agarwal et al. 2017: the Neumann series of the inverse, each term on
    a sample of ``C``. It converges where no eigenvalue of ``C + D`` reaches ``2 scale`` and none is below 0. Published
    code writes ``damping / scale`` as its damping.
    """
    u = v
    for product in products:
        u = v + u - (product(u) + damping * u) / scale
    return u / scale


def woodbury(
    gradients: Float[Tensor, "models m d"], v: Float[Tensor, "models d"], *, damping: float | Float[Tensor, " d"]
) -> Float[Tensor, "models d"]:
    """``F^-1 v`` exactly, for the empirical Fisher matrix ``F = D + G^T G / m`` of ``m`` gradients ``G``.

    Woodbury's identity: ``D^-1 (v - G^T (m I + G D^-1 G^T)^-1 G D^-1 v)``, a system of ``m`` unknowns.
    """
    m = gradients.shape[1]
    scaled = gradients / damping
    kernel = torch.bmm(scaled, gradients.mT)
    kernel.diagonal(dim1=1, dim2=2).add_(m)
    along = torch.bmm(scaled, v[:, :, None])
    inside = torch.bmm(gradients.mT, torch.linalg.solve(kernel, along))
    return (v - inside[:, :, 0]) / damping
