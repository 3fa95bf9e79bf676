"""What a defence is shown: what was planted, each victim's own stream of requests, and what a trial costs."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy import ndarray

from expunge.attacks import ATTACKS, DEFENCES
from expunge.attacks.defence import Defence, Scene
from expunge.attacks.lab.arms import ATTACK, HONEST, NO_REQUEST, Arm, Played, completed
from expunge.attacks.lab.cells import play_on
from expunge.attacks.lab.defended import Defended, defend, honest_others
from expunge.attacks.lab.frame import run_attack
from expunge.attacks.lab.provider import Provider, as_they_lie
from expunge.attacks.lab.settings import Lab, configured
from expunge.attacks.lab.worlds import GATE, judged_apart, shared_world, suspicions, worlds_of
from expunge.attacks.planted import Garden, Planting
from expunge.attacks.removal import Attacked
from expunge.methods.parts.per_sample import flat_weights
from expunge.reports.attacks import read_findings
from expunge.suites import Examples, Request, Suite
from tests.attacks.lab.settings import QUICK
from tests.attacks.small import small

pytestmark = pytest.mark.usefixtures("common_store")

VICTIMS, COUNT = 3, 200
PLANTING = ["hidden-poison", "backdoor-by-unlearning", "slow-down"]


@cache
def suite() -> Suite:
    return small()


@cache
def provider() -> Provider:
    return Provider(suite(), Attacked("first-order"), range(VICTIMS))


def garden() -> Garden:
    """Of each victim two records in other places hold other values, which no record of the suite has."""
    found = []
    for row in range(VICTIMS):
        places = np.array([10 * row, 10 * row + 3])
        lying = suite().data.train.take(places)
        found.append(Planting(places, Examples(torch.full_like(lying.x, 100.0 + row), lying.y)))
    return Garden(provider(), found)


def asked(grown: Garden) -> list[Request]:
    return [each.request(suite(), each.places, "attacker") for each in grown.plantings]


def played(requests: list[Request], turns: ndarray | None = None) -> Played:
    """Arms in which the attack does all, and nothing else anything."""
    each = np.ones(VICTIMS)
    arms = {name: Arm(success * each, 0.9 * each, 0.2 * each, each) for name, success in ((ATTACK, 1.0), (HONEST, 0.0))}
    arms[NO_REQUEST] = replace(arms[HONEST], cost=np.zeros(VICTIMS))
    return Played(completed(arms), requests, np.zeros(VICTIMS), turns)


def judged(defence: str, grown: Garden | None, requests: list[Request], turns: ndarray | None = None) -> Defended:
    honest = honest_others(suite(), len(requests[0]), COUNT, 0)
    return defend(DEFENCES[defence], provider(), played(requests, turns), honest, None, garden=grown)


def test_a_planted_record_is_what_the_defence_sees() -> None:
    """Each victim's own, in its place, and in no other victim's world."""
    seen: list[tuple[list[int], list[float], int]] = []

    def requests(scene: Scene) -> ndarray:
        values = scene.suite.data.train.x.flatten(1).mean(1)
        odd = torch.nonzero(values >= 100).flatten()
        first = scene.requests[0] if scene.requests[0].owner == "attacker" else None
        seen.append((odd.tolist(), values[odd].unique().tolist(), len(scene.victims)))
        if first is not None:
            assert first.honest(scene.suite.data).all()
        return np.zeros((1, len(scene.requests)))

    defence = Defence(summary="", when="request", price="", source="", requests=requests)
    grown = garden()
    defend(defence, provider(), played(asked(grown)), honest_others(suite(), 2, COUNT, 0), None, garden=grown)
    worlds = [([0, 3], [100.0], 1), ([10, 13], [101.0], 1), ([20, 23], [102.0], 1)]
    assert seen == [world for world in worlds for _ in range(2)]  # honest requests of the threshold, then the others


def test_what_was_planted_is_a_member_and_an_outlier() -> None:
    grown = garden()
    membership, pixels = (judged(name, grown, asked(grown)) for name in ("membership", "pixel-range"))
    assert membership.arrays["caught"].tolist() == [0.0] * VICTIMS
    assert pixels.arrays["caught"].tolist() == [1.0] * VICTIMS
    assert pixels.arrays["success"].tolist() == [0.0] * VICTIMS
    for found in (membership, pixels):
        assert found.arrays["alarms"].sum() == 0


def test_without_the_garden_what_was_planted_looks_foreign() -> None:
    """Why each victim's own world has to be shown."""
    assert judged("membership", None, asked(garden())).arrays["caught"].tolist() == [1.0] * VICTIMS


