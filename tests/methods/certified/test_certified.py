"""Laws over CERTIFIED: training, update and release apart make the method, for both arms of a measurement."""

import dataclasses
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from expunge.certificates.theorems.theorem import THEOREMS, Claim
from expunge.ensembles import Ensemble
from expunge.ensembles.seeds import Generators
from expunge.errors import UnknownName
from expunge.methods import METHODS, configure
from expunge.methods.certified import CERTIFIED, claimed, guarantee_of, released, settled, trained, updated
from expunge.methods.parts.per_sample import flat_weights
from expunge.suites import Examples, Split, Suite, load_suite
from tests.methods.cases import CASES
from tests.methods.test_settings import other

NAMES = sorted(CERTIFIED)
MODELS = [3, 8]
QUICK: dict[str, dict[str, object]] = {"langevin-unlearning": {"training_steps": 50}}  # of a thousand
ON_DIGITS: dict[str, dict[str, object]] = {"certified-removal": {"residual": 1e9}}  # with which there is a claim


@cache
def suite_of(name: str) -> Suite:
    """The suite, trained for fewer epochs."""
    suite = load_suite(name)
    return dataclasses.replace(suite, recipe=dataclasses.replace(suite.recipe, epochs=2))


def split_of(suite: Suite) -> Split:
    return suite.split(suite.forget_sets["random-10"])


def nothing_to_forget(suite: Suite) -> Split:
    """The split of the reference arm: what is kept, and an empty forget set."""
    split = split_of(suite)
    return dataclasses.replace(split, forget=Examples(split.forget.x[:0], split.forget.y[:0]))


@cache
def before(name: str, suite: str = "tabular") -> Ensemble:
    """Models that were trained on all examples, as the theorem asks."""
    made = suite_of(suite)
    split = split_of(made)
    bare = trained("certified-newton", made, np.arange(made.data.sizes[0]), MODELS, config("certified-newton"))
    cfg = settled(name, bare, split, config(name))
    return trained(name, made, np.arange(made.data.sizes[0]), MODELS, cfg)


def config(name: str, **settings: object) -> Any:
    return configure(name, METHODS[name], {**QUICK.get(name, {}), **settings})


def settled_config(name: str, suite: str = "tabular") -> Any:
    return settled(name, before(name, suite), split_of(suite_of(suite)), config(name))


def claims_of(name: str, cfg: Any) -> tuple[Claim, ...]:
    return claimed(name, before(name), split_of(suite_of("tabular")), cfg)


