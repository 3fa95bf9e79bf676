"""Gradients of many sets of records in one pass: what substitutes are chosen by.

The model is stacked once for each set, as an ensemble is; layers that a stack does not know go through
``torch.func.vmap``. On digits ``torch.func`` throughout is slower: up to 2 times for sets of four records.
"""

from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from expunge.ensembles.device import exact_arithmetic
from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.origin import Origin
from expunge.suites.suite import Suite

ROOM = 256 << 20  # bytes of gradients that are held at once


@dataclass(frozen=True, eq=False)
class SetGradients:
    """Takes gradients at models of one suite, in evaluation mode: records do not speak to one another by a BatchNorm.

    The stack is kept from call to call.
    """

    suite: Suite
    _stacks: dict[int, Ensemble] = field(default_factory=dict)

    def __call__(self, model: nn.Module, sets: Int[Tensor, "sets records"]) -> Float[Tensor, "sets parameters"]:
        """The gradient of the mean loss of each set of training records, at ``model``, an ordinary module."""
        size = 4 * sum(each.numel() for each in model.parameters())
        return torch.cat([self._of_some(model, part) for part in sets.split(max(1, ROOM // size))])

    def _of_some(self, model: nn.Module, sets: Tensor) -> Tensor:
        stack, examples = self._stack(model, len(sets)), self.suite.data.train
        stack.zero_grad(set_to_none=True)
        with exact_arithmetic(), torch.enable_grad():
            outputs = stack(examples.x[sets])
            self.suite.target.loss(outputs, examples.y[sets], self.suite.recipe.label_smoothing).sum().backward()
        found = [torch.zeros_like(each) if each.grad is None else each.grad for each in stack.parameters()]
        return torch.cat([each.flatten(1) for each in found], dim=1)

    @torch.no_grad()
    def _stack(self, model: nn.Module, count: int) -> Ensemble:
        """As many copies of ``model`` as there are sets."""
        state = {name: each.detach()[None].expand(count, *each.shape) for name, each in model.state_dict().items()}
        if count not in self._stacks:
            origin = Origin(self.suite.address, self.suite.digest, "oracle", None, tuple(range(count)))
            shape = self.suite.data.train.x.shape[1:]
            self._stacks.clear()  # sets come in one number, seldom in another
            self._stacks[count] = Ensemble.from_state(model, state, origin, shape).eval()
        held = self._stacks[count].state()
        for name, each in state.items():
            held[name].copy_(each)
        return self._stacks[count]


def set_gradients(
    model: nn.Module, suite: Suite, sets: Int[Tensor, "sets records"]
) -> Float[Tensor, "sets parameters"]:
    """The gradients of sets of training records at one model."""
    return SetGradients(suite)(model, sets)


def set_gradients_one_by_one(
    model: nn.Module, suite: Suite, sets: Int[Tensor, "sets records"]
) -> Float[Tensor, "sets parameters"]:
    """The same in a plain loop: what the batched pass is measured against."""
    training, examples = model.training, suite.data.train
    model.eval()
    found = []
    for rows in sets:
        model.zero_grad()
        loss = suite.target.loss(model(examples.x[rows])[None], examples.y[rows][None], suite.recipe.label_smoothing)
        loss.sum().backward()
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in model.parameters()]
        found.append(torch.cat([each.flatten() for each in gradients]))
    model.zero_grad()
    model.train(training)
    return torch.stack(found)