def test_honest_owners_have_nothing_of_what_was_planted() -> None:
    def requests(scene: Scene) -> ndarray:
        return np.array([[float(each.examples.x.max() >= 100) for each in scene.requests]])

    defence = Defence(summary="", when="request", price="", source="", requests=requests)
    grown = garden()
    found = judged_apart(defence, provider(), [[each] for each in asked(grown)], COUNT, grown)
    assert found.own.tolist() == [[1.0]] * VICTIMS
    assert found.calibration.sum() + found.fresh.sum() == 0


def test_models_of_a_planted_world_trained_on_what_was_planted() -> None:
    grown = garden()
    trained = grown.trained()
    for row, world in enumerate(worlds_of(provider(), grown)):
        assert flat_weights(world.models).equal(flat_weights(trained.take([row])))
        assert world.suite.data.train.x[10 * row].mean() == 100 + row


@pytest.mark.parametrize("attack", PLANTING)
def test_defences_have_numbers_for_what_plants_records(attack: str, tmp_path: Path) -> None:
    row = ATTACKS[attack]
    looking = ("membership", "spectral-signatures", "class-gradients", "total-update-budget")
    config: Lab = configured(attack, row.config, QUICK[attack], models=2, defences=looking)
    scores = run_attack(attack, row, suite(), config, tmp_path)
    assert {score.status for score in scores} == {"ok"}
    (victims,) = read_findings(scores).victims
    guards = {guard.name: guard for guard in victims.guards}
    assert list(guards) == list(looking)
    assert guards["membership"].caught is not None
    assert guards["membership"].caught.value == 0.0  # it is in the training data


def turned(parts: list[list[int]]) -> tuple[list[Request], ndarray]:
    """The same requests of every victim, in several rounds."""
    rows = np.concatenate(parts)
    request = as_they_lie(suite(), rows, "attacker")
    numbers = {index: turn for turn, part in enumerate(parts) for index in part}
    return [request] * VICTIMS, np.array([[numbers[int(index)] for index in request.indices]] * VICTIMS)


def test_what_the_attackers_of_other_victims_ask_for_is_not_added_up() -> None:
    """An owner who asks for as much as the honest is as any of them, though each victim has such an attacker."""
    found = judged("owner-cap", None, turned([[1, 2, 3]])[0])
    assert found.detected is not None
    assert found.detected.auroc.value == 0.5
    assert found.arrays["caught"].sum() == 0


def test_an_owners_rounds_are_added_up() -> None:
    """Two rounds of six records, where the honest ask once for as many as both: the sum is theirs, and not more."""
    requests, turns = turned([[1, 2, 3], [4, 5, 6]])
    defence = replace(DEFENCES["owner-cap"])
    streams: list[list[float]] = []

    def look(scene: Scene) -> ndarray:
        found = DEFENCES["owner-cap"].suspicion(scene)
        own = [each.owner == "attacker" for each in scene.requests]
        streams.append((found[0, own] * 200).round(6).tolist())
        return found

    defend(
        replace(defence, requests=look), provider(), played(requests, turns), honest_others(suite(), 6, COUNT, 0), None
    )
    assert streams == [[], [3.0, 6.0]] * VICTIMS


