"""The last layer as a model of its own: softmax regression on features that are held, of all models, in float64.

Sums over examples, not means, as certified removal has them: ``sum CE + n decay / 2 ||S||^2``, with ``S`` of shape
``(models, classes, features)``; where the layer has a bias, the last feature is 1, and decays like the others.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.features import last_inputs, last_linear_paths, outputs
from expunge.errors import MethodFailed, NotConverged
from expunge.methods.parts.inverse import conjugate_gradients
from expunge.methods.parts.layers import layer, weights
from expunge.suites.suite import Examples, Split

STEEPEST = 2**0.5 / (3 * 3**0.5)  # of how fast the Hessian of logsumexp changes; see residual_bound
MOST_STEPS, MOST_HALVINGS, MOST_ITERATIONS = 100, 40, 10_000
ROUNDING = 1e-13  # of a sum of losses
MOST_WEIGHTS = 3000  # of a head whose whole Hessian is inverted
Weights = Float[Tensor, "models classes features"]
Inputs = Float[Tensor, "models n features"]


@dataclass(frozen=True)
class Head:
    """Where the last layer is: a linear one that gives the outputs themselves."""

    path: str
    bias: bool

    def _parts(self, ensemble: Ensemble) -> list[Tensor]:
        """The weight, and the bias where there is one: the parameters themselves."""
        own = layer(ensemble, self.path)._parameters
        return [each for each in (own["weight"], own["bias"] if self.bias else None) if each is not None]

    @torch.no_grad()
    def read(self, ensemble: Ensemble) -> Weights:
        """Its weights, the bias as a last column."""
        weight, *bias = (each.detach().double() for each in self._parts(ensemble))
        return torch.cat([weight, *(each[:, :, None] for each in bias)], dim=2)

    @torch.no_grad()
    def write(self, student: Ensemble, found: Weights) -> None:
        """Put these weights in its place."""
        weight, *bias = self._parts(student)
        weight.copy_(found[:, :, : weight.shape[2]])
        for each in bias:
            each.copy_(found[:, :, -1])
        student.project()


@torch.no_grad()
def head_of(ensemble: Ensemble, split: Split) -> Head:
    """The last layer that runs; a MethodFailed where the outputs are not what it gives."""
    x = split.retain.x[:2]
    paths = last_linear_paths(ensemble, x)
    if len(paths) == 1:
        weights(ensemble, paths)  # a classifier whose weights are computed or frozen is refused
        linear = layer(ensemble, paths[0])
        bias = linear._parameters.get("bias")
        head = Head(paths[0], bias is not None)
        found, said = last_inputs(ensemble, x), outputs(ensemble, x)
        if found is not None and said.ndim == 3:
            made = torch.einsum("mnf,mcf->mnc", with_ones(found.double(), head), head.read(ensemble))
            if made.shape == said.shape and torch.allclose(made.cpu(), said.double().cpu(), rtol=1e-4, atol=1e-4):
                return head
    raise MethodFailed("expected a network whose outputs are those of its last linear layer, as they are")


@torch.no_grad()
def inputs_of(ensemble: Ensemble, head: Head, examples: Examples) -> Inputs:
    """What goes into the head for each example, in evaluation mode; the meter counts the pass."""
    ensemble.meter.count(len(ensemble) * len(examples))
    if not len(examples):
        return head.read(ensemble).new_zeros(len(ensemble), 0, head.read(ensemble).shape[2])
    found = last_inputs(ensemble, examples.x)
    if found is None:
        raise MethodFailed("expected a network that ends in a linear layer")
    return with_ones(found.double(), head)


def with_ones(found: Float[Tensor, "models n width"], head: Head) -> Inputs:
    """Features, and a last one that is 1 where there is a bias."""
    return torch.cat([found, torch.ones_like(found[..., :1])], dim=2) if head.bias else found


@dataclass(frozen=True, eq=False)
class Regression:
    """Softmax regression of each model on its ``inputs``, whose labels all share, smoothed as in training."""

    inputs: Inputs
    labels: Float[Tensor, "n classes"]
    decay: float

    @classmethod
    def of(cls, inputs: Inputs, examples: Examples, split: Split) -> "Regression":
        """On these examples, by the recipe of the suite."""
        smoothing = split.recipe.label_smoothing
        hard = F.one_hot(examples.y.long(), split.classes).double()
        return cls(inputs, (1 - smoothing) * hard + smoothing / split.classes, split.recipe.weight_decay)

    def __len__(self) -> int:
        return len(self.labels)

    def chances(self, w: Weights) -> Float[Tensor, "models n classes"]:
        """Softmax of the outputs."""
        return torch.bmm(self.inputs, w.mT).softmax(2)

    def value(self, w: Weights) -> Float[Tensor, " models"]:
        """The sum of the losses and the regulariser, nats."""
        logs = torch.bmm(self.inputs, w.mT).log_softmax(2)
        value: Tensor = -(logs * self.labels).sum((1, 2)) + len(self) * self.decay / 2 * w.square().sum((1, 2))
        return value

    def gradient(self, w: Weights) -> Weights:
        """Of :meth:`value`."""
        return torch.bmm((self.chances(w) - self.labels).mT, self.inputs) + len(self) * self.decay * w

    def curve(self, chances: Float[Tensor, "models n classes"], v: Weights) -> Weights:
        """The Hessian of the losses, without the regulariser's, times ``v``, where softmax says ``chances``."""
        u = torch.bmm(self.inputs, v.mT)
        changed = chances * (u - (chances * u).sum(2, keepdim=True))
        return torch.bmm(changed.mT, self.inputs)

    def solve(self, row: int, chances: Float[Tensor, "n classes"], v: Float[Tensor, " d"]) -> Float[Tensor, " d"]:
        """``H^-1 v`` for model ``row``, whose whole Hessian is built: ``sum (diag(p) - p p^T) x z z^T + n decay I``."""
        inputs, n = self.inputs[row], len(chances)
        weighted = (inputs[:, None, :] * chances[:, :, None]).flatten(1)  # p z^T of each example, in a row
        hessian = torch.zeros(len(v), len(v), dtype=v.dtype, device=v.device)
        for start in range(0, len(v), inputs.shape[1]):
            block = slice(start, start + inputs.shape[1])
            hessian[start:, block] = -weighted[:, start:].T @ weighted[:, block]  # the lower half is what is factored
            hessian[block, block] += weighted[:, block].T @ inputs
        hessian.diagonal().add_(n * self.decay)
        solved: Tensor = torch.cholesky_solve(v[:, None], torch.linalg.cholesky(hessian))[:, 0]
        return solved

    def residual_bound(self, step: Weights) -> Float[Tensor, " models"]:
        """``sqrt(2) / (6 sqrt(3)) ||Z||_2 sqrt(sum_i ||step z_i||^4)``: what a Newton step leaves of the gradient.

        ``Z`` are the inputs. Derived, as Guo et al.'s corollary 1 is, but for several classes together and inputs of
        any norm. What is left is ``C^T Z``, ``c_i = int_0^1 (A(t) - A(0)) u_i dt``, ``A`` the Hessian of logsumexp and
        ``u_i = step z_i``. Its third derivative is largest along one direction (Banach 1938), where it is the third
        central moment of what lies within ``sqrt(2) ||u||``, at most ``sqrt(2) / (3 sqrt(3)) ||u||^3``; so
        ``||c_i|| <= sqrt(2) / (6 sqrt(3)) ||u_i||^2``, and ``||C^T Z|| <= ||C|| ||Z||_2``.
        """
        if not len(self):
            return step.new_zeros(len(step))
        u = torch.bmm(self.inputs, step.mT)
        widest = torch.linalg.eigvalsh(torch.bmm(self.inputs.mT, self.inputs))[:, -1].clamp_min(0).sqrt()
        bound: Tensor = STEEPEST / 2 * widest * u.square().sum(2).square().sum(1).sqrt()
        return bound


