"""Unrolling SGD: take back what training did for the forget set, to first order around the first weights."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.plan import Plan
from expunge.ensembles.seeds import Generators
from expunge.ensembles.train import minibatch_count
from expunge.ensembles.whole_models import first_weights
from expunge.methods.method import Method, Preparation
from expunge.methods.needs import FIRST_WEIGHTS, FORGET_DATA
from expunge.methods.parts.per_sample import flat_weights, with_weights
from expunge.methods.parts.rows import in_one_row
from expunge.methods.parts.walks import recipe_loss, require
from expunge.methods.spaces import Between, Published
from expunge.suites.recipe import Recipe
from expunge.suites.suite import Examples, ForgetSet, Split, Suite


@dataclass(frozen=True, kw_only=True)
class UnrollingSGD:
    """``theta + strength (eta m / b) sum_forget grad l(theta_0)``: ``theta_0`` the weights that training began with.

    Of examples that are corrected, less the same sum over what stands in their place.

    Unrolled around ``theta_0``, ``m`` epochs in batches of ``b`` at learning rate ``eta`` add
    ``-(eta m / b) grad l(theta_0)`` for each example, and terms of higher order; the first is given back. ``eta`` is
    the mean of the schedule over ``1 - momentum``, what momentum makes of each gradient in the end. Gradients are taken
    in training mode, as training did. Thudi et al. 2022, arXiv:2109.13398: ``strength`` is 1.
    """

    strength: float = 1e-3  # the paper's 1 is of a few epochs from a pretrained model; from a random start it wrecks

    def __post_init__(self) -> None:
        require(self.strength > 0, "strength must be above 0", self.strength)


def unrolling_sgd(ensemble: Ensemble, split: Split, cfg: UnrollingSGD, rng: Generators) -> Iterator[Ensemble]:
    """Yield the ensemble after the one step."""
    start = split.extra.to(ensemble.device).copy().train()
    start.meter = ensemble.meter
    _add_gradients(start, split, split.forget, 1.0)
    if split.instead is not None:
        _add_gradients(start, split, split.instead, -1.0)
    gradients = [torch.zeros_like(each) if each.grad is None else each.grad for each in start.parameters()]
    factor = effective_rate(split.recipe, split.trained)
    yield with_weights(ensemble, flat_weights(ensemble) + cfg.strength * factor * in_one_row(gradients))


def _add_gradients(start: Ensemble, split: Split, examples: Examples, sign: float) -> None:
    """Add the gradients of the losses of ``examples``, in batches as training had them, to those of ``start``."""
    x, y = examples.x, examples.y.expand(len(start), *examples.y.shape)
    loss = recipe_loss(split)
    parts = -(-len(examples) // split.recipe.batch_size)  # of equal sizes: BatchNorm needs more than one example
    for part, labels in zip(x.tensor_split(parts), y.tensor_split(parts, dim=1), strict=True):
        (loss(start(part), labels).sum() * len(part) * sign).backward()


def effective_rate(recipe: Recipe, examples: int) -> float:
    """``eta m / b``: how far all of training goes for one example's gradient, were that constant."""
    steps = recipe.epochs * minibatch_count(examples, recipe.batch_size)
    eta = sum(recipe.lr_at(step, steps) for step in range(steps)) / steps / (1 - recipe.momentum)
    return eta * recipe.epochs / recipe.batch_size


def _load(suite: Suite, forget: ForgetSet, models: Sequence[int], cfg: UnrollingSGD) -> Ensemble:
    return first_weights(Plan(suite, "pretrained"), models)  # from the suite's seeds: none can be missing


METHOD = Method(
    unlearn=unrolling_sgd,
    config=UnrollingSGD,
    summary="give back, to first order, the steps that training took for the forget set",
    cite=("thudi2022",),
    needs=(FORGET_DATA, FIRST_WEIGHTS),
    search={
        "strength": Between(1e-5, 3.0, log=True),
    },
    published=(Published("the paper: the step as it is derived", {"strength": 1.0}),),
    prepare=Preparation(_load),
    deviations="The paper trains without momentum at a constant learning rate, from a pretrained model; public code "
    "adds one batch's gradient at that model, times the learning rate and the epochs, though it trains with momentum. "
    "Here the sum over the schedule and momentum are in the factor, and theta_0 is the random start.",
)
