"""Deletion inference: its signals by hand and under a temperature, its guesses without a removal, its success."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch

from expunge.attacks import ATTACKS
from expunge.attacks.defences.temperature import tempered
from expunge.attacks.deletion_inference import (
    ANSWERS,
    LEAD,
    LOSS,
    SIGNALS,
    DeletionInference,
    changed,
    check,
    named,
    share_by,
)
from expunge.attacks.lab.arms import ATTACK, HONEST, NO_REQUEST, ORACLE, Played
from expunge.attacks.lab.cells import play_on
from expunge.errors import BadSetting
from tests.attacks.overfitted import overfitted
from tests.attacks.small import small

NAME, MODELS = "deletion-inference", 4
CONFIG = DeletionInference(models=MODELS, budget=30)


@cache
def played() -> Played:
    return play_on(NAME, ATTACKS[NAME], overfitted(), CONFIG, CONFIG.methods[0], range(MODELS))


def test_signals_by_hand() -> None:
    before = torch.tensor([[[0.5, 0.5], [0.9, 0.1]]], dtype=torch.float64).log()
    after = torch.tensor([[[0.25, 0.75], [0.9, 0.1]]], dtype=torch.float64).log()
    found = changed(before, after, torch.tensor([[0, 1]]))
    assert found[LOSS].tolist() == [[pytest.approx(np.log(2)), 0.0]]
    assert found[LEAD].tolist() == [[pytest.approx(np.log(3)), 0.0]]
    assert found[ANSWERS].tolist() == [[pytest.approx(np.log(3) / np.sqrt(2)), 0.0]]


def _leading(lead: float) -> torch.Tensor:
    return torch.tensor([[[lead, 0.0, 0.0]]], dtype=torch.float64)


@pytest.mark.parametrize(("signal", "share"), [(LOSS, 0.0), (LEAD, 1.0), (ANSWERS, 1.0)])
def test_of_a_record_that_is_fitted_well_losses_do_not_tell_and_logarithms_do(signal: str, share: float) -> None:
    """The removed record falls from 20 nats to 10, and the one that stays from 1 to 0.9."""
    label = torch.tensor([[0]])
    removed, stays = (changed(_leading(before), _leading(after), label) for before, after in ((20.0, 10.0), (1.0, 0.9)))
    assert named(removed[signal], stays[signal]) == share


@pytest.mark.parametrize("signal", [LEAD, ANSWERS])
@pytest.mark.parametrize("temperature", [0.5, 10.0])
def test_a_temperature_changes_no_guess(signal: str, temperature: float) -> None:
    rng = np.random.default_rng(0)
    said = [torch.from_numpy(5 * rng.normal(size=(2, 50, 10))) for _ in range(2)]
    told = [tempered(each.softmax(-1), temperature).log() for each in said]
    labels = torch.from_numpy(rng.integers(10, size=(2, 50)))
    plain, flat = (changed(before, after, labels)[signal] for before, after in (said, told))
    assert np.allclose(flat * temperature, plain)


def test_where_nothing_is_removed_it_guesses() -> None:
    arm = played().arms[NO_REQUEST]
    for signal in SIGNALS:
        assert (arm.more[share_by(signal)] == 0.5).all()


@pytest.mark.parametrize("arm", [ATTACK, ORACLE])
def test_on_models_that_know_their_data_by_heart_it_names_the_removed_record(arm: str) -> None:
    """More often than where both records stay, victim by victim; of 120 guesses, on one machine 84, on another more."""
    success, honest = played().arms[arm].success, played().arms[HONEST].success
    assert success is not None
    assert honest is not None
    assert (success > honest).all()
    assert success.mean() > 0.6


def test_neither_record_of_a_pair_is_among_the_others() -> None:
    config = replace(CONFIG, budget=66, models=2, removed="others")
    found = play_on(NAME, ATTACKS[NAME], small(), config, config.methods[0], range(2))
    assert np.array_equal(found.arms[ATTACK].arrays["success"], found.arms[HONEST].arrays["success"])
    asked = replace(config, removed="suspects")
    suspects = play_on(NAME, ATTACKS[NAME], small(), asked, config.methods[0], range(2)).requests
    for mine, others in zip(suspects, found.requests, strict=True):
        assert not set(mine.indices) & set(others.indices)
        assert len(others) == 66


@pytest.mark.parametrize("budget", [0, 67])
def test_no_pairs_and_more_than_there_are_are_refused(budget: int) -> None:
    with pytest.raises(BadSetting, match="expected a budget of 1 to 66 records to ask about, a third of the 200"):
        check(small(), replace(CONFIG, budget=budget))


def test_a_signal_that_it_does_not_know_is_refused() -> None:
    with pytest.raises(ValueError, match="by must be one of lead, loss, answers"):
        DeletionInference(by="margin")
