"""The word of a certificate: what is false, unsound or empty is said, and no finite epsilon stands beside it."""

import math
from dataclasses import replace

import pytest

from expunge.certificates.certificate import DROWNED, issue
from expunge.certificates.theorems.theorem import THEOREMS, claim_for
from expunge.errors import BadSetting
from tests.certificates.made import SUBJECT, certificate, sound
from tests.certificates.theorems.examples import DELTA, constants

EMPTY = {"output-perturbation"}  # whose bound is the diameter


@pytest.mark.parametrize("theorem", sound())
def test_what_nobody_knows_to_be_false_is_certified(theorem: str) -> None:
    found = certificate(theorem)
    assert found.verdict == ("VACUOUS" if theorem in EMPTY else "CERTIFIED")
    assert found.epsilon == 1.0
    assert {each.stands for each in found.conditions.values()} == {"assumed"}


@pytest.mark.parametrize("theorem", sorted(THEOREMS))
def test_each_condition_that_is_false_takes_epsilon_away(theorem: str) -> None:
    for condition in THEOREMS[theorem].conditions:
        found = certificate(theorem, false={condition: "seen so"})
        assert found.verdict == "NOT CERTIFIED"
        assert found.reasons[0] == f"{condition} is false: seen so"
        assert found.epsilon is None
        assert math.isinf(found.claim.epsilon)
        assert found.bound().value is None


def test_what_a_theorem_does_not_stand_on_is_left_aside() -> None:
    assert certificate("output-perturbation", false={"smooth": "ReLU"}).epsilon == 1.0


def test_an_unsound_theorem_certifies_nothing() -> None:
    found = certificate("gradient-clipping-official")
    assert found.verdict == "NOT CERTIFIED"
    assert "unsound" in found.reasons[0]


def test_a_bound_no_better_than_the_diameter_is_vacuous() -> None:
    found = certificate("newton", lambda_min=-0.001)
    assert found.verdict == "VACUOUS"
    assert "no better than the diameter: Delta 20, 2C 20" in found.reasons[0]
    assert found.claim.shift == 20
    assert found.formula
    assert found.formula > 20
    assert found.epsilon == 1.0


def test_noise_that_drowns_the_weights_is_vacuous() -> None:
    sigma = certificate().claim.sigma
    length = sigma * math.sqrt(100)
    just = certificate(parameters=100, norm=length / DROWNED * 1.001)
    assert just.verdict == "CERTIFIED"
    drowned = certificate(parameters=100, norm=length / DROWNED / 1.001)
    assert drowned.verdict == "VACUOUS"
    assert "is 10 times theirs" in drowned.reasons[0]
    assert "from 10 times on" in drowned.reasons[0]
    assert "infinitely many times" in certificate(norm=0.0).reasons[0]


def test_weights_outside_of_the_ball_are_not_certified() -> None:
    assert certificate(norm=10.000001).verdict == "CERTIFIED"  # as rounding may leave it
    found = certificate(norm=10.1)
    assert found.verdict == "NOT CERTIFIED"
    assert "outside of the ball: their norm is 10.1, its radius 10" in found.reasons[0]


def test_no_noise_drowns_nothing() -> None:
    assert certificate("newton", M=0, norm=0.0, lambda_=0).verdict == "CERTIFIED"


def test_a_claim_whose_bound_fails_more_often_than_its_delta_is_not_certified() -> None:
    good = certificate("newton-lissa").claim
    found = issue(SUBJECT, 0, replace(good, delta=1e-7), false={}, held={})
    assert found.verdict == "NOT CERTIFIED"
    assert "rho 1e-06, and delta is 1e-07" in found.reasons[0]
    assert found.epsilon is None


def test_removal_beyond_what_is_proven_is_not_certified() -> None:
    good = certificate("certified-removal").claim
    found = issue(SUBJECT, 0, replace(good, sigma=good.sigma / 2), false={}, held={})
    assert found.verdict == "NOT CERTIFIED"
    assert "proven up to epsilon 1" in found.reasons[0]


def test_a_claim_without_noise_is_not_certified() -> None:
    found = issue(SUBJECT, 0, replace(certificate().claim, sigma=0.0), false={}, held={})
    assert found.verdict == "NOT CERTIFIED"
    assert found.epsilon is None


def test_the_reason_names_what_is_merely_assumed_or_estimated() -> None:
    made = certificate("newton")
    (reason,) = made.reasons
    assert "constants assumed: C, M, lambda, lambda_min; conditions assumed, not proven: " in reason
    assert reason.endswith(", ".join(THEOREMS["newton"].conditions))
    proven = {name: replace(each, standing="proven") for name, each in made.claim.constants.items()}
    proven["lambda_min"] = replace(proven["lambda_min"], standing="estimated")
    held = dict.fromkeys(THEOREMS["newton"].conditions, "seen to")
    (reason,) = issue(SUBJECT, 0, replace(made.claim, constants=proven), false={}, held=held).reasons
    assert reason.endswith("true; constants estimated: lambda_min; the method sees to all conditions")
    proven["lambda_min"] = replace(proven["lambda_min"], standing="proven")
    (reason,) = issue(SUBJECT, 0, replace(made.claim, constants=proven), false={}, held=held).reasons
    assert reason.endswith("true; all constants are proven; the method sees to all conditions")


def test_what_the_method_sees_to_is_held() -> None:
    claim = claim_for("newton", constants("newton"), 1.0, DELTA, parameters=1, norm=9.0)
    found = issue(SUBJECT, 0, claim, false={"smooth": "ReLU"}, held={"projected": "each step is", "smooth": "no"})
    assert found.conditions["projected"].stands == "held"
    assert found.conditions["smooth"].stands == "false"


@pytest.mark.parametrize("side", ["false", "held"])
def test_a_word_that_is_no_condition_is_refused(side: str) -> None:
    claim = claim_for("newton", constants("newton"), 1.0, DELTA, parameters=1, norm=1.0)
    given: dict[str, dict[str, str]] = {"false": {}, "held": {}} | {side: {"smoth": "a slip"}}
    with pytest.raises(BadSetting, match="smoth: no condition of theorems"):
        issue(SUBJECT, 0, claim, **given)


def test_the_bound_lists_every_constant_with_its_standing() -> None:
    found = certificate("newton").bound()
    assert found.side == "upper"
    assert found.value == 1.0
    told = {each.name: (each.value, each.standing) for each in found.assumptions}
    assert told["lambda_min"] == (0.5, "assumed")
    assert set(told) == {"C", "M", "lambda", "lambda_min", *THEOREMS["newton"].conditions}
    assert found.facts["verdict"] == "CERTIFIED"
    assert found.facts["delta"] == DELTA
