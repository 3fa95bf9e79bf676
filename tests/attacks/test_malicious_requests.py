"""Malicious requests on a suite that trains in a blink: which records, with which bytes, planned on which models."""

from dataclasses import replace
from functools import cache, partial

import numpy as np
import pytest
import torch
from numpy import ndarray
from torch import nn

from expunge.attacks import ATTACKS
from expunge.attacks.aims import objective
from expunge.attacks.lab.arms import ATTACK, HONEST, NO_REQUEST, UNPERTURBED, Played
from expunge.attacks.lab.cells import play_on
from expunge.attacks.lab.owners import owned_by_attackers
from expunge.attacks.lab.provider import Provider
from expunge.attacks.malicious_requests import MaliciousRequests, aimed, check
from expunge.attacks.operators import Points, outputs_at
from expunge.attacks.planning import OPERATORS, planner_of, surrogate_numbers
from expunge.attacks.removal import Attacked
from expunge.attacks.update_trace import least_by_log, traced
from expunge.errors import BadSetting, UnknownName
from expunge.methods.parts.per_sample import flat_weights
from expunge.suites import Data, Examples, Suite, load_suite
from expunge.suites.networks import AsFloat
from expunge.suites.request import Request
from tests.attacks.small import small

pytestmark = pytest.mark.usefixtures("common_store")

NAME, VICTIMS = "malicious-requests", 3
STRONG = Attacked("first-order", {"tau": 0.1})
QUICK = MaliciousRequests(models=VICTIMS, budget=4, steps=4, eps=0.2)


def play(config: MaliciousRequests, suite: Suite | None = None) -> Played:
    return play_on(NAME, ATTACKS[NAME], suite or small(), config, config.methods[0], range(config.models))


@cache
def deleted() -> Played:
    return play(QUICK)


def owned(config: MaliciousRequests) -> ndarray:
    provider = Provider(small(), config.methods[0], range(config.models), config.seed)
    return owned_by_attackers(provider, config.owned, config.seed)


def test_an_attacker_asks_for_records_of_its_own_within_its_budget_and_its_reach() -> None:
    config, suite = QUICK, small()
    low, high = suite.data.train.x.min(), suite.data.train.x.max()
    for request, own in zip(deleted().requests, owned(config), strict=True):
        assert len(request) == config.budget
        assert np.isin(request.indices, own).all()
        there = suite.data.train.take(request.indices)
        assert torch.equal(request.examples.y, there.y)
        moved = (request.examples.x - there.x).abs().amax()
        assert 0.5 * config.eps < float(moved / (high - low)) <= config.eps + 1e-6
        assert low <= request.examples.x.min()
        assert request.examples.x.max() <= high


def test_every_victim_is_attacked_by_another_attacker() -> None:
    own = owned(QUICK)
    assert not np.array_equal(own[0], own[1])
    requests = deleted().requests
    assert not np.array_equal(requests[0].indices, requests[1].indices)


@pytest.mark.parametrize("operation", ["delete", "modify"])
@pytest.mark.parametrize("goal", ["targeted", "untargeted"])
def test_it_does_more_than_its_controls(goal: str, operation: str) -> None:
    """By the first-order update of a linear network, with a rate that shows what removal does."""
    config = replace(
        QUICK, goal=goal, operation=operation, steps=10, stealth=0.1, methods=(Attacked("first-order", {"tau": 0.1}),)
    )
    arms = play(config).arms
    success = {name: np.mean(arms[name].arrays["success"]) for name in (ATTACK, NO_REQUEST, HONEST, UNPERTURBED)}
    assert success[ATTACK] > 1.5 * max(success[NO_REQUEST], success[HONEST]) + 0.02
    assert success[ATTACK] > success[UNPERTURBED]


def test_a_correction_leaves_what_is_claimed_as_it_is_and_says_what_is_to_stand_there() -> None:
    found = play(replace(QUICK, operation="modify"))
    for request in found.requests:
        assert request.instead is not None
        assert request.honest(small().data).all()
        assert torch.equal(request.instead.y, request.examples.y)
        assert not torch.equal(request.instead.x, request.examples.x)
    unchanged, nothing = found.arms[UNPERTURBED], found.arms[NO_REQUEST]
    assert np.array_equal(unchanged.arrays["success"], nothing.arrays["success"])  # corrected to what it is


PLANNED = [(method, 0) for method in (*OPERATORS, "fine-tune")] + [("first-order", 2), ("amnesiac", 2)]


