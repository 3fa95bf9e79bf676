"""Unlearning inversion: what a gradient gives back, labels by hand, what it tells of the removed record alone."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from expunge.attacks import ATTACKS
from expunge.attacks.lab.arms import ATTACK, HONEST
from expunge.attacks.lab.cells import play_on
from expunge.attacks.operators import weighted_gradient
from expunge.attacks.removal import Attacked
from expunge.attacks.unlearning_inversion import (
    LABEL,
    NEARER,
    SQUARES,
    UnlearningInversion,
    check,
    cosine,
    inferred_labels,
    inverted,
    variation,
)
from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.origin import Origin
from expunge.ensembles.pretraining import pretrain
from expunge.errors import BadSetting
from expunge.suites import Data, Examples
from tests.attacks.small import small

NAME, MODELS = "unlearning-inversion", 3
CONFIG = UnlearningInversion(models=MODELS, steps=100, tv=0.0)


def test_the_gradient_of_a_record_gives_the_record_back() -> None:
    suite = small()
    models, train = pretrain(suite, 2), suite.data.train
    rows = torch.tensor([[5], [6]])
    x, y = train.x[rows], train.y[rows]
    change = 0.3 * weighted_gradient(models, x, y, torch.ones(2, 1)).detach()
    found = inverted(suite, models, change, y[:, 0], CONFIG)
    mean = train.x.mean(0)
    assert (cosine((found - mean).flatten(1), (x[:, 0] - mean).flatten(1)) > 0.99).all()


def test_the_picture_is_of_the_record_that_was_removed() -> None:
    found = play_on(NAME, ATTACKS[NAME], small(), CONFIG, CONFIG.methods[0], range(MODELS))
    attack, honest = found.arms[ATTACK], found.arms[HONEST]
    assert attack.success is not None
    assert honest.success is not None
    assert (attack.success > 0.9).all()
    assert (honest.success < 0.9).all()
    assert (attack.more[NEARER] == 1).all()
    assert (attack.more[SQUARES] < honest.more[SQUARES]).all()
    assert np.isin(attack.more[LABEL], (0, 1)).all()


def line(weight: list[list[float]]) -> Ensemble:
    network = nn.Linear(1, 2, bias=False)
    network.weight.data = torch.tensor(weight)
    return Ensemble.stack([network], Origin("toy", "0", "pretrained", None, (0,)), (1,))


def test_the_label_is_the_class_that_has_lost_confidence() -> None:
    examples = Examples(torch.tensor([[1.0], [-1.0]]), torch.tensor([1, 0]))
    suite = replace(
        small(), name="two", data=Data(examples, examples, classes=2), images=None, network=lambda: nn.Linear(1, 2)
    )
    sure = line([[-2.0], [2.0]])
    assert inferred_labels(suite, sure, line([[-2.0], [1.0]])).tolist() == [0]  # a tie, which the first class has
    biased = nn.Linear(1, 2)
    biased.weight.data, biased.bias.data = torch.tensor([[-2.0], [2.0]]), torch.tensor([1.0, 0.0])
    after = Ensemble.stack([biased], sure.origin, (1,))
    assert inferred_labels(suite, sure, after).tolist() == [1]


def test_variation_is_of_pictures_alone() -> None:
    picture = torch.tensor([[[[[0.0, 1.0], [2.0, 3.0]]]]])
    assert variation(picture).tolist() == [3.0]
    assert variation(torch.ones(2, 1, 4)).tolist() == [0.0, 0.0]


def test_votes_are_refused() -> None:
    with pytest.raises(BadSetting, match="'sisa' deploys votes"):
        check(small(), replace(CONFIG, methods=(Attacked("sisa"),)))


@pytest.mark.parametrize("wrong", [{"label": "guessed"}, {"steps": 0}, {"rate": 0.0}, {"tv": -1.0}])
def test_settings_that_cannot_be_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"expected|must be one of"):
        UnlearningInversion(**wrong)  # type: ignore[arg-type]
