"""What attackers plan with: models that they can look into, and the unlearning that they assume of the provider.

In a white box those models are the victims. Else they are surrogates: further pretrained models of the suite, from the
middle of all on, which no bench scores; the attacker has trained them itself, on the same data.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from jaxtyping import Int, Shaped
from numpy import ndarray
from torch import Tensor

from expunge.attacks.bilevel import Objective, chosen_points
from expunge.attacks.lab.owners import of_each
from expunge.attacks.lab.provider import Provider
from expunge.attacks.operators import (
    ConjugateGradients,
    Inverse,
    Lissa,
    Losses,
    Operator,
    Points,
    cross_entropies,
    first_order,
    second_order,
    shards,
    unrolling_sgd,
)
from expunge.attacks.removal import Attacked, starts_from
from expunge.attacks.update_trace import least_by_log, require_room, traced
from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.plan import Plan
from expunge.ensembles.pretraining import read_array
from expunge.ensembles.seeds import Generators, seed_of
from expunge.ensembles.train import minibatch_count, minibatches
from expunge.ensembles.whole_models import first_weights
from expunge.errors import BadSetting, lookup
from expunge.methods.parts.curvature import Product, gauss_newton, weight_decay
from expunge.methods.zoo.second_order import CURVATURES
from expunge.methods.zoo.unrolling_sgd import effective_rate
from expunge.suites.networks import Vote
from expunge.suites.suite import ForgetSet, Suite
from expunge.suites.target import Loss

LISSA, ITERATIONS = "lissa", 10  # how a curvature is inverted, and the products that conjugate gradients may take
CURVED = 256  # about so many of an attacker's records, whose curvature conjugate gradients invert
OWN = "own"  # plan by the operator of the method that serves, where there is one
TRANSFERRED = "first-order"  # what is assumed of a method that has no operator
Choose = Callable[[Objective, int], Int[ndarray, "victims count"]]


@dataclass(frozen=True, eq=False)
class Planner:
    """Models that attackers plan with, ``each`` so many side by side for a victim, and what they assume of removal.

    ``operator`` is None where no byte of a point matters, as to a log or to shards that are found by their numbers;
    ``choose(objective, count)`` says which of its records an attacker asks for, as places among those that it owns.
    """

    models: Ensemble
    each: int
    operator: Operator | None
    choose: Choose


@dataclass(frozen=True, eq=False)
class Assumed:
    """A provider as attackers imagine it, with models that they know, and what each attacker owns, by planner."""

    provider: Provider
    models: Ensemble
    owned: Int[ndarray, "planners owned"]
    each: int
    solver: str = LISSA

    @property
    def losses(self) -> Losses:
        return partial(cross_entropies, smoothing=self.provider.suite.recipe.label_smoothing)

    @property
    def loss(self) -> Loss:
        """The mean over a batch, of which the curvature is taken."""
        suite = self.provider.suite
        return partial(suite.target.loss, smoothing=suite.recipe.label_smoothing)

    @property
    def records(self) -> tuple[Shaped[Tensor, "planners owned ..."], Int[Tensor, "planners owned"]]:
        """Inputs and labels of what is owned."""
        train, device = self.provider.suite.data.train, self.models.device
        return of_each(train.x, self.owned).to(device), of_each(train.y, self.owned).to(device)

    def by_gradient(self, operator: Operator) -> Planner:
        """Chooses greedily through an operator that can be differentiated."""

        def choose(objective: Objective, count: int) -> Int[ndarray, "victims count"]:
            x, y = self.records
            return chosen_points(operator, objective, x, y, count, victims=len(y) // self.each)

        return Planner(self.models, self.each, operator, choose)


def planner_of(
    provider: Provider,
    owned: Int[ndarray, "victims owned"],
    surrogates: int,
    operator: str,
    *,
    models: Ensemble | None = None,
    solver: str = LISSA,
) -> Planner:
    """What the attackers of these victims plan with.

    Args:
        provider: who is attacked.
        owned: the records of each attacker.
        surrogates: so many models of its own for each victim; 0 for the victim itself, whose weights are known.
        operator: the method that is assumed, or "own", that which serves.
        models: the planners as earlier requests have left them; default: as they are deployed.
        solver: what inverts the curvature that a second-order update divides by, one of :data:`SOLVERS`.
    """
    name = provider.attacked.method if operator == OWN else operator
    name = name if name in OPERATORS else TRANSFERRED
    attacked = provider.attacked if name == provider.attacked.method else Attacked(name)
    numbers = surrogate_numbers(provider.suite, provider.models, surrogates) if surrogates else provider.models
    assumed = replace(provider, attacked=attacked, models=numbers)
    each = max(1, surrogates)
    now = assumed.victims if models is None else models
    return OPERATORS[name](Assumed(assumed, now, owned.repeat(each, axis=0), each, solver))


def surrogate_numbers(suite: Suite, victims: range, each: int) -> range:
    """The numbers of the models with which the attackers of these victims plan, ``each`` so many."""
    half = suite.models // 2
    return range(half + each * victims.start, half + each * victims.stop)


def require_planner(suite: Suite, models: int, surrogates: int, operator: str) -> None:
    """Refuse surrogates that the suite has not, and an operator that nobody wrote."""
    if operator != OWN:
        lookup("operator", operator, OPERATORS)
    if surrogates < 0:
        raise BadSetting(f"expected surrogates to be 0, for a white box, or more, got {surrogates}")
    if surrogates and (models > suite.models // 2 or suite.models // 2 + surrogates * models > suite.models):
        most = max(suite.models // 2 // surrogates, 0)
        raise BadSetting(
            f"suite {suite.name!r} has {suite.models - suite.models // 2} models that can be surrogates, "
            f"{surrogates} for each of {models} victims are wanted; give --models {most} or fewer, or --set "
            "surrogates=0 for an attacker who knows the victims"
        )


def _first_order(assumed: Assumed) -> Planner:
    config = assumed.provider.config
    zeros = config.replacement == "zeros"
    return assumed.by_gradient(first_order(assumed.models, config.tau, losses=assumed.losses, zeros=zeros))


def _second_order(assumed: Assumed) -> Planner:
    """The curvature is that of the attacker's own records."""
    config, suite, models = assumed.provider.config, assumed.provider.suite, assumed.models
    damping = config.damping + weight_decay(models, suite.recipe)
    inverse = SOLVERS[assumed.solver](assumed, damping)
    return assumed.by_gradient(second_order(models, inverse, suite.data.sizes[0], losses=assumed.losses))


