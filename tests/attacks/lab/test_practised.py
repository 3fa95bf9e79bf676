"""Defences that suspect nobody: the attack is played anew by one who knows them; where they apply, what they cost."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from expunge.attacks import ATTACKS, DEFENCES
from expunge.attacks.defence import Defence
from expunge.attacks.defences.postponement import others
from expunge.attacks.lab.arms import ARMS, ATTACK, HONEST, NO_REQUEST, ORACLE, UNDER_DEFENCE, Played
from expunge.attacks.lab.cells import play_on
from expunge.attacks.lab.defended import Defended
from expunge.attacks.lab.frame import run_attack
from expunge.attacks.lab.practised import brier, practised, why_not
from expunge.attacks.lab.provider import Provider, correct_on_test
from expunge.attacks.lab.settings import Lab, configured
from expunge.attacks.lab.worlds import chunks
from expunge.attacks.planted import Garden, Planting
from expunge.attacks.practice import Practice
from expunge.attacks.removal import Attacked
from expunge.attacks.suspects import answers
from expunge.errors import MethodFailed
from expunge.methods.parts.per_sample import flat_weights
from expunge.reports.attacks import read_findings, render_attack, report_attack
from expunge.suites import Suite
from tests.attacks.lab.settings import QUICK
from tests.attacks.small import small

pytestmark = pytest.mark.usefixtures("common_store")

MODELS = 3
LAB = sorted(name for name, row in ATTACKS.items() if row.play)
PRACTICES = [name for name, row in DEFENCES.items() if row.practice]
READING = [name for name in LAB if ATTACKS[name].reads == "answers"]
SERVED = ["pair-membership", "malicious-requests", "hidden-poison"]
FIRST = Attacked("first-order")


def of(practice: Practice) -> Defence:
    return Defence(summary="", when="release", price="", source="", practice=practice)


def settings(name: str) -> Lab:
    config: Lab = configured(name, ATTACKS[name].config, QUICK[name], models=MODELS)
    return config


@cache
def suite() -> Suite:
    return small()


def provider(name: str, models: range = range(MODELS), practice: Practice | None = None) -> Provider:
    found = Provider(suite(), settings(name).methods[0], models)
    return found if practice is None else replace(found, practice=practice)


@cache
def played(name: str) -> Played:
    config = settings(name)
    return play_on(name, ATTACKS[name], suite(), config, config.methods[0], range(MODELS))


def under(name: str, defence: Defence) -> Defended:
    return practised(ATTACKS[name], provider(name), settings(name), defence, played(name))


@pytest.mark.parametrize(
    "nothing", [Practice(deploys=lambda models: models), Practice(others=lambda suite, request, model: [])]
)
@pytest.mark.parametrize("name", SERVED)
def test_a_practice_that_does_nothing_leaves_the_attack_as_it_was(name: str, nothing: Practice) -> None:
    """Bit by bit; so a postponement of one request is none."""
    found, arm = under(name, of(nothing)), played(name).arms[ATTACK]
    for number in ("success", "utility", "cost"):
        assert np.array_equal(found.arrays[number], arm.arrays[number]), number
    assert np.array_equal(found.arrays["control"], played(name).arms[ATTACKS[name].success.against].arrays["success"])  # type: ignore[union-attr]


@pytest.mark.parametrize("name", READING)
def test_telling_all_there_is_leaves_the_attack_as_it_was(name: str) -> None:
    found = under(name, of(Practice(tells=lambda posteriors, models: posteriors)))
    np.testing.assert_allclose(found.arrays["success"], played(name).arms[ATTACK].arrays["success"], atol=0.02)
    assert np.array_equal(found.arrays["utility"], played(name).arms[ATTACK].arrays["utility"])
    np.testing.assert_allclose(found.arrays["brier"], found.arrays["usual_brier"])


def test_an_attack_on_labels_alone_sees_no_difference_where_labels_stay() -> None:
    for name in ("labels-alone", "temperature", "top-k"):
        found = under("label-only-pair", DEFENCES[name])
        assert np.array_equal(found.arrays["success"], played("label-only-pair").arms[ATTACK].arrays["success"]), name


def test_labels_alone_leave_losses_nothing_where_no_label_changes() -> None:
    """Of ten pairs of records, few or none are got right before and wrong after: all others are ties."""
    found = under("deletion-inference", DEFENCES["labels-alone"])
    assert (abs(found.arrays["success"] - 0.5) <= 0.1).all()


@pytest.mark.parametrize("name", READING)
def test_who_is_told_nothing_cannot_tell_the_attack_from_an_honest_request(name: str) -> None:
    """All that these attacks read goes through the one door."""
    silent = of(Practice(tells=lambda posteriors, models: torch.full_like(posteriors, 0.1)))
    found = under(name, silent)
    assert np.array_equal(found.arrays["success"], found.arrays["control"])
    if name in ("pair-membership", "deletion-inference"):  # others know labels, or are right or wrong
        assert (found.arrays["success"] == 0.5).all()


@pytest.mark.parametrize("defence", PRACTICES)
@pytest.mark.parametrize("name", LAB)
def test_applies_or_says_why_not_before_any_work(name: str, defence: str, monkeypatch: pytest.MonkeyPatch) -> None:
    reason = why_not(ATTACKS[name], DEFENCES[defence])
    if not reason:
        return
    assert reason.startswith("does not apply: ")

    def never(*_: object, **__: object) -> None:
        raise AssertionError("it does not apply")

    monkeypatch.setattr("expunge.attacks.lab.provider.run_method", never)
    found = practised(ATTACKS[name], provider("pair-membership"), settings(name), DEFENCES[defence], played(SERVED[0]))
    assert not found.applies
    assert found.reason == reason
    assert found.arrays == {}


APPLY = {
    "top-k": {"pair-membership", "label-only-pair", "deletion-inference", "adaptive-requests"},
    "weight-noise": set(LAB) - {"slow-down"},
    "postponement": set(LAB) - {"slow-down", "malicious-sequence", "adaptive-requests"},
}


@pytest.mark.parametrize("defence", APPLY)
def test_what_a_defence_applies_to(defence: str) -> None:
    assert {name for name in LAB if not why_not(ATTACKS[name], DEFENCES[defence])} == APPLY[defence]


def test_attacks_that_read_weights_say_that() -> None:
    for name in ("unlearning-inversion", "reconstruction", "relearning"):
        assert "reads weights" in why_not(ATTACKS[name], DEFENCES["labels-alone"])
    assert "each round answers" in why_not(ATTACKS["adaptive-requests"], DEFENCES["postponement"])
    assert "a removal of its own" in why_not(ATTACKS["slow-down"], DEFENCES["weight-noise"])


@pytest.mark.parametrize("name", [name for name in LAB if ATTACKS[name].served != "by itself"])
def test_under_a_practice_no_oracle_is_trained(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("the oracle knows no practice")

    monkeypatch.setattr(Provider, "retrained", never)
    other = provider(name, range(2), Practice(deploys=lambda models: models))
    row = ATTACKS[name]
    assert row.play is not None
    found = row.play(other, replace(settings(name), models=2))
    assert {arm for arm in ARMS if not found.arms[arm].reason} >= set(UNDER_DEFENCE)
    assert ORACLE not in UNDER_DEFENCE
    assert "not played" in found.arms[ORACLE].reason


def test_requests_that_are_served_together_share_the_cost_and_leave_together() -> None:
    """By hand: the batch is what a provider without a practice serves as one request."""
    (request, *_) = played("pair-membership").requests
    one = provider("pair-membership", range(1), Practice(others=others)).serve([request])
    batch, count = Practice(others=others).batch(suite(), request, 0)
    whole = provider("pair-membership", range(1)).serve([batch])
    assert count == 4
    assert flat_weights(one.ensemble).equal(flat_weights(whole.ensemble))
    assert one.cost == pytest.approx(whole.cost / 4)
    alone = provider("pair-membership", range(1)).serve([request])
    assert not flat_weights(one.ensemble).equal(flat_weights(alone.ensemble))


def test_a_garden_serves_by_the_practice_too() -> None:
    nothing = Planting(np.arange(0), suite().data.train.take(np.arange(0)))
    request = played("pair-membership").requests[0]
    practice = Practice(others=others)
    garden = Garden(provider("pair-membership", range(1), practice), [nothing])
    plain = Garden(provider("pair-membership", range(1)), [nothing])
    victims = garden.trained()
    batch, _ = practice.batch(garden.suite(0), request, 0)
    one, whole = garden.serve(victims, [request]), plain.serve(victims, [batch])
    assert flat_weights(one.ensemble).equal(flat_weights(whole.ensemble))
    assert one.cost == pytest.approx(whole.cost / 4)


def test_noise_on_weights_comes_after_a_removal_and_not_before() -> None:
    practice = DEFENCES["weight-noise"].practice
    noisy, plain = provider("pair-membership", practice=practice), provider("pair-membership")
    requests = played("pair-membership").requests
    assert flat_weights(noisy.victims).equal(flat_weights(plain.victims))
    moved, left = (each.serve(requests).ensemble for each in (noisy, plain))
    change = (flat_weights(moved) - flat_weights(left)).norm(dim=1) / flat_weights(left).norm(dim=1)
    assert ((change > 0.03) & (change < 0.07)).all()


def test_a_correction_that_cannot_be_postponed_says_so() -> None:
    config = replace(settings("malicious-requests"), operation="modify")  # type: ignore[call-arg]
    found = practised(
        ATTACKS["malicious-requests"],
        provider("malicious-requests"),
        config,
        DEFENCES["postponement"],
        played("malicious-requests"),
    )
    assert found.applies
    assert found.reason == "a correction and the removals of others cannot be served as one request"


def test_what_is_told_is_what_is_got_right() -> None:
    """A practice that tells the last class, whatever is asked, is right where that is the label."""

    def last(posteriors: torch.Tensor, models: object) -> torch.Tensor:
        found = torch.zeros_like(posteriors)
        found[..., -1] = 1
        return found

    other = provider("pair-membership", practice=Practice(tells=last))
    right = correct_on_test(other.victims, suite(), other.practice)
    wanted = suite().data.test.y.numpy() == 9
    assert (right == wanted).all()
    np.testing.assert_allclose(brier(other), 2 * (1 - wanted.mean()))
    x = suite().data.test.x[:4].expand(MODELS, 4, 1, 8, 8)
    assert (answers(other.victims, x, other.practice).argmax(-1) == 9).all()


def test_a_method_that_fails_under_a_practice_is_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(models: object) -> None:
        raise MethodFailed("diverged under noise")

    found = under("malicious-requests", of(Practice(deploys=fails)))  # type: ignore[arg-type]
    assert found.reason == "diverged under noise"
    assert found.applies


def test_victims_are_played_against_as_many_at_once_as_without_a_defence() -> None:
    assert chunks(range(12)) == [range(5), range(5, 10), range(10, 12)]


def test_the_run_writes_what_is_left_and_why_the_rest_has_no_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row, name = ATTACKS["deletion-inference"], "deletion-inference"
    config = replace(settings(name), defences=("top-k", "postponement", "membership"))
    scores = run_attack(name, row, suite(), config, tmp_path)
    (victims,) = read_findings(scores).victims
    top, postponed, membership = victims.guards
    assert top.success is not None
    assert top.excess is not None
    assert top.brier is not None
    assert top.caught is None
    assert postponed.cost is not None
    assert membership.auroc is not None
    assert "Brier" in report_attack(tmp_path).read_text()

    def never(*_: object, **__: object) -> None:
        raise AssertionError("it was played before")

    monkeypatch.setattr("expunge.attacks.lab.practised.joined", never)
    assert run_attack(name, row, suite(), config, tmp_path / "again") == scores


def test_one_that_does_not_apply_is_in_every_table_and_no_failure(tmp_path: Path) -> None:
    name = "unlearning-inversion"
    config = replace(settings(name), defences=("labels-alone", "temperature"), honest=0)
    scores = run_attack(name, ATTACKS[name], suite(), config, tmp_path)
    assert {score.status for score in scores} == {"ok"}
    (victims,) = read_findings(scores).victims
    assert [guard.applies for guard in victims.guards] == [False, False]
    page = report_attack(tmp_path).read_text()
    assert "does not apply" in page
    assert "the attack reads weights" in page
    (table,) = [part for part in render_attack(scores) if "defences" in str(getattr(part, "title", ""))]
    assert "labels-alone, temperature: does not apply" in str(table.caption)  # type: ignore[union-attr]


def test_the_arms_of_a_practice_are_those_that_a_defence_is_judged_by() -> None:
    assert set(UNDER_DEFENCE) == {ATTACK, HONEST, NO_REQUEST}
