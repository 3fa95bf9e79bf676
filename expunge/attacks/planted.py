"""Records that attackers have planted in the training data of their victims, who train on them and serve requests.

Each victim is a world of its own, with other records planted: it trains on the suite's data, in which they stand in the
place of records that the attacker would have contributed otherwise, so sizes are as they were. Weights and orders are
drawn from the suite without them: victims of the same number differ by what was planted, and by nothing else.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Int
from numpy import ndarray

from expunge.attacks.lab.provider import Provider, Served, claimed, share_of, side_by_side
from expunge.attacks.lab.settings import Lab
from expunge.ensembles.device import chosen_device
from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.plan import Plan, new_networks
from expunge.ensembles.prune import train_sparse
from expunge.ensembles.seeds import Generators, seed_of
from expunge.ensembles.train import train
from expunge.errors import BadSetting, MethodFailed
from expunge.methods import find_method
from expunge.methods.method import Step
from expunge.methods.running import run_method
from expunge.suites.data import Examples
from expunge.suites.request import Request
from expunge.suites.suite import ForgetSets, Suite


@dataclass(frozen=True, eq=False)
class Planting:
    """What stands at ``places`` of the training data, rising, in place of what lay there."""

    places: Int[ndarray, " planted"]
    examples: Examples

    def __post_init__(self) -> None:
        if len(self.places) != len(self.examples):
            raise BadSetting(f"expected a place for each of {len(self.examples)} records, got {len(self.places)}")

    def only(self, places: Int[ndarray, " some"]) -> "Planting":
        """Those at some places."""
        kept = np.isin(self.places, places)
        return Planting(self.places[kept], self.examples.take(np.flatnonzero(kept)))

    def within(self, suite: Suite) -> Suite:
        """The suite whose training data hold them."""
        old, rows = suite.data.train, torch.from_numpy(self.places)
        x, y = old.x.clone(), old.y.clone()
        x[rows], y[rows] = self.examples.x, self.examples.y
        data = suite.data.with_examples(Examples(x, y), suite.data.test)
        return replace(
            suite, name=f"{suite.name}+planted", data=data, forget_sets=ForgetSets({}), derive=None, subsets=0
        )

    def request(self, suite: Suite, places: Int[ndarray, " requested"], owner: str) -> Request:
        """The request for what lies at these places now."""
        rows = np.sort(places)
        return Request(self.within(suite).data.train.take(rows), rows, owner)


def require_no_models_of_its_own(config: Lab) -> None:
    """Refuse methods that begin with logs, shards or half-trained models: those saw nothing of what was planted."""
    for each in config.methods:
        if find_method(each.method).prepare is not None:
            raise BadSetting(
                f"{each.method!r} begins with what was kept of trainings without the planted records; choose another "
                "method that begins with the deployed models, --method first-order"
            )


@dataclass(frozen=True, eq=False)
class Garden:
    """The victims of a provider, each with its own planting."""

    provider: Provider
    plantings: Sequence[Planting]

    def suite(self, row: int) -> Suite:
        """The suite that a victim trains on."""
        return self.plantings[row].within(self.provider.suite)

    def trained(self, without: Sequence[Int[ndarray, " gone"]] | None = None) -> Ensemble:
        """Victims trained on all that was planted; ``without`` the training examples at these places, of each."""
        provider, suite = self.provider, self.provider.suite
        names = [(suite.digest, "planted", provider.seed, model) for model in provider.models]
        networks = new_networks(suite.network, [seed_of(*name, "weights") for name in names])
        origin = Plan(suite, "pretrained").origin(provider.models)
        ensemble = Ensemble.stack(networks, origin, suite.data.train.x.shape[1:]).to(chosen_device())
        order = Generators([seed_of(*name, "order") for name in names], ensemble.device)
        training = train_sparse if suite.recipe.prune else train
        examples, rows = self._examples()
        if without is not None:
            rows = np.stack([np.delete(row, gone) for row, gone in zip(rows, without, strict=True)])
        return training(ensemble, examples, torch.from_numpy(rows), suite.recipe, order, target=suite.target).eval()

    def _examples(self) -> tuple[Examples, Int[ndarray, "victims train"]]:
        """The training data with all plantings behind it, and which of them each victim sees, place by place."""
        old = self.provider.suite.data.train
        x = torch.cat([old.x, *(each.examples.x for each in self.plantings)])
        y = torch.cat([old.y, *(each.examples.y for each in self.plantings)])
        rows, end = np.tile(np.arange(len(old)), (len(self.plantings), 1)), len(old)
        for row, each in zip(rows, self.plantings, strict=True):
            row[each.places] = np.arange(end, end + len(each.places))
            end += len(each.places)
        return Examples(x, y), rows

    def serve(self, victims: Ensemble, requests: Sequence[Request]) -> Served:
        """The victims after the removal of what each is asked for; :class:`MethodFailed` where it fails for any."""
        steps = [
            self.step(victims.take([row]).eval(), self.suite(row), request, model)
            for row, (request, model) in enumerate(zip(requests, self.provider.models, strict=True))
        ]
        cost, seconds = (np.array([getattr(step, name) for step in steps]) for name in ("cost", "seconds"))
        return Served(side_by_side([step.ensemble for step in steps]), cost, seconds)

    def step(self, one: Ensemble, suite: Suite, request: Request, model: int) -> Step:
        """One victim, of this number, after the removal of what it is asked for; ``suite`` is what it trained on."""
        provider, last = self.provider, None
        name, method = provider.attacked.method, find_method(provider.attacked.method)
        batch, count = provider.practice.batch(suite, request, model)
        forget = claimed(batch)
        for step in run_method(name, method, provider.config, one, suite, forget, provider.seed, request=batch):
            last = step
        if last is None:
            raise MethodFailed(f"{name} made no models")
        return share_of(last, count, provider.practice)