def test_an_attacker_who_uses_up_the_total_budget_shuts_out_honest_owners() -> None:
    """The attacker's request weighs as much as all honest ones together: what comes after it is held back."""

    def requests(scene: Scene) -> ndarray:
        return np.cumsum([[1000.0 if each.owner == "attacker" else 1.0 for each in scene.requests]], axis=1)

    defence = replace(DEFENCES["total-update-budget"], requests=requests)
    honest = honest_others(suite(), 3, COUNT, 0)
    found = defend(defence, provider(), played(turned([[1, 2, 3]])[0]), honest, None)
    assert found.arrays["caught"].tolist() == [1.0] * VICTIMS
    alarms = found.arrays["alarms"]
    assert alarms.shape == (VICTIMS, COUNT // 2)
    for own in alarms:  # all that come after it, and none before
        assert own.any()
        assert (np.diff(own) >= 0).all()


def test_a_round_that_is_caught_first_stops_the_attack_and_a_later_one_does_not() -> None:
    def caught(turn: int) -> Defended:
        def requests(scene: Scene) -> ndarray:
            own = np.cumsum([each.owner == "attacker" for each in scene.requests])
            bad = [each.owner == "attacker" and number > turn for each, number in zip(scene.requests, own, strict=True)]
            return np.array([bad], dtype=float)

        defence = replace(DEFENCES["owner-cap"], requests=requests)
        parts, turns = turned([[1, 2], [4, 5]])
        return defend(defence, provider(), played(parts, turns), honest_others(suite(), 4, COUNT, 0), None)

    first, second = caught(0), caught(1)
    assert first.arrays["caught"].tolist() == [1.0] * VICTIMS
    assert first.arrays["success"].tolist() == [0.0] * VICTIMS
    assert first.arrays["cost"].tolist() == [0.0] * VICTIMS
    assert second.arrays["caught"].tolist() == [0.5] * VICTIMS
    assert second.arrays["success"].tolist() == [1.0] * VICTIMS


def test_a_removal_that_is_tried_and_rolled_back_is_paid_for_and_leaves_the_models_bit_by_bit() -> None:
    requests = turned([[1, 2, 3]])[0]
    before = {key: value.clone() for key, value in provider().victims.state().items()}

    def looks(scene: Scene) -> ndarray:  # the gate, turned so that the attacker's request is the worst
        drops = DEFENCES["validation-gate"].suspicion(scene)
        drops[:, [each.owner == "attacker" for each in scene.requests]] = 2.0
        return drops

    gate = replace(DEFENCES["validation-gate"], requests=looks)
    found = defend(gate, provider(), played(requests), honest_others(suite(), 3, COUNT, 0), None)
    tried = Provider(suite(), GATE, range(VICTIMS)).serve_all(requests[0])
    assert found.arrays["caught"].tolist() == [1.0] * VICTIMS
    np.testing.assert_allclose(found.arrays["cost"], tried.cost)  # the removal itself is not made
    assert (tried.cost > 0).all()
    assert found.seconds is not None
    assert found.seconds > 0
    assert all(value.equal(before[key]) for key, value in provider().victims.state().items())
    assert found.arrays["utility"].tolist() == [0.9] * VICTIMS


def test_what_is_let_through_costs_the_removal_and_the_trial() -> None:
    requests = turned([[1, 2, 3]])[0]
    found = judged("validation-gate", None, requests)
    tried = Provider(suite(), GATE, range(VICTIMS)).serve_all(requests[0])
    let = found.arrays["caught"] == 0
    np.testing.assert_allclose(found.arrays["cost"][let], (0.2 + tried.cost)[let])
    assert let.any()


def test_a_defence_that_tries_nothing_costs_nothing_beside() -> None:
    looked = suspicions(DEFENCES["owner-cap"], shared_world(provider()), honest_others(suite(), 3, 5, 0))
    assert looked.cost.tolist() == [0.0] * VICTIMS


def test_the_rounds_of_a_sequence_are_kept_with_it() -> None:
    name = "malicious-sequence"
    config: Lab = configured(name, ATTACKS[name].config, QUICK[name], models=2)
    once, again = (play_on(name, ATTACKS[name], suite(), config, config.methods[0], range(2)) for _ in range(2))
    assert once.turns is not None
    assert again.turns is not None
    assert np.array_equal(once.turns, again.turns)
    assert [np.bincount(each).tolist() for each in once.turns] == [[2, 2], [2, 2]]
