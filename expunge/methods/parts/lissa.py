"""LiSSA with its diagnostics: the inverse-Hessian product of all models at once, and how far it is from one."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from expunge.errors import NotConverged
from expunge.methods.parts.curvature import Product
from expunge.methods.parts.inverse import lissa

MARKS = 10  # at so many places of each run the norms are kept


@dataclass(frozen=True, eq=False)
class Solution:
    """``x``, near ``(C + damping I)^-1 v``, and what tells how near, for each model.

    ``norms`` are ``||u_t||`` along the runs, ``bound`` what none of them may exceed where all eigenvalues lie between
    ``curvature`` and ``scale``: ``||v|| scale / curvature``. ``residual`` is ``||(C + damping I) x - v|| / ||v||`` on
    examples of its own, and ``remaining`` ``(1 - curvature / scale)^steps``, the share of the slowest direction that
    the series has not reached.
    """

    x: Float[Tensor, "models d"]
    norms: Float[Tensor, "models marks"]
    bound: Float[Tensor, " models"]
    residual: Float[Tensor, " models"]
    remaining: Float[Tensor, " models"]
    steps: int
    repeats: int

    def require_converged(self, tolerance: float, models: Sequence[int]) -> None:
        """Raise :class:`~expunge.errors.NotConverged` with the numbers of the ``models`` whose solution is none."""
        worst, residual = self.norms.amax(1).cpu(), self.residual.cpu()
        diverged = ~(torch.isfinite(worst) & torch.isfinite(residual)) | (worst > 2 * self.bound.cpu())
        for failed, told in ((diverged, self._diverged), (residual > tolerance, self._unfinished)):
            if failed.any():
                rows = failed.nonzero().flatten().tolist()
                raise NotConverged(f"LiSSA, models {[models[row] for row in rows]}: {told(rows[0], tolerance)}")

    def told(self, tolerance: float) -> list[str]:
        """How it went, a line for each model, of a solution that has converged."""
        worst, residual, remaining = self.norms.amax(1).tolist(), self.residual.tolist(), self.remaining.tolist()
        runs = "one run" if self.repeats == 1 else f"{self.repeats} runs, of which the mean is taken"
        return [
            f"LiSSA converged: {self.steps} iterations in {runs}, residual ||(H + lambda I) v - g|| / ||g|| = "
            f"{residual[row]:.3g}, at most {tolerance:g}; (1 - c / B)^s = {remaining[row]:.2g}; ||v|| up to "
            f"{worst[row]:.3g}, expected below {bound:.3g}"
            for row, bound in enumerate(self.bound.tolist())
        ]

    def _diverged(self, row: int, _: float) -> str:
        return (
            f"expected ||v|| to stay below {self.bound[row]:.3g}, it grew to {self.norms[row].amax():.3g}: it "
            "diverged, for a batch curves more than scale or downwards by more than damping; raise scale, damping or "
            "batch_size"
        )

    def _unfinished(self, row: int, tolerance: float) -> str:
        return (
            f"expected a residual ||(H + lambda I) v - g|| / ||g|| of at most {tolerance:g}, got "
            f"{self.residual[row]:.3g} after {self.steps} steps, in which (1 - c / B)^s is {self.remaining[row]:.2g}: "
            "it has not converged; raise iterations, batch_size, repeats or damping"
        )


def solve_by_lissa(
    draw: Callable[[], Iterable[Product]],
    v: Float[Tensor, "models d"],
    *,
    damping: float,
    scale: Float[Tensor, " models"],
    curvature: Float[Tensor, " models"],
    repeats: int,
    probe: Product,
) -> Solution:
    """The mean of ``repeats`` runs of :func:`~expunge.methods.parts.inverse.lissa`, each on the products of a ``draw``.

    ``scale`` bounds the norms of ``C + damping I``, ``curvature`` is the least eigenvalue of it; ``probe`` is the
    product that the residual is taken with.
    """
    norms: list[Tensor] = []
    runs = [lissa(_watched(draw(), norms), v, damping=damping, scale=scale[:, None]) for _ in range(repeats)]
    x, steps = torch.stack(runs).mean(0), len(norms) // repeats
    size = v.norm(dim=1)
    left = (probe(x) + damping * x - v).norm(dim=1)
    return Solution(
        x=x,
        norms=torch.stack([*norms[:: max(1, len(norms) // MARKS)], *(run.norm(dim=1) * scale for run in runs)], dim=1),
        bound=size * scale / curvature,
        residual=torch.where(size > 0, left / torch.where(size > 0, size, 1), left),
        remaining=(1 - curvature / scale) ** steps,
        steps=steps,
        repeats=repeats,
    )


def _watched(products: Iterable[Product], norms: list[Tensor]) -> Iterator[Product]:
    """The products; the norm of what each is given is kept."""
    for product in products:

        def seen(u: Tensor, product: Product = product) -> Tensor:
            norms.append(u.norm(dim=1))
            return product(u)

        yield seen
