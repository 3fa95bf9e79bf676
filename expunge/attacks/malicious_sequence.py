"""Malicious requests in a sequence: in every round the attacker sees what its last request did, and plans on.

The models are a state, ``theta_{t+1} = U(theta_t, a_t)``, then moved by what others ask for; an action is which records
are asked for and with which bytes; the cost is the attacker's loss after the last round. Zhao et al. 2023 (sequential
attack) speak of stochastic optimal control; their text was not at hand, and the controllers here are derived:

- ``receding``: plan the next ``horizon`` rounds through the operator, each from where the one before leaves the models,
  ask for the first of them, see what came of it, plan anew;
- ``greedy``: the same with a horizon of one round;
- ``static``: plan all at once, as malicious requests do, and deal it over the rounds.

Controls ask in as many rounds, and between rounds others ask for the same.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch
from jaxtyping import Int
from numpy import ndarray

from expunge.attacks.aims import Aim, measure, objective
from expunge.attacks.attack import Attack, Success
from expunge.attacks.bilevel import Objective
from expunge.attacks.lab.arms import ATTACK as ATTACKED
from expunge.attacks.lab.arms import HONEST, NO_REQUEST, ORACLE, UNPERTURBED, Played, completed
from expunge.attacks.lab.owners import owned_by_attackers
from expunge.attacks.lab.parts import rest, turns_of, union_of
from expunge.attacks.lab.provider import Provider, Served, as_they_lie, unperturbed
from expunge.attacks.lab.request_play import arm, same
from expunge.attacks.malicious_requests import MaliciousRequests, aimed, honest_requests, planned, with_bytes
from expunge.attacks.malicious_requests import check as check_requests
from expunge.attacks.operators import Points, outputs_at
from expunge.attacks.planning import Planner, planner_of
from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.seeds import seed_of
from expunge.errors import BadSetting
from expunge.methods import find_method
from expunge.methods.parts.per_sample import with_weights
from expunge.suites.request import Request
from expunge.suites.suite import Suite

PLANS = ("receding", "greedy", "static")


@dataclass(frozen=True, kw_only=True)
class MaliciousSequence(MaliciousRequests):
    """Of the sequence: ``rounds`` divide the budget, and in each others ask for ``benign`` records too.

    ``plan`` receding: the next ``horizon`` rounds are planned before each; greedy: the next alone; static: all at once.
    """

    plan: str = "receding"
    rounds: int = 4
    horizon: int = 2
    benign: int = 4
    budget: int = 12

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.plan not in PLANS:
            raise ValueError(f"plan must be one of {', '.join(PLANS)}, got {self.plan!r}")
        if self.rounds < 1 or self.budget % self.rounds:
            raise ValueError(f"expected rounds that divide the budget of {self.budget} records, got {self.rounds}")
        if self.horizon < 1 or self.benign < 0:
            raise ValueError(
                f"expected a horizon of at least 1 round and 0 benign records or more, got {self.horizon} and "
                f"{self.benign}"
            )

    @property
    def each_round(self) -> int:
        return self.budget // self.rounds


def check(suite: Suite, config: MaliciousSequence) -> None:
    """Refuse what cannot be, before any work."""
    check_requests(suite, config)
    for each in config.methods:
        prepare = find_method(each.method).prepare
        if prepare is not None and prepare.plan is not None:
            raise BadSetting(
                f"{each.method!r} takes back at once all that was ever asked for: it knows no rounds; attack it by "
                "`expunge attack malicious-requests`, or choose another --method"
            )
    free = suite.data.sizes[0] - round(config.owned * suite.data.sizes[0])
    if config.rounds * config.benign >= free:
        raise BadSetting(
            f"suite {suite.name!r} has {free} records that are not the attacker's, others cannot ask for "
            f"{config.benign} in each of {config.rounds} rounds; give --set benign=N"
        )


@dataclass(eq=False)
class State:
    """Victims after some rounds: the models, what is gone of each, what was asked of each in turn, what it has cost."""

    served: Served
    gone: list[Int[ndarray, " gone"]]
    asked: list[list[Request]] = field(default_factory=list)  # round by round
    others: list[list[Request]] = field(default_factory=list)

    def ask(self, provider: Provider, requests: list[Request], by: list[list[Request]]) -> None:
        """Serve one request of each victim, and note by whom it was made."""
        by.append(requests)
        before = self.served
        after = provider.serve(requests, start=before.ensemble, gone=self.gone)
        self.served = Served(after.ensemble, before.cost + after.cost, before.seconds + after.seconds)
        self.gone = [np.append(old, each.indices) for old, each in zip(self.gone, requests, strict=True)]


Ask = Callable[[int, State], list[Request]]  # the number of the round, from 0 on, and how victims are then


def in_turns(provider: Provider, config: MaliciousSequence, state: State, ask: Ask | None) -> Served:
    """All rounds: in each somebody asks, where somebody does, and then others ask for what is theirs."""
    for number in range(config.rounds):
        if ask is not None:
            state.ask(provider, ask(number, state), state.asked)
        if config.benign:
            state.ask(provider, of_others(provider, config, number), state.others)
    return state.served


def begin(provider: Provider) -> State:
    """The victims, of which nothing was asked."""
    return State(provider.untouched(), [np.arange(0) for _ in provider.models])


def of_others(provider: Provider, config: MaliciousSequence, number: int) -> list[Request]:
    """What others ask of each victim in a round: records that are not the attacker's, the same in every arm."""
    owned, size, found = owned_by_attackers(provider, config.owned, config.seed), config.benign, []
    for own, model in zip(owned, provider.models, strict=True):
        rng = np.random.default_rng(seed_of(provider.suite.digest, "others", config.seed, model))
        free = rng.permutation(np.setdiff1d(np.arange(provider.suite.data.sizes[0]), own))
        found.append(as_they_lie(provider.suite, free[number * size : (number + 1) * size], "others"))
    return found


