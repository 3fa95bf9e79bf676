"""Every method against its own equation, computed by hand; each case fails when another row is put in its place."""

import math

import pytest
import torch

from expunge.ensembles.seeds import Generators
from expunge.methods import METHODS
from expunge.methods.zoo.random_labels import wrong_labels
from expunge.suites import Examples
from tests.methods.equations import (
    challenge,
    curvature,
    damping,
    last_layers,
    preference,
    pruning,
    retrained,
    teachers,
    walkers,
)
from tests.methods.equations.toy import LR, SIX, SPLIT, Case, require_steps, run_toy

CASES: dict[str, Case] = {
    **challenge.CASES,
    **damping.CASES,
    **last_layers.CASES,
    **curvature.CASES,
    **preference.CASES,
    **pruning.CASES,
    **retrained.CASES,
    **teachers.CASES,
    **walkers.CASES,
}
RUNNABLE = sorted(name for name, method in METHODS.items() if not method.anchor)


@pytest.mark.parametrize("name", RUNNABLE)
def test_it_does_what_its_equation_says(name: str) -> None:
    CASES[name].check(name)


@pytest.mark.parametrize("name", RUNNABLE)
def test_no_other_method_passes_for_it(name: str) -> None:
    impostors = []
    for other in RUNNABLE:
        if other == name:
            continue
        try:
            CASES[name].check(other)
        except Exception:  # whatever another row does in its place, it must not pass
            continue
        impostors.append(other)
    assert impostors == []


def test_neg_grad_plus_with_beta_1_takes_the_steps_of_fine_tuning() -> None:
    plain = {"epochs": 1, "lr": LR, "momentum": 0.0}
    require_steps(run_toy("neg-grad-plus", {**plain, "beta": 1.0}, SIX), walkers.fine_tune())


def test_random_labels_are_wrong_and_all_wrong_ones_come_up() -> None:
    forget = Examples(torch.zeros(300, 2), torch.arange(3).repeat(100))
    drawn = wrong_labels(forget.y, SPLIT.classes, Generators([0, 1]))
    assert (drawn != forget.y).all()
    counts = torch.stack([torch.bincount(row, minlength=3) for row in drawn])
    assert (counts - 100).abs().max() < 5 * math.sqrt(100)
    assert not torch.equal(drawn[0], drawn[1])


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("fine-tune", {"epochs": 0}),
        ("fine-tune", {"lr": 0.0}),
        ("fine-tune", {"momentum": 1.0}),
        ("fine-tune", {"batch_size": 0}),
        ("neg-grad-plus", {"beta": 1.5}),
        ("neg-grad-plus", {"forget_batch_size": 0}),
        ("ascent-descent", {"ascent_epochs": 0}),
        ("scrub", {"temperature": 0.0}),
        ("scrub", {"alpha": -1.0}),
    ],
)
def test_settings_out_of_range_are_refused(name: str, settings: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=", got "):
        METHODS[name].config(**settings)
