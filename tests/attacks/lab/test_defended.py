"""Defences against an attack that was played: whom they catch, at what price, and what is left of the attack."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from numpy import ndarray

from expunge.attacks import ATTACKS
from expunge.attacks.defence import Defence, Scene
from expunge.attacks.defences import DEFENCES
from expunge.attacks.lab.arms import ATTACK, NO_REQUEST, Arm, Played
from expunge.attacks.lab.cells import play_on
from expunge.attacks.lab.defended import defend, defended_of, honest_others
from expunge.attacks.lab.frame import run_attack
from expunge.attacks.lab.parts import each_record, rest
from expunge.attacks.lab.provider import Provider
from expunge.attacks.malicious_requests import MaliciousRequests, partly
from expunge.attacks.removal import Attacked
from expunge.reports.attacks import read_findings, render_attack
from expunge.suites.request import Request
from tests.attacks.small import small

pytestmark = pytest.mark.usefixtures("common_store")

VICTIMS, HONEST = 3, 200
STRONG = Attacked("first-order", {"tau": 0.1})
CONFIG = MaliciousRequests(models=VICTIMS, budget=4, steps=4, eps=0.2, methods=(STRONG,))


@cache
def played() -> Played:
    return play_on("malicious-requests", ATTACKS["malicious-requests"], small(), CONFIG, STRONG, range(VICTIMS))


@cache
def provider() -> Provider:
    return Provider(small(), STRONG, range(VICTIMS))


def by(look: Callable[[Request], float], *, filters: bool = False) -> Defence:
    def requests(scene: Scene) -> ndarray:
        row = np.array([look(request) for request in scene.requests])
        return np.tile(row, (len(scene.victims), 1))

    return Defence(summary="", when="request", price="", source="", requests=requests, filters=filters)


def attackers(request: Request) -> float:
    return float(request.owner == "attacker")


def honest() -> list[Request]:
    return honest_others(small(), CONFIG.budget, HONEST, 0)


def left(requests: Sequence[Request | None]) -> Arm:
    return partly(provider(), CONFIG, requests)


def test_one_that_knows_leaves_nothing_and_suspects_nobody_else() -> None:
    found = defend(by(attackers), provider(), played(), honest(), None)
    assert found.caught is not None
    assert found.caught.tolist() == [1.0] * VICTIMS
    assert found.alarms is not None
    assert found.alarms.sum() == 0
    for name in ("success", "utility"):
        assert np.array_equal(found.arrays[name], played().arms[NO_REQUEST].arrays[name])


@pytest.mark.parametrize("says", [0.0, 1.0, np.inf])
def test_one_that_says_the_same_of_all_as_one_that_rejects_all_is_useless(says: float) -> None:
    found = defend(by(lambda request: says), provider(), played(), honest(), None)
    assert found.detected is not None
    assert found.detected.auroc.value == 0.5
    assert found.arrays["caught"].tolist() == [0.0] * VICTIMS
    assert np.array_equal(found.arrays["success"], played().arms[ATTACK].arrays["success"])


def test_one_that_guesses_suspects_one_honest_request_in_a_hundred() -> None:
    rng = np.random.default_rng(0)
    found = defend(by(lambda request: rng.random()), provider(), played(), honest(), None)
    assert found.detected is not None
    assert found.arrays["alarms"].shape == (VICTIMS, HONEST // 2)
    assert found.arrays["alarms"].mean() <= 0.06


def test_one_that_filters_lets_the_rest_of_a_request_through() -> None:
    """It suspects two of four records of the attacker's: what is left is what those two would do alone."""
    second = {int(number) for request in played().requests for number in request.indices[:2]}

    def look(request: Request) -> float:
        return float(np.mean([attackers(request) * (int(number) in second) for number in request.indices]))

    found = defend(by(look, filters=True), provider(), played(), honest(), left)
    share = np.mean([[int(number) in second for number in request.indices] for request in played().requests], axis=1)
    assert np.array_equal(found.arrays["caught"], share)
    alone = [rest(each, np.array([int(number) not in second for number in each.indices])) for each in played().requests]
    expected = left(alone)
    assert np.array_equal(found.arrays["success"], expected.arrays["success"])
    assert np.array_equal(found.arrays["utility"], expected.arrays["utility"])


def test_nothing_left_of_a_request_is_no_request() -> None:
    nothing = left([None] * VICTIMS)
    assert np.array_equal(nothing.arrays["success"], played().arms[NO_REQUEST].arrays["success"])
    assert nothing.arrays["cost"].sum() == 0


def test_a_request_is_its_records() -> None:
    request = played().requests[0]
    parts = each_record(request)
    assert [int(part.indices[0]) for part in parts] == request.indices.tolist()
    assert rest(request, np.zeros(4, bool)) is None


def test_what_is_kept_is_what_was_found() -> None:
    found = defend(DEFENCES["membership"], provider(), played(), honest(), None)
    again = defended_of(found.arrays)
    assert again.detected == found.detected
    assert {key: value.tolist() for key, value in again.arrays.items()} == {
        key: value.tolist() for key, value in found.arrays.items()
    }


def test_an_attack_that_failed_is_defended_by_saying_why() -> None:
    failed = replace(played(), arms={**played().arms, ATTACK: Arm(reason="diverged")})
    assert defend(DEFENCES["membership"], provider(), failed, honest(), None).reason == "diverged"


def test_the_run_asks_every_defence_and_tells_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = replace(CONFIG, defences=("membership", "class-gradients", "isolated-medoids", "update-norm"))
    row = ATTACKS["malicious-requests"]
    scores = run_attack("malicious-requests", row, small(), config, tmp_path)
    (victims,) = read_findings(scores).victims
    guards = {guard.name: guard for guard in victims.guards}
    assert list(guards) == list(config.defences)
    membership = guards["membership"]
    assert membership.auroc is not None
    assert membership.auroc.value == 1.0  # bytes were changed
    assert membership.alarms is not None
    assert membership.alarms.value == 0.0
    assert any("success\\nleft" in str(getattr(part, "columns", "")) for part in render_attack(scores))

    def never(*_: object, **__: object) -> None:
        raise AssertionError("it was asked before")

    monkeypatch.setattr("expunge.attacks.lab.defended.suspicions", never)
    assert run_attack("malicious-requests", row, small(), config, tmp_path) == scores