@dataclass(eq=False)
class Controller:
    """An attacker of each victim who asks round by round; ``asked`` is what it has asked for until now."""

    provider: Provider
    config: MaliciousSequence
    aim: Aim
    first: Planner
    honest: list[list[Request]]
    own: Ensemble | None = None  # surrogates as the attacker's own simulation has left them
    static: list[list[Request]] | None = None

    def __call__(self, number: int, state: State) -> list[Request]:
        """What to ask for in a round."""
        if self.config.plan == "static":
            if self.static is None:
                whole = [union_of(list(each)) for each in zip(*self.honest, strict=True)]
                plan = planned(self.provider, self.config, self.aim, self.first, whole)
                self.static = dealt(plan, self.config.rounds)
            return self.static[number]
        ahead = min(self.config.horizon, self.config.rounds - number) if self.config.plan == "receding" else 1
        left = self._left(state)
        planner = self._planner(state, left)
        goal = objective(self.aim, self.first.models, partial(outputs_at, planner.models))
        rows = self._rows(planner, goal, left, number, ahead)
        found = with_bytes(self.provider, self.config, self.aim, planner, goal, rows, rounds=ahead)
        self._simulate(planner, found)
        return found

    def _left(self, state: State) -> Int[ndarray, "victims left"]:
        """What each attacker owns and has not yet asked for."""
        asked = [np.concatenate([each.indices for each in own]) for own in zip(*state.asked, strict=True)]
        return (
            np.stack([np.setdiff1d(own, gone) for own, gone in zip(self.aim.clean, asked, strict=True)])
            if asked
            else self.aim.clean
        )

    def _planner(self, state: State, left: Int[ndarray, "victims left"]) -> Planner:
        """Who sees the victims plans on them as they are now; else on surrogates, as they would be."""
        config, models = self.config, self.own if self.config.surrogates else state.served.ensemble
        return planner_of(self.provider, left, config.surrogates, config.operator, models=models, solver=config.solver)

    def _rows(
        self, planner: Planner, goal: Objective, left: Int[ndarray, "victims left"], number: int, ahead: int
    ) -> Int[ndarray, "victims planned"]:
        """The records of the rounds that are planned, those of the next round first."""
        if self.config.selection == "random":
            parts = self.honest[number : number + ahead]
            return np.stack([np.concatenate([part[row].indices for part in parts]) for row in range(len(left))])
        size = self.config.each_round
        first, more = (planner.choose(goal, count) for count in (size, size * ahead))
        rows = [
            np.concatenate([now, np.setdiff1d(later, now)[: size * (ahead - 1)]])
            for now, later in zip(first, more, strict=True)
        ]
        return np.take_along_axis(left, np.stack(rows), axis=1)

    def _simulate(self, planner: Planner, requests: list[Request]) -> None:
        """Surrogates as the attacker thinks that its request leaves them."""
        if self.config.surrogates and planner.operator is not None:
            x, y = (torch.stack([getattr(each.examples, name) for each in requests]) for name in ("x", "y"))
            news = [each.instead.x for each in requests if each.instead is not None]
            where = planner.models.device
            x, y = (each.repeat_interleave(planner.each, 0).to(where) for each in (x, y))
            new = torch.stack(news).repeat_interleave(planner.each, 0).to(where) if news else None
            points = Points(x, y, torch.ones(y.shape, dtype=x.dtype, device=where), new)
            self.own = with_weights(planner.models, planner.operator(points).detach())


