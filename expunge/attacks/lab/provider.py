"""Who serves requests: victims, one world each, and a method; each victim is asked for what its own attacker wants."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from torch import Tensor

from expunge.attacks.lab.arms import UNDER_DEFENCE
from expunge.attacks.practice import USUAL, Practice
from expunge.attacks.removal import Attacked, build_own, starts_from
from expunge.engine import silent
from expunge.ensembles.builds import build_logs
from expunge.ensembles.device import chosen_device
from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.features import outputs
from expunge.ensembles.plan import Plan, new_networks
from expunge.ensembles.pretraining import pretrain, read_weights
from expunge.ensembles.prune import train_sparse
from expunge.ensembles.seeds import Generators, seed_of
from expunge.ensembles.shards import checkpoint, vote
from expunge.ensembles.train import train
from expunge.errors import BadSetting, MethodFailed
from expunge.methods import configure, find_method
from expunge.methods.method import Step
from expunge.methods.running import run_method
from expunge.methods.task import Task
from expunge.methods.tuned import settings_for
from expunge.suites.data import Examples
from expunge.suites.request import Request
from expunge.suites.suite import ForgetSet, Suite

ATTACKER = "attacker"  # the owner who makes requests
REQUESTED = "requested"  # the name of the forget set by which a request is served


@dataclass(frozen=True, eq=False)
class Served:
    """Victims after a removal, in evaluation mode, and what it cost each: share of one retraining, seconds."""

    ensemble: Ensemble
    cost: Float[ndarray, " victims"]
    seconds: Float[ndarray, " victims"]


@dataclass(frozen=True, eq=False)
class Provider:
    """The pretrained models ``models`` of a suite, each a provider of its own, all of which unlearn by one method.

    Settings are those that were found for the suite and random forget sets: a provider has no others. Nothing compares
    the bytes of a request with the training data, unless a defence does. ``practice`` is what a defence has it do
    otherwise.
    """

    suite: Suite
    attacked: Attacked
    models: range
    seed: int = 0
    practice: Practice = USUAL

    def of(self, models: range) -> "Provider":
        """The same provider of other models."""
        return replace(self, models=models)

    def plays(self, arm: str) -> bool:
        """Whether an arm is asked of this provider: all are, but under a practice that a defence asks for."""
        return self.practice is USUAL or arm in UNDER_DEFENCE

    @cached_property
    def victims(self) -> Ensemble:
        """The models as they are deployed, in evaluation mode: those that removal starts from."""
        before = pretrain(self.suite, len(self.models), first=self.models.start, watch=silent)
        plan = self._shards
        return before if plan is None else self._votes(plan, before)

    @property
    def deployed(self) -> str:
        """Which models are deployed: the key of those that vote, "" for the pretrained ones."""
        return self._shards.key if self._shards else ""

    @property
    def _shards(self) -> Plan | None:
        """The shards whose votes are deployed, where the method has some."""
        plan = starts_from(self.task(ForgetSet(REQUESTED, np.arange(1))))
        return plan if plan is not None and plan.kind == "sharded" else None

    @property
    def begins_anew(self) -> bool:
        """Whether the method starts from models of its own, log or shards, whatever was removed before."""
        return starts_from(self.task(ForgetSet(REQUESTED, np.arange(1)))) is not None

    @cached_property
    def config(self) -> Any:
        """The settings of the method."""
        sets = ForgetSet(REQUESTED, np.arange(1), "a request", "random")
        used = settings_for(self.suite, sets, self.attacked.method, self.attacked.settings)
        return configure(self.attacked.method, find_method(self.attacked.method), used.settings)

    def task(self, forget: ForgetSet) -> Task:
        """The method with its settings on a forget set."""
        return Task(self.suite, forget, self.attacked.method, self.config, self.seed)

    def serve(
        self,
        requests: Sequence[Request | None],
        *,
        start: Ensemble | None = None,
        gone: Sequence[Int[ndarray, " gone"]] | None = None,
    ) -> Served:
        """The victims after the removal of what each is asked for; :class:`MethodFailed` where it fails for any.

        Where its practice is to serve several requests at once, each pays its share of the cost.

        Args:
            requests: one for each victim; None where nothing is asked, which costs nothing.
            start: models that earlier requests have left; default: the victims.
            gone: which training examples those removed, of each victim.
        """
        self._require_each(requests)
        batch_of = partial(self.practice.batch, self.suite)
        batches = [batch_of(one, n) if one else None for n, one in zip(self.models, requests, strict=True)]
        self._build(zip(self.models, [claimed(batch[0]) if batch else None for batch in batches], strict=True))
        before = self.victims if start is None else start
        steps = []
        for row, batch in enumerate(batches):
            one = before.take([row]).eval()
            before_it = None if gone is None else gone[row]
            steps.append(
                share_of(self._step(one, batch[0], before_it), batch[1], self.practice) if batch else _nothing(one)
            )
        cost, seconds = (np.array([getattr(step, name) for step in steps]) for name in ("cost", "seconds"))
        return Served(side_by_side([step.ensemble for step in steps]), cost, seconds)

    def prepare(self, *asked: Sequence[Request | None]) -> None:
        """Train what the method begins with for all of these requests at once, each with one for each victim."""
        for requests in asked:
            self._require_each(requests)
        pairs = [pair for requests in asked for pair in zip(self.models, requests, strict=True)]
        self._build((model, claimed(request) if request else None) for model, request in pairs)

    def _build(self, wanted: Iterable[tuple[int, ForgetSet | None]]) -> None:
        """Train what the method begins with and the store lacks: of logs those alone of the victim that it serves."""
        logs: dict[int, dict[str, Plan]] = {}
        others: dict[str, Task] = {}
        for model, forget in wanted:
            if forget is None or (plan := starts_from(task := self.task(forget))) is None:
                continue
            if plan.kind == "logged":
                logs.setdefault(plan.chunks(range(model, model + 1)).start, {})[plan.key] = plan
            else:
                others[plan.key] = task
        for chunk, plans in logs.items():
            size = self.suite.chunk
            build_logs(list(plans.values()), range(chunk * size, (chunk + 1) * size))
        build_own(list(others.values()), self.models.stop)

    def _step(self, one: Ensemble, request: Request, gone: ndarray | None) -> Step:
        name, forget, last = self.attacked.method, claimed(request), None
        method = find_method(name)
        for step in run_method(
            name, method, self.config, one, self.suite, forget, self.seed, gone=gone, request=request
        ):
            last = step
        if last is None:
            raise MethodFailed(f"{name} made no models")
        return last

    def serve_all(self, request: Request, start: Ensemble | None = None) -> Served:
        """All victims, or the models that are given, after the removal of one and the same request."""
        build_own([self.task(claimed(request))], self.models.stop)
        step = self._step(self.victims if start is None else start, request, None)
        each = np.ones(len(self.models))
        return Served(step.ensemble.eval(), step.cost * each, step.seconds * each)

    def retrained(self, requests: Sequence[Request]) -> Served:
        """Models trained anew without what each victim is asked for, and with what is to stand in its place.

        Exact removal, by the seeds and the recipe of oracles; the seconds of each are those of all, which are trained
        side by side, over their number.
        """
        started = time.perf_counter()
        self._require_each(requests)
        if len(sizes := {len(request) for request in requests}) != 1:
            raise BadSetting(f"expected requests of one size, to train all at once, got {sorted(sizes)}")
        suite, sets = self.suite, [claimed(request) for request in requests]
        names = [
            (suite.digest, "oracle", forget.digest, model) for forget, model in zip(sets, self.models, strict=True)
        ]
        plan = Plan(suite, "oracle", sets[0])
        networks = new_networks(suite.network, [seed_of(*name, "weights") for name in names])
        shape = suite.data.train.x.shape[1:]
        ensemble = Ensemble.stack(networks, plan.origin(self.models), shape).to(chosen_device())
        order = Generators([seed_of(*name, "order") for name in names], ensemble.device)
        examples, rows = _kept(suite, requests)
        training = train_sparse if suite.recipe.prune else train
        trained = training(ensemble, examples, rows, suite.recipe, order, target=suite.target).eval()
        return Served(trained, np.ones(len(requests)), each_of(time.perf_counter() - started, len(requests)))

    def untouched(self) -> Served:
        """The victims, of which nothing was asked."""
        return Served(self.victims, np.zeros(len(self.models)), np.zeros(len(self.models)))

    def _require_each(self, requests: Sequence[Request | None]) -> None:
        if len(requests) != len(self.models):
            raise BadSetting(f"expected a request for each of {len(self.models)} victims, got {len(requests)}")

    def _votes(self, plan: Plan, before: Ensemble) -> Ensemble:
        """The votes that SISA deploys."""
        build_own([self.task(ForgetSet(REQUESTED, np.arange(1)))], self.models.stop)
        state, last = read_weights(plan, self.models), plan.setting("slices")
        shards = [checkpoint(state, shard, last) for shard in range(plan.setting("shards"))]
        origin = replace(before.origin, kind=plan.kind)
        each = [Ensemble.from_state(before.network, shard, origin, before.sample_shape) for shard in shards]
        return vote(each, origin).to(before.device)


def share_of(step: Step, requests: int, practice: Practice) -> Step:
    """What is deployed after a removal, and what each of the requests that it served together has cost."""
    return replace(
        step, ensemble=practice.deployed(step.ensemble), cost=step.cost / requests, seconds=step.seconds / requests
    )


def each_of(seconds: float, victims: int) -> Float[ndarray, " victims"]:
    """The seconds of each victim where all were trained side by side."""
    return np.full(victims, seconds / victims)


def _nothing(one: Ensemble) -> Step:
    """A victim of which nothing was asked."""
    return Step(0, one, 0.0, 0.0)


def _kept(suite: Suite, requests: Sequence[Request]) -> tuple[Examples, Int[Tensor, "victims kept"]]:
    """All that any victim keeps, and where what each keeps is: the training data, then what was put in its place."""
    data, added = suite.data.train, [each.instead for each in requests if each.instead is not None]
    examples = Examples(
        torch.cat([data.x, *(each.x for each in added)]), torch.cat([data.y, *(each.y for each in added)])
    )
    rows, behind = [], len(data)
    for request in requests:
        own = 0 if request.instead is None else len(request.instead)
        rows.append(torch.as_tensor(np.append(suite.retain(claimed(request)), np.arange(behind, behind + own))))
        behind += own
    return examples, torch.stack(rows)


def claimed(request: Request) -> ForgetSet:
    """The forget set that a request claims, by which it is served."""
    return ForgetSet(REQUESTED, request.indices, f"a request of {request.owner or 'nobody named'}", "random")


def side_by_side(ensembles: Sequence[Ensemble]) -> Ensemble:
    """Ensembles of one network as one, in evaluation mode; each was made for itself, so it says not how."""
    first = ensembles[0]
    models = tuple(model for each in ensembles for model in each.origin.models)
    state = {key: torch.cat([each.state()[key] for each in ensembles]) for key in first.state()}
    masks = {key: torch.cat([each.masks[key] for each in ensembles]) for key in first.masks}
    origin = replace(first.origin, models=models, forget_set=None, made=None)
    return Ensemble.from_state(first.network, state, origin, first.sample_shape, masks).eval()


def correct_on_test(ensemble: Ensemble, suite: Suite, practice: Practice = USUAL) -> Bool[ndarray, "victims test"]:
    """Whether the first choice of what is told is the label, for every test example; what is no number is wrong."""
    test = suite.data.test
    said = practice.told(outputs(ensemble, test.x), ensemble.origin.models)
    right = suite.target.correct(said, test.y.to(said.device)) & said.isfinite().all(-1)
    found: ndarray = right.cpu().numpy()
    return found


def honest_request(suite: Suite, owned: Int[ndarray, " owned"], size: int, *names: str | int) -> Request:
    """So many of the records that an owner has, drawn uniformly, as they lie in the training data."""
    rng = np.random.default_rng(seed_of(suite.digest, "honest request", *names))
    return as_they_lie(suite, rng.permutation(owned)[:size], "honest")


def as_they_lie(suite: Suite, indices: Int[ndarray, " requested"], owner: str) -> Request:
    """The honest request for these training examples."""
    rows = np.sort(indices)
    return Request(suite.data.train.take(rows), rows, owner)


def unperturbed(suite: Suite, request: Request) -> Request:
    """The same records as they lie in the training data; to be corrected, where they are, to what they are."""
    plain = as_they_lie(suite, request.indices, request.owner)
    return plain if request.instead is None else replace(plain, instead=plain.examples)