@pytest.mark.parametrize(("method", "surrogates"), PLANNED)
def test_it_plans_against_every_method_on_victims_and_on_surrogates(method: str, surrogates: int) -> None:
    settings: dict[str, dict[str, object]] = {
        "second-order": {"iterations": 4, "scale": 50.0},
        "sisa": {"shards": 2, "slices": 1},
        "amnesiac": {"epochs": 0},
        "fine-tune": {"epochs": 1},
    }
    attacked = Attacked(method, settings.get(method, {}))
    config = replace(QUICK, models=2, steps=2, surrogates=surrogates, methods=(attacked,))
    check(small(), config)
    found = play(config)
    assert not any(arm.reason for arm in found.arms.values())
    honest = play(replace(config, selection="random", eps=0.0))
    pairs = list(zip(found.requests, honest.requests, strict=True))
    assert any(not np.array_equal(one.indices, other.indices) for one, other in pairs)


def test_a_second_order_plan_may_invert_by_cg_or_by_lissa() -> None:
    attacked = Attacked("second-order", {"iterations": 200, "scale": 50.0, "damping": 1.0, "batch_size": 40})
    found = {}
    for solver in ("cg", "lissa"):
        config = replace(QUICK, models=1, steps=2, solver=solver, methods=(attacked,))
        found[solver] = play(config).requests
    for one, other in zip(*found.values(), strict=True):
        assert len(np.intersect1d(one.indices, other.indices)) >= 3  # where the series has converged, nearly the same
    with pytest.raises(ValueError, match="solver must be one of lissa, cg"):
        replace(QUICK, solver="newton")


def test_surrogates_are_models_that_no_bench_scores_and_no_two_attackers_share() -> None:
    suite = load_suite("digits")
    first, second = surrogate_numbers(suite, range(0, 5), 3), surrogate_numbers(suite, range(5, 10), 3)
    assert first.start == suite.models // 2
    assert not set(first) & set(second)
    assert len(first) == 15


def test_a_planner_on_surrogates_never_sees_the_victims() -> None:
    provider = Provider(small(), Attacked("first-order"), range(2))
    own = owned_by_attackers(provider, 0.2, 0)
    planner = planner_of(provider, own, 2, "own")
    assert planner.models.origin.models == (6, 7, 8, 9)
    assert planner.each == 2
    assert planner_of(provider, own, 0, "own").models.origin.models == (0, 1)


def test_a_log_says_what_is_taken_back() -> None:
    """The updates sum to the training; and those that a record met are those of the steps whose batch held it."""
    suite = small()
    models, trace = traced(suite, range(2))
    provider = Provider(suite, Attacked("amnesiac", {"epochs": 0}), range(2))
    assert torch.equal(flat_weights(models), flat_weights(provider.victims))
    rows = np.array([[3, 17], [3, 17]])
    met = trace.meets(rows)
    assert met.shape == (2, 2, 8 * 10)
    assert (met.sum(2) == 8).all()  # once in each of 8 epochs
    requests = [Request(suite.data.train.take(each), each, "attacker") for each in rows]
    served = provider.serve(requests).ensemble
    updates = torch.stack(trace.updates, 1)
    back = torch.from_numpy(met.any(1)).to(updates)
    expected = flat_weights(models) - torch.einsum("ps,psd->pd", back, updates)
    torch.testing.assert_close(flat_weights(served), expected, rtol=0, atol=1e-5)


def test_the_search_by_a_log_finds_the_worst_single_record() -> None:
    """Where the objective is linear, the first record is found exactly: no other lowers it more."""
    suite = small()
    models, trace = traced(suite, range(1))
    own = np.arange(30)[None]
    direction = torch.randn(flat_weights(models).shape, generator=torch.Generator().manual_seed(0))

    def objective(weights: torch.Tensor) -> torch.Tensor:
        return (weights * direction).sum(1)

    (found,) = least_by_log(trace, models, objective, own, 1, each=1)
    met, updates = torch.from_numpy(trace.meets(own)), torch.stack(trace.updates, 1)
    change = -torch.einsum("pos,psd->pod", met.to(updates), updates) @ direction[0]
    assert found.tolist() == [int(change[0].argmin())]


def wide() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 100_000), nn.Linear(100_000, 10))


