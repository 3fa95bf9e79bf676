"""Laws over THEOREMS: both directions agree, noise falls where it should, what cannot be is refused in a line."""

import math

import pytest

from expunge.certificates.theorems.theorem import CONDITIONS, THEOREMS, Constant, claim_for
from expunge.errors import BadConstant, BadSetting, EpsilonTooLarge, UnknownName
from tests.certificates.theorems.examples import DELTA, VALUES, constants, epsilons

NAMES = sorted(THEOREMS)
CASES = [(name, epsilon) for name in NAMES for epsilon in epsilons(name)]
CONSTANTS = [(name, each.name) for name in NAMES for each in THEOREMS[name].reads]


def test_every_theorem_has_an_example() -> None:
    assert set(VALUES) == set(THEOREMS)


@pytest.mark.parametrize(("name", "epsilon"), CASES)
def test_the_noise_for_an_epsilon_buys_that_epsilon(name: str, epsilon: float) -> None:
    row, given = THEOREMS[name], constants(name)
    assert row.epsilon(given, row.sigma(given, epsilon, DELTA), DELTA) == pytest.approx(epsilon, rel=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_more_epsilon_and_more_delta_need_less_noise(name: str) -> None:
    row, given = THEOREMS[name], constants(name)
    by_epsilon = [row.sigma(given, each, DELTA) for each in epsilons(name)]
    by_delta = [row.sigma(given, epsilons(name)[1], each) for each in (2e-6, 1e-5, 1e-3)]
    assert by_epsilon == sorted(by_epsilon, reverse=True)
    assert by_delta == sorted(by_delta, reverse=True)
    assert len(set(by_epsilon)) == len(by_epsilon)
    assert len(set(by_delta)) == len(by_delta)


@pytest.mark.parametrize("name", NAMES)
def test_without_noise_there_is_no_epsilon(name: str) -> None:
    assert THEOREMS[name].epsilon(constants(name), 0.0, DELTA) == math.inf


@pytest.mark.parametrize("name", NAMES)
def test_what_it_stands_on_is_said_in_words(name: str) -> None:
    row = THEOREMS[name]
    assert row.source
    assert row.sequential
    assert row.conditions
    assert set(row.conditions) <= set(CONDITIONS)
    assert all(each.what for each in row.reads)


@pytest.mark.parametrize(("name", "constant"), CONSTANTS)
@pytest.mark.parametrize("broken", [math.nan, math.inf, -math.inf])
def test_a_constant_that_is_not_finite_is_refused(name: str, constant: str, broken: float) -> None:
    with pytest.raises(BadConstant, match=rf"{constant}, .* is not finite"):
        THEOREMS[name].sigma(constants(name, **{constant: broken}), 1.0, DELTA)


@pytest.mark.parametrize(("name", "constant"), [case for case in CONSTANTS if case[1] != "lambda_min"])
def test_a_negative_constant_is_refused(name: str, constant: str) -> None:
    with pytest.raises(BadConstant, match=f"{name}: {constant}, .* expected a number .*, got -1") as told:
        THEOREMS[name].epsilon(constants(name, **{constant: -1.0}), 1.0, DELTA)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("name", NAMES)
def test_a_constant_that_lacks_or_is_not_read_is_refused(name: str) -> None:
    row, given = THEOREMS[name], constants(name)
    first = row.reads[0].name
    for wrong in ({key: given[key] for key in given if key != first}, given | {"more": Constant(1.0, "assumed", "")}):
        with pytest.raises(BadConstant, match=f"{name} reads the constants {first}"):
            row.sigma(wrong, 1.0, DELTA)


@pytest.mark.parametrize(("epsilon", "delta"), [(0.0, 1e-5), (-1, 1e-5), (math.nan, 1e-5), (math.inf, 1e-5), (1, 0.0)])
@pytest.mark.parametrize("name", NAMES)
def test_a_target_that_none_can_have_is_refused(name: str, epsilon: float, delta: float) -> None:
    with pytest.raises(BadSetting, match=r"expected an? (epsilon|delta)"):
        THEOREMS[name].sigma(constants(name), epsilon, delta)


@pytest.mark.parametrize("delta", [1.0, -1e-5, math.nan, math.inf])
def test_a_delta_that_is_none_is_refused(delta: float) -> None:
    with pytest.raises(BadSetting, match="expected a delta between 0 and 1"):
        THEOREMS["newton"].epsilon(constants("newton"), 1.0, delta)


@pytest.mark.parametrize("sigma", [-1.0, math.nan, math.inf])
def test_a_noise_that_is_none_is_refused(sigma: float) -> None:
    with pytest.raises(BadSetting, match="expected a sigma from 0 on"):
        THEOREMS["newton"].epsilon(constants("newton"), sigma, DELTA)


@pytest.mark.parametrize("name", [name for name in NAMES if THEOREMS[name].formula_of])
def test_the_noise_hides_the_smaller_of_formula_and_diameter(name: str) -> None:
    row, given = THEOREMS[name], constants(name)
    formula, diameter = row.formula(given), row.diameter(given)
    assert row.shift(given) == (formula if diameter is None else min(x for x in (formula, diameter) if x is not None))


@pytest.mark.parametrize("name", NAMES)
def test_the_noise_that_stays_grows_with_sigma(name: str) -> None:
    row, given = THEOREMS[name], constants(name)
    if row.spread_of:
        once, twice = row.spread(given, 1.0), row.spread(given, 2.0)
        assert once
        assert twice == pytest.approx(2 * once)
    else:
        assert name in ("certified-removal", "dp-sgd")  # whose noise is in training, in units of its own


def test_a_claim_holds_what_follows_from_its_constants() -> None:
    claim = claim_for("newton", constants("newton"), 1.0, DELTA, parameters=10, norm=2.0, request=3)
    row = THEOREMS["newton"]
    assert claim.sigma == row.sigma(claim.constants, 1.0, DELTA)
    assert claim.shift == row.shift(claim.constants)
    assert claim.request == 3


def test_an_unknown_theorem_is_named() -> None:
    with pytest.raises(UnknownName, match="unknown theorem 'newtn'; did you mean 'newton'"):
        claim_for("newtn", {}, 1.0, DELTA, parameters=1, norm=1.0)


def test_removal_is_proven_up_to_epsilon_1() -> None:
    row, given = THEOREMS["certified-removal"], constants("certified-removal")
    with pytest.raises(EpsilonTooLarge, match=r"epsilon 1\.5: .* proven up to epsilon 1"):
        row.sigma(given, 1.5, DELTA)
    with pytest.raises(EpsilonTooLarge, match="proven up to epsilon 1"):
        row.epsilon(given, 0.01, DELTA)
