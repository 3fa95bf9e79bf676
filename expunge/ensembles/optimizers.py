"""What takes the steps of training: elementwise, so that each of the stacked models has its own."""

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.optim.sgd import sgd

from expunge.ensembles.ensemble import Ensemble
from expunge.suites.suite import Recipe

NORMS = (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)  # of BatchNorm and InstanceNorm too


@runtime_checkable
class Optimizer(Protocol):
    """What takes a step along the gradients of an ensemble's parameters, elementwise: so each model has its own."""

    def zero_grad(self) -> None: ...

    def step(self) -> None: ...


class Descent:
    """SGD with momentum and weight decay on all parameters of an ensemble, by torch's functional form.

    Without ``decay_norm``, the scale and shift of normalisation layers do not decay. The class ``torch.optim.SGD``
    gives the same bytes, but imports torch's compiler at its first step: 70 MB and a second in every worker.
    """

    def __init__(
        self, ensemble: Ensemble, *, lr: float, momentum: float, weight_decay: float = 0.0, decay_norm: bool = True
    ) -> None:
        self.lr, self.momentum = lr, momentum
        self._parameters = list(ensemble.parameters())
        self._buffers: list[Tensor | None] = [None] * len(self._parameters)
        spared = set() if decay_norm else of_norms(ensemble)
        self._decays = [0.0 if id(parameter) in spared else weight_decay for parameter in self._parameters]

    @classmethod
    def by(cls, recipe: Recipe, ensemble: Ensemble) -> "Descent":
        """As a recipe says."""
        settings = {"lr": recipe.lr, "momentum": recipe.momentum, "weight_decay": recipe.weight_decay}
        return cls(ensemble, **settings, decay_norm=recipe.decay_norm)

    @property
    def momenta(self) -> list[Tensor | None]:
        """Of each parameter what is carried from step to step; None before its first."""
        return self._buffers

    def zero_grad(self) -> None:
        for parameter in self._parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """One step down the gradients; a parameter that the loss did not reach stays where it is."""
        for decay in sorted(set(self._decays)):
            self._step([row for row, other in enumerate(self._decays) if other == decay], decay)

    def _step(self, rows: list[int], weight_decay: float) -> None:
        moved = [row for row in rows if self._parameters[row].grad is not None]
        buffers = [self._buffers[row] for row in moved]
        sgd(
            [self._parameters[row] for row in moved],
            [gradient for row in moved if (gradient := self._parameters[row].grad) is not None],
            buffers,
            weight_decay=weight_decay,
            momentum=self.momentum,
            lr=self.lr,
            dampening=0.0,
            nesterov=False,
            maximize=False,
            foreach=bool(moved) and self._parameters[moved[0]].is_cuda,  # fewer kernels; on a CPU nothing is gained
        )
        for row, buffer in zip(moved, buffers, strict=True):
            self._buffers[row] = buffer


class Adam:
    """Adam without weight decay on all parameters of an ensemble: Kingma and Ba 2015, arXiv:1412.6980.

    The same steps as ``torch.optim.Adam``, which imports torch's compiler, and in its functional form counts steps in
    tensors.
    """

    def __init__(self, ensemble: Ensemble, *, lr: float, betas: tuple[float, float] = (0.9, 0.999)) -> None:
        self.lr, self.betas = lr, betas
        self._parameters = list(ensemble.parameters())
        self._means = [torch.zeros_like(parameter) for parameter in self._parameters]
        self._squares = [torch.zeros_like(parameter) for parameter in self._parameters]
        self._steps = [0] * len(self._parameters)

    def zero_grad(self) -> None:
        for parameter in self._parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """One step down the gradients; a parameter that the loss did not reach stays where it is."""
        slow, slower = self.betas
        for row, parameter in enumerate(self._parameters):
            if parameter.grad is None:
                continue
            self._steps[row] += 1
            mean = self._means[row].lerp_(parameter.grad, 1 - slow)
            square = self._squares[row].mul_(slower).addcmul_(parameter.grad, parameter.grad, value=1 - slower)
            width = square.div(1 - slower ** self._steps[row]).sqrt_().add_(1e-8)
            parameter.addcdiv_(mean, width, value=-self.lr / (1 - slow ** self._steps[row]))


def of_norms(ensemble: Ensemble) -> set[int]:
    """Identities of the scales and shifts of normalisation layers."""
    norms = (module for module in ensemble.modules() if isinstance(module, NORMS))
    return {id(parameter) for norm in norms for parameter in norm.parameters(recurse=False)}