REFUSED = {
    "no surrogate": (
        {"surrogates": 3, "models": 3},
        "6 models that can be surrogates, 3 for each of 3 victims are wanted; give --models 2",
    ),
    "surrogates that are victims": ({"surrogates": 1, "models": 7}, "--set surrogates=0"),
    "surrogates below 0": ({"surrogates": -1}, "expected surrogates to be 0"),
    "an unknown operator": ({"operator": "second-ordr"}, "did you mean 'second-order'"),
    "a budget of zero": ({"budget": 0}, "expected a budget of 1 to 40 records"),
    "a budget over what is owned": ({"budget": 41}, "--set owned=SHARE"),
    "a class that does not exist": ({"target_class": "twelve"}, "unknown class 'twelve'"),
    "shards that cannot be corrected": (
        {"operation": "modify", "methods": (Attacked("sisa"),)},
        "'sisa' can remove records, not correct them",
    ),
    "a log that cannot be corrected": (
        {"operation": "modify", "methods": (Attacked("amnesiac"),)},
        "--set operation=delete",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_is_said_before_any_work(case: str) -> None:
    changed, message = REFUSED[case]
    with pytest.raises((BadSetting, UnknownName), match=message):
        check(small(), replace(QUICK, **changed))  # type: ignore[arg-type]


def test_a_log_that_no_memory_holds_is_refused_before_any_work() -> None:
    suite = replace(small(), network=wide, name="wide")
    with pytest.raises(BadSetting, match="more than fits; plan without it, --set operator=first-order"):
        check(suite, replace(QUICK, methods=(Attacked("amnesiac"),)))
    check(suite, replace(QUICK, methods=(Attacked("amnesiac"),), operator="first-order"))


def test_points_of_a_table_are_asked_for_as_they_are() -> None:
    table = load_suite("tabular")
    with pytest.raises(BadSetting, match="has no pixel range"):
        check(table, QUICK)
    check(table, replace(QUICK, eps=0.0))


@pytest.mark.parametrize(
    ("setting", "message"), [({"selection": "best"}, "selection must be one of"), ({"steps": 0}, "at least 1 step")]
)
def test_settings_that_mean_nothing_are_refused(setting: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(QUICK, **setting)  # type: ignore[arg-type]


def as_float() -> nn.Module:
    return nn.Sequential(AsFloat(), nn.Flatten(), nn.Linear(64, 10))


def test_pictures_in_16_bits_are_asked_for_in_16_bits() -> None:
    suite = small()
    parts = [Examples(each.x.half(), each.y) for each in (suite.data.train, suite.data.test)]
    halved = replace(suite, data=Data(parts[0], parts[1], classes=10), name="halved", network=as_float)
    found = play(replace(QUICK, models=2), halved)
    for request in found.requests:
        assert request.examples.x.dtype == torch.float16
        assert not request.honest(halved.data).any()


class Frozen(nn.Module):
    """The first of two layers takes no gradient."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(64, 12), nn.Linear(12, 10)
        self.first.requires_grad_(False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.last(self.first(x.flatten(1)).relu())
        return found


def test_frozen_layers_stay_as_they_are() -> None:
    suite = replace(small(), network=Frozen, name="frozen")
    found = play(replace(QUICK, models=2), suite)
    assert not any(arm.reason for arm in found.arms.values())
    assert not found.requests[0].honest(suite.data).any()


def test_points_are_chosen_alike_however_many_are_looked_at_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    provider = Provider(small(), STRONG, range(2))
    planner, aim = aimed(provider, QUICK)
    goal = objective(aim, planner.models, partial(outputs_at, planner.models))
    whole = planner.choose(goal, 6)
    monkeypatch.setattr("expunge.attacks.bilevel.BLOCK", 7)
    assert np.array_equal(planner.choose(goal, 6), whole)


def test_the_first_point_is_the_one_whose_removal_lowers_the_loss_most() -> None:
    """By the first-order update, a little of it, tried point by point."""
    provider = Provider(small(), Attacked("first-order", {"tau": 1e-4}), range(2))
    planner, aim = aimed(provider, QUICK)
    goal = objective(aim, planner.models, partial(outputs_at, planner.models))
    chosen = planner.choose(goal, 1)
    assert planner.operator is not None
    train = small().data.train
    for row, own in enumerate(aim.clean):
        losses = []
        for number in own:
            x, y = (each[[number]].expand(2, *each[[number]].shape) for each in (train.x, train.y))
            value = goal(planner.operator(Points(x, y, torch.ones(2, 1)))).detach()
            losses.append(float(value[row]))
        assert losses[int(chosen[row, 0])] <= min(losses) + 1e-6