def newton_direction(kept: Regression, at: Weights, v: Weights) -> tuple[Weights, Float[Tensor, " models"]]:
    """``H^-1 v`` for the Hessian ``H`` of ``kept`` at ``at``, regulariser included; and what is left, ``||H x - v||``.

    By Cholesky's factors, model by model, where a head has at most :data:`MOST_WEIGHTS`; else by conjugate gradients,
    :class:`~expunge.errors.NotConverged` where they leave more than 1e-6 of ``v``.
    """
    shape, chances, damping = at.shape, kept.chances(at), len(kept) * kept.decay

    def product(flat: Tensor) -> Tensor:
        return kept.curve(chances, flat.view(shape)).flatten(1)

    flat = v.flatten(1)
    if flat.shape[1] <= MOST_WEIGHTS:
        x = torch.stack([kept.solve(row, each, flat[row]) for row, each in enumerate(chances)])
    else:
        x = conjugate_gradients(product, flat, damping=damping, iterations=MOST_ITERATIONS, tolerance=1e-8)
    left = (product(x) + damping * x - flat).norm(dim=1)
    rows = (left > 1e-6 * flat.norm(dim=1)).cpu().nonzero().flatten().tolist()
    if rows:
        raise NotConverged(
            f"the last layer's Hessian was not inverted: expected at most 1e-6 of the gradient to be left, got "
            f"{float(left[rows[0]] / flat[rows[0]].norm()):.2g}, {len(rows)} models; raise the recipe's weight decay"
        )
    return x.view(shape), left


def minimised(regression: Regression, start: Weights, linear: Weights, *, tolerance: float = 1e-9) -> Weights:
    """Where ``value(w) + <linear, w>`` is least, by Newton's method with steps halved until they go down.

    The gradient that is left is at most ``tolerance`` times the number of examples; NotConverged else.
    """
    w = start
    for _ in range(MOST_STEPS):
        slope = regression.gradient(w) + linear
        if (slope.flatten(1).norm(dim=1) <= tolerance * len(regression)).all():
            return w
        step, _ = newton_direction(regression, w, slope)
        w = _lower(regression, linear, w, step)
    raise NotConverged(f"Newton's method did not reach the minimum of the last layer in {MOST_STEPS} steps")


def _lower(regression: Regression, linear: Weights, w: Weights, step: Weights) -> Weights:
    """``w - t step`` with the first ``t`` of 1, 1/2, 1/4, ... that is no higher, for each model."""
    size, before = torch.ones(len(w), 1, 1, dtype=w.dtype, device=w.device), _height(regression, linear, w)
    before = before + ROUNDING * before.abs()
    for _ in range(MOST_HALVINGS):
        lower = _height(regression, linear, w - size * step) <= before
        if lower.all():
            break
        size = torch.where(lower[:, None, None], size, size / 2)
    return w - size * step


def _height(regression: Regression, linear: Weights, w: Weights) -> Float[Tensor, " models"]:
    return regression.value(w) + (linear * w).sum((1, 2))
