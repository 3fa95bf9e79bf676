"""Deletion inference: its two signals by hand, its guess where nothing is removed, where it must succeed."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch

from expunge.attacks import ATTACKS
from expunge.attacks.deletion_inference import ANSWERS, BY_ANSWERS, BY_LOSS, LOSS, DeletionInference, changed, check
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
    assert found[ANSWERS].tolist() == [[pytest.approx(0.25), 0.0]]


def test_where_nothing_is_removed_it_guesses() -> None:
    arm = played().arms[NO_REQUEST]
    assert (arm.more[BY_LOSS] == 0.5).all()
    assert (arm.more[BY_ANSWERS] == 0.5).all()


@pytest.mark.parametrize("arm", [ATTACK, ORACLE])
def test_on_models_that_know_their_data_by_heart_it_names_the_removed_record(arm: str) -> None:
    """More often than where both records stay, victim by victim."""
    success, honest = played().arms[arm].success, played().arms[HONEST].success
    assert success is not None
    assert honest is not None
    assert (success > honest).all()
    assert success.mean() > 0.7


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
    with pytest.raises(ValueError, match="by must be one of loss, answers"):
        DeletionInference(by="margin")
