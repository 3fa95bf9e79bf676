"""Faults that are planted: each is caught by its check where it can be, and what cannot be is said to be so."""

from dataclasses import replace

import numpy as np
import pytest

from expunge.audits.refutation import planted
from expunge.audits.refutation.noise_draws import Draw
from expunge.audits.refutation.planted import PLANTED, Scene, plant
from expunge.certificates.theorems.gaussian import sigma_analytic
from tests.audits.refutation.pairs import arms_of
from tests.certificates.made import certificate

SHIFT, RADIUS = 0.5, 3.0
SIGMA = float(sigma_analytic(SHIFT, 1.0, 1e-5))


def gaussian_noise(sigma: float) -> Draw:
    rng = np.random.default_rng(0)
    return lambda draws: sigma * rng.standard_normal(draws)


def scene(models: int = 60, *, spread: float = 0.01, epsilon: float = 1.0, noise_of: float = 1.0) -> Scene:
    """Weights of 20 numbers, half a unit apart along the first, and margins that are linear in them."""
    rng = np.random.default_rng(1)
    inputs = rng.normal(size=(50, 20))
    unnoised = [spread * rng.normal(size=(models, 20)) + side * SHIFT * np.eye(20)[0] for side in (1, 0)]
    noised = [each + noise_of * SIGMA * rng.normal(size=each.shape) for each in unnoised]
    sound, bare = (
        arms_of(
            *(each @ inputs[:10].T for each in seen), weights=(seen[0], seen[1]), unnoised=(unnoised[0], unnoised[1])
        )
        for seen in (noised, unnoised)
    )
    added = {"weight": (noised[0] - unnoised[0])[:, :15], "bias": (noised[0] - unnoised[0])[:, 15:]}
    return Scene(
        epsilon=epsilon, delta=1e-5, sigma=SIGMA, shift=SHIFT, radius=RADIUS, sound=sound, bare=bare, added=added,
        sigmas=np.full(models, SIGMA), noise=gaussian_noise, inputs=inputs, forget=np.arange(10),
        certificates=[certificate("newton", epsilon, model=model) for model in range(3)],
    )  # fmt: skip


def outcomes(given: Scene) -> dict[str, str]:
    return {each.fault: each.outcome for each in plant(given)}


def test_every_fault_is_caught() -> None:
    found = plant(scene())
    assert {each.fault: each.outcome for each in found} == dict.fromkeys(PLANTED, "caught")
    assert all(each.reason and each.check for each in found)


@pytest.mark.parametrize(
    ("fault", "names"),
    [
        ("noise-forgotten", "0 of 30 of reference: epsilon at least 2."),
        ("noise-too-small", "noise of a standard deviation of 1.31"),
        ("projection-left-out", "1 of 60 models lie outside the ball of radius 3, farthest model 0"),
        ("repeated-id", "request 'request-1' was served before"),
        ("buffers-kept", "20 of 20 numbers in buffers"),
    ],
)
def test_the_reason_says_what_was_seen(fault: str, names: str) -> None:
    (told,) = (each.reason for each in plant(replace(scene(), draws=10_000_000)) if each.fault == fault)
    assert names in told


def test_without_a_ball_no_projection_can_be_left_out() -> None:
    assert outcomes(replace(scene(), radius=None, draws=10))["projection-left-out"] == "cannot be had"


def test_without_a_shift_too_little_noise_shows_where_it_was_added() -> None:
    (found,) = (each for each in plant(replace(scene(), shift=None)) if each.fault == "noise-too-small")
    assert found.outcome == "caught"
    assert found.check == "noise of each tensor"
    assert "the noise of 2 of 2 tensors is not that of the claim: " in found.reason
    assert " has 0.7" in found.reason


def test_without_any_last_noise_it_cannot_be_too_small() -> None:
    none = replace(scene(), shift=None, sigma=0.0, sigmas=np.zeros(60))
    assert outcomes(none)["noise-too-small"] == "cannot be had"


def test_what_is_not_certified_is_in_no_ledger() -> None:
    void = [certificate("newton", false={"smooth": "it has a kink"})]
    (found,) = (each for each in plant(replace(scene(), certificates=void, draws=10)) if each.fault == "repeated-id")
    assert found.outcome == "refused already"
    assert "NOT CERTIFIED" in found.reason


def test_draws_that_are_too_few_cannot_show_it() -> None:
    (found,) = (each for each in plant(replace(scene(), draws=1000)) if each.fault == "noise-too-small")
    assert found.outcome == "cannot be shown"
    assert "so few draws" in found.reason


@pytest.mark.parametrize(("models", "outcome"), [(8, "cannot be shown"), (20, "caught")])
def test_models_that_are_too_few_cannot_show_what_buffers_keep(models: int, outcome: str) -> None:
    """2 / C(16, 8) = 1.6e-4 is the least p-value of 8 against 8, above the level of the check."""
    (found,) = (each for each in plant(replace(scene(models), draws=10)) if each.fault == "buffers-kept")
    assert found.outcome == outcome


def test_a_check_that_refuses_what_is_sound_has_caught_nothing() -> None:
    """Noise that is missing from the release that is taken to be sound."""
    broken = scene(noise_of=1e-3)
    (found,) = (each for each in plant(replace(broken, draws=10)) if each.fault == "noise-forgotten")
    assert found.outcome == "refused already"
    assert "without any fault: " in found.reason


@pytest.mark.parametrize(("models", "spread"), [(60, 50.0), (8, 0.01)])
def test_noise_that_is_forgotten_unseen_by_models_shows_where_it_should_have_been_added(
    models: int, spread: float
) -> None:
    """Training that spreads the weights much farther than the arms lie apart; too few models."""
    (found,) = (
        each for each in plant(replace(scene(models, spread=spread), draws=10)) if each.fault == "noise-forgotten"
    )
    assert (found.outcome, found.check) == ("caught", "noise of each tensor")
    assert " has 0 times its sigma" in found.reason


def test_noise_that_is_forgotten_in_training_may_be_hidden_by_chance() -> None:
    hidden = replace(scene(spread=50.0), sigma=0.0, sigmas=np.zeros(60), draws=10)
    (found,) = (each for each in plant(hidden) if each.fault == "noise-forgotten")
    assert found.outcome == "cannot be shown"
    assert "by chance models without noise overlap as well" in found.reason


def test_a_check_that_lets_a_fault_pass_has_missed_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planted, "outside_ball", lambda norms, radius, numbers: "")
    (found,) = (each for each in plant(replace(scene(), draws=10)) if each.fault == "projection-left-out")
    assert found.outcome == "missed"
    assert "it was let pass" in found.reason