def _by_lissa(assumed: Assumed, damping: Tensor) -> Inverse:
    """As the method inverts it, on batches of the attacker's records in an order of its own."""
    config, suite, models = assumed.provider.config, assumed.provider.suite, assumed.models
    x, y = assumed.records
    seeds = [seed_of(suite.digest, "planning", number) for number in assumed.provider.models]
    rng = Generators(seeds, models.device)
    products: list[Product] = []
    while len(products) < config.iterations:
        for rows in minibatches(rng.permutation(y.shape[1]), config.batch_size):
            at = torch.arange(len(y), device=y.device)[:, None]
            products.append(CURVATURES[config.curvature](models, (x[at, rows], y[at, rows]), assumed.loss))
    return Lissa(products[: config.iterations], damping, config.scale)


def _by_conjugate_gradients(assumed: Assumed, damping: Tensor) -> Inverse:
    """What the method's series would converge to, on records of the attacker's; Gauss-Newton, to curve upwards."""
    x, y = (each[:, :: max(1, each.shape[1] // CURVED)] for each in assumed.records)
    return ConjugateGradients(gauss_newton(assumed.models, (x, y), assumed.loss), damping, ITERATIONS)


SOLVERS: dict[str, Callable[[Assumed, Tensor], Inverse]] = {LISSA: _by_lissa, "cg": _by_conjugate_gradients}


def _unrolling_sgd(assumed: Assumed) -> Planner:
    provider, suite = assumed.provider, assumed.provider.suite
    first = first_weights(Plan(suite, "pretrained"), provider.models)
    factor = provider.config.strength * effective_rate(suite.recipe, suite.data.sizes[0])
    size = suite.recipe.batch_size
    return assumed.by_gradient(unrolling_sgd(assumed.models, first, factor, size, losses=assumed.losses))


def _amnesiac(assumed: Assumed) -> Planner:
    """By the log: which updates are taken back, and what that does to the attacker's loss."""
    provider = assumed.provider

    def choose(objective: Objective, count: int) -> Int[ndarray, "victims count"]:
        models, trace = traced(provider.suite, provider.models)
        return least_by_log(trace, models, objective, assumed.owned, count, each=assumed.each)

    return Planner(assumed.models, assumed.each, None, choose)


def _sisa(assumed: Assumed) -> Planner:
    """By the shards: what each constituent would lose, to first order."""
    provider, suite = assumed.provider, assumed.provider.suite
    plan = starts_from(provider.task(ForgetSet("asked", np.arange(1))))
    assert plan is not None  # SISA starts from shards
    votes = assumed.models
    places = torch.from_numpy(read_array(plan, "places", provider.models).astype(np.int64))
    where = (places.gather(1, torch.from_numpy(assumed.owned)) // plan.setting("slices")).to(votes.device)
    network = votes.copy().eval().network
    assert isinstance(network, Vote)  # of constituents
    members = [Ensemble(member, votes.origin, votes.sample_shape) for member in network.members]
    steps = suite.recipe.epochs * minibatch_count(suite.data.sizes[0], suite.recipe.batch_size)

    def within(points: Points, shard: int) -> Tensor:
        assert points.places is not None  # of points that are chosen among one's own
        return (where.gather(1, points.places) == shard).to(points.omega)

    return replace(assumed.by_gradient(shards(votes, members, 1 / steps, within)), operator=None)


OPERATORS: dict[str, Callable[[Assumed], Planner]] = {
    "first-order": _first_order,
    "second-order": _second_order,
    "unrolling-sgd": _unrolling_sgd,
    "amnesiac": _amnesiac,
    "sisa": _sisa,
}
LOGGED = ("amnesiac",)  # those that need room for a whole log


def require_log(suite: Suite, methods: tuple[Attacked, ...], operator: str) -> None:
    """Refuse planning by a log that no memory holds."""
    named = {each.method for each in methods} if operator == OWN else {operator}
    if named & set(LOGGED):
        require_room(suite)