@pytest.mark.parametrize("name", NAMES)
def test_its_theorem_is_in_the_table_and_its_method_too(name: str) -> None:
    assert CERTIFIED[name].theorem in THEOREMS
    fields = {each.name: each.default for each in dataclasses.fields(METHODS[name].config)}
    assert (fields["epsilon"], fields["delta"]) == (1.0, 1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_what_it_holds_or_breaks_are_conditions_of_its_theorem(name: str) -> None:
    cfg = settled_config(name)
    (theorem,) = {claim.theorem for claim in claims_of(name, cfg)}
    told = {**CERTIFIED[name].held(cfg), **CERTIFIED[name].false(cfg)}
    assert told
    assert set(told) <= set(THEOREMS[theorem].conditions)
    assert all(told.values())


def test_a_method_that_claims_nothing_is_refused() -> None:
    with pytest.raises(UnknownName, match="unknown certified method 'scrub'"):
        guarantee_of("scrub")


@pytest.mark.parametrize("name", NAMES)
def test_there_is_a_claim_a_model_and_its_noise_is_the_theorems(name: str) -> None:
    cfg = settled_config(name)
    claims = claims_of(name, cfg)
    assert len(claims) == len(MODELS)
    for claim in claims:
        theorem = THEOREMS[claim.theorem]
        assert claim.sigma == theorem.sigma(claim.constants, cfg.epsilon, cfg.delta)
        assert claim.shift == theorem.shift(claim.constants)
        assert theorem.epsilon(claim.constants, claim.sigma, cfg.delta) == pytest.approx(cfg.epsilon, rel=1e-6)
        assert (claim.epsilon, claim.delta) == (cfg.epsilon, cfg.delta)
        assert claim.parameters == 62
        assert all(each.why for each in claim.constants.values())


@pytest.mark.parametrize("name", NAMES)
def test_what_settles_a_config_leaves_it_settled(name: str) -> None:
    cfg = settled_config(name)
    assert settled(name, before(name), split_of(suite_of("tabular")), cfg) == cfg
    assert settled(name, before(name), nothing_to_forget(suite_of("tabular")), cfg) == cfg


@pytest.mark.parametrize("name", [name for name in NAMES if not METHODS[name].from_scratch])
def test_update_and_release_are_the_method_itself(name: str) -> None:
    suite, cfg = suite_of("tabular"), settled_config(name)
    split, guarantee, ensemble = split_of(suite), CERTIFIED[name], before(name)
    unlearn = METHODS[name].unlearn
    assert unlearn
    (whole,) = unlearn(ensemble.copy(), split, cfg, Generators(MODELS))
    rng = Generators(MODELS)
    claims = guarantee.claims(ensemble.copy(), split, cfg)
    student = guarantee.update(ensemble.copy(), split, cfg, rng)
    sigmas = [guarantee.noise(claim, cfg) for claim in claims]
    apart = released(student, sigmas, rng.beside("release"))
    assert torch.equal(flat_weights(whole), flat_weights(apart))


@pytest.mark.parametrize("name", NAMES)
def test_the_last_noise_is_all_between_what_is_carried_on_and_what_is_released(name: str) -> None:
    """Its second moment over many draws is sigma squared, and what is carried on is as it was."""
    suite, cfg = suite_of("tabular"), settled_config(name)
    student = updated(name, before(name), split_of(suite), cfg)
    kept = flat_weights(student).double()
    sigmas = [CERTIFIED[name].noise(claim, cfg) for claim in claims_of(name, cfg)]
    draws = 100
    squares = torch.zeros(len(MODELS), dtype=torch.float64)
    for draw in range(draws):
        shown = released(student, sigmas, Generators([draw, draw + draws]))
        squares += (flat_weights(shown).double() - kept).square().mean(1) / draws
    assert torch.equal(flat_weights(student).double(), kept)
    expected = torch.tensor(sigmas, dtype=torch.float64).square()
    torch.testing.assert_close(squares, expected, rtol=4 * (2 / (draws * kept.shape[1])) ** 0.5, atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_the_reference_arm_runs_with_nothing_to_forget(name: str) -> None:
    suite, cfg = suite_of("tabular"), settled_config(name)
    kept = suite.retain(suite.forget_sets["random-10"])
    ensemble = trained(name, suite, kept, MODELS, cfg)
    assert ensemble.origin.kind == "oracle"
    student = updated(name, ensemble, nothing_to_forget(suite), cfg)
    assert flat_weights(student).isfinite().all()
    assert not student.training


@pytest.mark.parametrize("name", NAMES)
def test_training_and_update_repeat_themselves_leave_their_input_and_have_chance_of_each_model(name: str) -> None:
    suite, cfg = suite_of("tabular"), settled_config(name)
    rows, split, first = np.arange(suite.data.sizes[0]), split_of(suite), before(name)
    again = trained(name, suite, rows, MODELS, cfg)
    assert torch.equal(flat_weights(first), flat_weights(again))
    one = trained(name, suite, rows, MODELS[1:], cfg)
    torch.testing.assert_close(flat_weights(first)[1:], flat_weights(one), rtol=1e-4, atol=1e-5)
    kept = flat_weights(first)
    students = [updated(name, first, split, cfg) for _ in range(2)]
    assert torch.equal(*map(flat_weights, students))
    assert torch.equal(flat_weights(first), kept)


def claims_on_tables(name: str, cfg: Any) -> tuple[Claim, ...]:
    split, ensemble = split_of(suite_of("tabular")), before(name)
    return claimed(name, ensemble, split, settled(name, ensemble, split, cfg))


def made_of_tables(name: str, cfg: Any) -> Tensor:
    """What training makes."""
    suite = suite_of("tabular")
    cfg = settled(name, before(name), split_of(suite), cfg)
    return flat_weights(trained(name, suite, np.arange(suite.data.sizes[0]), MODELS[:1], cfg))


@pytest.mark.parametrize(("name", "key"), [(name, key) for name in NAMES for key in sorted(CASES[name].claimed)])
def test_a_setting_that_moves_no_weight_changes_what_is_claimed_or_trained(name: str, key: str) -> None:
    beside = CASES[name].beside.get(key, {})
    plain, changed = (config(name, **beside, **more) for more in ({}, {key: other(name, key, _default(name, key))}))
    if claims_on_tables(name, plain) == claims_on_tables(name, changed):
        assert not torch.equal(made_of_tables(name, plain), made_of_tables(name, changed))


def _default(name: str, key: str) -> object:
    return getattr(config(name), key)


@pytest.mark.parametrize("name", NAMES)
def test_running_statistics_are_said_not_to_be_covered(name: str, ensemble: Ensemble, suite: Suite) -> None:
    split = split_of(suite)
    cfg = settled(name, ensemble, split, config(name, **ON_DIGITS.get(name, {})))
    for claim in claimed(name, ensemble, split, cfg):
        assert any("buffers" in note and "not covered" in note for note in claim.notes)
    for claim in claims_of(name, settled_config(name)):
        assert not any("buffers" in note for note in claim.notes)
