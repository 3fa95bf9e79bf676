"""Update norm: requests whose removal would move the weights far."""

from collections.abc import Sequence
from functools import partial

import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from expunge.attacks.defence import Defence, Scene
from expunge.attacks.defences.requested import requested
from expunge.ensembles.device import exact_arithmetic, resident
from expunge.ensembles.ensemble import Ensemble
from expunge.methods.parts.per_sample import flat_weights, per_sample_gradients
from expunge.suites.data import Data, Examples
from expunge.suites.request import Request
from expunge.suites.target import Loss

SUMS = 2**26  # numbers of the summed gradients of one model that are held at once


def update_norms(
    ensemble: Ensemble, requests: Sequence[Request], data: Data, loss: Loss
) -> Float[Tensor, "models requests"]:
    """``|| sum over the records of a request of grad loss ||`` over all weights, in evaluation mode, on the CPU.

    Gradients of single records, a block at a time, times how often each request holds each: a record of many requests
    is differentiated once. No more is held than a block and the sums of one model.
    """
    wanted = requested(requests, data)
    examples, held = resident(wanted.examples, ensemble.device), wanted.held.to(ensemble.device)
    return torch.stack([_norms(ensemble.take([row]), examples, held, loss) for row in range(len(ensemble))])


def _norms(model: Ensemble, examples: Examples, held: Float[Tensor, "requests records"], loss: Loss) -> Tensor:
    weights = flat_weights(model)
    sums, done = weights.new_zeros(len(held), weights.shape[1]), 0
    for block in per_sample_gradients(model, examples, loss=loss):
        with exact_arithmetic():
            sums += held[:, done : done + block.shape[1]].to(block) @ block[0]
        done += block.shape[1]
    norms: Tensor = sums.norm(dim=1).cpu()
    return norms


def requests(scene: Scene) -> Float[ndarray, "models requests"]:
    """The norm for each request of the scene; the unit is that of the gradients, and higher is more suspicious.

    It is how far one step of first-order unlearning moves the weights, over its rate. The loss is the recipe's.
    """
    suite, models = scene.suite, scene.victims
    loss = partial(suite.target.loss, smoothing=suite.recipe.label_smoothing)
    size = max(1, SUMS // flat_weights(models.take([0])).numel())
    parts = [scene.requests[first : first + size] for first in range(0, len(scene.requests), size)]
    found = torch.cat([update_norms(models, part, suite.data, loss) for part in parts], dim=1)
    result: ndarray = found.double().numpy()
    return result


DEFENCE = Defence(
    summary="predicted norm of the update: that of the sum of the gradients of the records of a request",
    when="request",
    price="a forward and a backward pass for each requested record, at each version of the model; honest requests that "
    "are large, or of hard records, are held back",
    source="first-order update of Warnecke et al. 2023, arXiv:2108.11577, whose norm is predicted",
    requests=requests,
)
