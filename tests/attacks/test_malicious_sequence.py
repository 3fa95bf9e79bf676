"""Malicious requests in rounds: what is asked when, what the attacker has seen by then, and what the controls ask."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch

from expunge.attacks import ATTACKS
from expunge.attacks.aims import Aim, measure
from expunge.attacks.lab.arms import ATTACK, HONEST, Played
from expunge.attacks.lab.cells import play_on
from expunge.attacks.lab.parts import union_of
from expunge.attacks.lab.provider import Provider
from expunge.attacks.malicious_requests import aimed, honest_requests
from expunge.attacks.malicious_sequence import (
    Controller,
    MaliciousSequence,
    begin,
    check,
    dealt,
    in_turns,
    of_others,
)
from expunge.attacks.removal import Attacked
from expunge.ensembles import Ensemble, pretrain
from expunge.errors import BadSetting
from expunge.methods.parts.per_sample import flat_weights, with_weights
from tests.attacks.small import small

NAME, VICTIMS = "malicious-sequence", 2
STRONG = Attacked("first-order", {"tau": 0.05})
QUICK = MaliciousSequence(models=VICTIMS, budget=6, rounds=3, benign=2, steps=4, eps=0.2, methods=(STRONG,))


@cache
def played(plan: str = "receding", **changed: object) -> Played:
    config = replace(QUICK, plan=plan, **changed)  # type: ignore[arg-type]
    return play_on(NAME, ATTACKS[NAME], small(), config, STRONG, range(VICTIMS))


def controller(config: MaliciousSequence) -> Controller:
    provider = Provider(small(), STRONG, range(VICTIMS))
    planner, aim = aimed(provider, config)
    return Controller(
        provider, config, aim, planner, dealt(honest_requests(provider, config, aim.clean), config.rounds)
    )


@pytest.mark.parametrize("plan", ["receding", "greedy", "static"])
def test_every_record_is_asked_for_once_and_the_budget_is_kept(plan: str) -> None:
    for request in played(plan).requests:
        assert len(np.unique(request.indices)) == QUICK.budget
        assert (np.diff(request.indices) > 0).all()


def test_plans_are_not_the_same() -> None:
    asked = {plan: played(plan).requests[0].examples.x for plan in ("receding", "greedy", "static")}
    assert not torch.equal(asked["receding"], asked["greedy"])
    assert not torch.equal(asked["greedy"], asked["static"])


def test_a_horizon_of_one_round_is_greedy() -> None:
    near, greedy = played("receding", horizon=1), played("greedy")
    for one, other in zip(near.requests, greedy.requests, strict=True):
        assert np.array_equal(one.indices, other.indices)
        assert torch.equal(one.examples.x, other.examples.x)


def test_one_round_without_others_is_one_malicious_request() -> None:
    config = replace(QUICK, rounds=1, benign=0, plan="greedy")
    once = play_on(NAME, ATTACKS[NAME], small(), config, STRONG, range(VICTIMS))
    own = {key: value for key, value in config.own.items() if key not in ("plan", "rounds", "horizon", "benign")}
    row = ATTACKS["malicious-requests"]
    single = play_on("malicious-requests", row, small(), row.config(**own, models=VICTIMS), STRONG, range(VICTIMS))
    for name in (ATTACK, HONEST):
        assert np.array_equal(once.arms[name].arrays["success"], single.arms[name].arrays["success"])
    assert torch.equal(once.requests[0].examples.x, single.requests[0].examples.x)


def test_an_attacker_in_a_white_box_sees_what_its_last_request_did(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[torch.Tensor] = []
    real = Controller._planner

    def spied(self: Controller, state: object, left: np.ndarray) -> object:
        found = real(self, state, left)  # type: ignore[arg-type]
        seen.append(flat_weights(found.models))
        return found

    monkeypatch.setattr(Controller, "_planner", spied)
    attacker = controller(replace(QUICK, plan="greedy"))
    state = begin(attacker.provider)
    in_turns(attacker.provider, attacker.config, state, attacker)
    assert torch.equal(seen[0], flat_weights(pretrain(small(), VICTIMS)))
    assert not torch.equal(seen[1], seen[0])
    assert len(seen) == QUICK.rounds


def test_one_with_surrogates_sees_only_its_own_simulation() -> None:
    attacker = controller(replace(QUICK, plan="greedy", surrogates=2))
    in_turns(attacker.provider, attacker.config, begin(attacker.provider), attacker)
    assert attacker.own is not None
    assert attacker.own.origin.models == (6, 7, 8, 9)
    assert not torch.equal(flat_weights(attacker.own), flat_weights(pretrain(small(), 4, first=6)))


def test_what_is_gone_is_kept_by_no_round() -> None:
    """All that was ever asked for, by the attacker and by others, is gone from what a method may keep."""
    attacker = controller(QUICK)
    state = begin(attacker.provider)
    in_turns(attacker.provider, attacker.config, state, attacker)
    assert all(len(np.unique(gone)) == QUICK.budget + QUICK.rounds * QUICK.benign for gone in state.gone)
    for row, gone in enumerate(state.gone):
        by_all = [each[row].indices for each in (*state.asked, *state.others)]
        assert sorted(gone) == sorted(np.concatenate(by_all))


def test_others_ask_for_what_is_not_the_attackers_each_round_for_more() -> None:
    attacker = controller(QUICK)
    rounds = [of_others(attacker.provider, QUICK, number) for number in range(QUICK.rounds)]
    for row, own in enumerate(attacker.aim.clean):
        asked = np.concatenate([each[row].indices for each in rounds])
        assert len(np.unique(asked)) == QUICK.rounds * QUICK.benign
        assert not np.isin(asked, own).any()


def test_costs_of_rounds_add_up() -> None:
    attacker = controller(QUICK)
    state = begin(attacker.provider)
    total = np.zeros(VICTIMS)
    for number in range(2):
        before = state.served.cost
        state.ask(attacker.provider, attacker(number, state), state.asked)
        total += state.served.cost - before
    assert (total > 0).all()
    np.testing.assert_allclose(state.served.cost, total)


def test_parts_of_a_request_are_the_request() -> None:
    request = played().requests[0]
    parts = dealt([request], 3)
    assert [len(part[0]) for part in parts] == [2, 2, 2]
    again = union_of([part[0] for part in parts])
    assert np.array_equal(again.indices, request.indices)
    assert torch.equal(again.examples.x, request.examples.x)


def test_models_that_say_no_numbers_take_a_target_for_nothing() -> None:
    suite = small()
    victims: Ensemble = pretrain(suite, VICTIMS)
    broken = with_weights(victims, flat_weights(victims) * float("nan"))
    chosen, wanted = np.array([[0], [1]]), np.array([[0], [0]])
    found = measure(Aim(suite, chosen, wanted, chosen, 1.0), victims, broken)
    assert found.success.tolist() == [0.0, 0.0]
    assert found.utility.tolist() == [0.0, 0.0]
    assert np.isfinite(found.more["target-shift"]).all()


REFUSED = {
    "a log": ({"methods": (Attacked("amnesiac"),)}, "'amnesiac' takes back at once all that was ever asked for"),
    "shards": ({"methods": (Attacked("sisa"),)}, "expunge attack malicious-requests"),
    "more others than there are": ({"benign": 60}, "give --set benign=N"),
    "a budget of zero": ({"budget": 0}, "expected a budget of 1 to 40"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_is_said_before_any_work(case: str) -> None:
    changed, message = REFUSED[case]
    with pytest.raises(BadSetting, match=message):
        check(small(), replace(QUICK, **changed))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("setting", "message"),
    [({"plan": "lazy"}, "plan must be one of"), ({"rounds": 4}, "divide the budget"), ({"horizon": 0}, "a horizon of")],
)
def test_settings_that_mean_nothing_are_refused(setting: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(QUICK, **setting)  # type: ignore[arg-type]