def play(provider: Provider, config: MaliciousSequence) -> Played:
    """Ask each victim in rounds, beside controls that ask in as many."""
    started = time.perf_counter()
    planner, aim = aimed(provider, config)
    honest = dealt(honest_requests(provider, config, aim.clean), config.rounds)
    state, look = begin(provider), partial(measure, aim)
    attacker = Controller(provider, config, aim, planner, honest)
    attack = arm(provider.victims, lambda: in_turns(provider, config, state, attacker), look)
    effort = np.full(len(provider.models), (time.perf_counter() - started) / len(provider.models))
    plain = [[unperturbed(provider.suite, request) for request in each] for each in state.asked]
    pairs = [pair for each, other in zip(state.asked, plain, strict=True) for pair in zip(each, other, strict=True)]
    scripts = {NO_REQUEST: None, HONEST: honest}
    if provider.plays(UNPERTURBED) and not all(same(one, other) for one, other in pairs):
        scripts[UNPERTURBED] = plain
    arms = {
        name: arm(provider.victims, partial(_by_script, provider, config, script), look)
        for name, script in scripts.items()
    }
    asked = [union_of(list(each)) for each in zip(*state.asked, strict=True)]
    gone = [union_of(list(each)) for each in zip(*state.asked, *state.others, strict=True)]
    if provider.plays(ORACLE):
        arms[ORACLE] = arm(provider.victims, lambda: provider.retrained(gone), look)
    turns = np.stack([turns_of(each) for each in zip(*state.asked, strict=True)]) if asked else None
    return Played(completed({UNPERTURBED: attack, **arms, ATTACKED: attack}), asked, effort, turns)


def _by_script(provider: Provider, config: MaliciousSequence, script: list[list[Request]] | None) -> Served:
    """All rounds, in which what is asked for was written before."""
    ask = None if script is None else lambda number, _: script[number]
    return in_turns(provider, config, begin(provider), ask)


def dealt(requests: Sequence[Request], rounds: int) -> list[list[Request]]:
    """The request of each victim dealt over the rounds, every so many records to each."""
    found = []
    for number in range(rounds):
        parts = [rest(request, np.arange(len(request)) % rounds == number) for request in requests]
        found.append([part for part in parts if part is not None])
    return found


ATTACK = Attack(
    play=play,
    check=check,
    config=MaliciousSequence,
    success=Success(
        "after the last round, the share of the targets that are taken for the wanted class; untargeted: of the test "
        "examples that are got wrong"
    ),
    served="in rounds",
    idle={"selection": "random", "eps": 0.0},
    arms={
        NO_REQUEST: "others alone ask, round by round",
        HONEST: "in as many rounds, as many records of the same owner, drawn at random, as they lie",
        UNPERTURBED: "in as many rounds, the records that the attack asks for, as they lie",
        ORACLE: "retrained without all that anybody asked for",
    },
    example="digits",
    summary="requests in rounds, each planned on what the last one did, so that a model misbehaves in the end",
    roles=("requester", "model user"),
    goal="targeted",
    knowledge="white box",
    phases=("unlearning",),
    cite=("zhao2023",),
)
