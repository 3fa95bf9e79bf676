"""Membership from labels alone: counts of noisy copies by hand, what noise depends on, where it must succeed."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from expunge.attacks import ATTACKS
from expunge.attacks.lab.arms import NO_REQUEST, ORACLE
from expunge.attacks.lab.cells import play_on
from expunge.attacks.label_only_pair import LabelOnlyPair, check, kept_labels, noisy_copies
from expunge.attacks.pair_membership import UNLEARNED
from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.origin import Origin
from expunge.errors import BadSetting
from tests.attacks.overfitted import overfitted
from tests.attacks.small import small

pytestmark = pytest.mark.usefixtures("common_store")

NAME, MODELS = "label-only-pair", 4
CONFIG = LabelOnlyPair(models=MODELS, budget=30, shadows=3)


def sign() -> Ensemble:
    """A model that says class 1 of numbers above 0."""
    network = nn.Linear(1, 2, bias=False)
    network.weight.data = torch.tensor([[-1.0], [1.0]])
    return Ensemble.stack([network], Origin("toy", "0", "pretrained", None, (0,)), (1,))


def test_labels_that_copies_keep_are_counted_level_by_level() -> None:
    copies = torch.tensor([[[[[1.0], [2.0]]], [[[1.0], [-2.0]]]], [[[[-1.0], [2.0]]], [[[-1.0], [2.0]]]]])
    found = kept_labels(sign(), copies, torch.tensor([[1, 1]]))
    assert found.tolist() == [[[1.0, 0.0], [0.5, 1.0]]]


def test_noise_rises_by_levels_and_is_each_models_own() -> None:
    x = torch.zeros(2, 400, 3)
    copies = noisy_copies(x, [1, 2], (4, 2), 2.0)
    assert copies.std(dim=(1, 2, 3, 4)).tolist() == pytest.approx([0.5, 1.0, 1.5, 2.0], rel=0.05)
    alone = noisy_copies(x[1:], [2], (4, 2), 2.0)
    assert torch.equal(copies[:, :, 1:], alone)


def test_on_models_that_know_their_data_by_heart_labels_of_a_pair_tell_what_labels_of_one_do_not() -> None:
    found = play_on(NAME, ATTACKS[NAME], overfitted(), CONFIG, CONFIG.methods[0], range(MODELS))
    oracle, same = found.arms[ORACLE], found.arms[NO_REQUEST]
    assert oracle.success is not None
    assert same.success is not None
    assert (oracle.success > oracle.more[UNLEARNED]).all()
    assert oracle.success.mean() > 0.65
    assert abs(np.mean(oracle.more[UNLEARNED]) - 0.5) < 0.1


@pytest.mark.parametrize("changed", [{"queries": 0}, {"levels": 0}, {"noise": 0.0}])
def test_no_queries_and_no_noise_are_refused(changed: dict[str, float]) -> None:
    with pytest.raises(BadSetting, match="expected at least 1 query at 1 level of a noise above 0"):
        check(small(), replace(CONFIG, **changed))  # type: ignore[arg-type]


def test_a_classifier_that_it_does_not_know_is_refused() -> None:
    with pytest.raises(ValueError, match="classifier must be one of"):
        LabelOnlyPair(classifier="svm")
