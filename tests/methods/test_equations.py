"""Every method against its own equation, computed by hand; each case fails when another row is put in its place."""

import dataclasses
import math
import traceback
from pathlib import Path

import pytest
import torch

from expunge.ensembles.seeds import Generators
from expunge.errors import BadConstant, NotConverged, OutsideBall
from expunge.methods import METHODS
from expunge.methods.needs import CONVOLUTIONS, SEVERAL_LAYERS
from expunge.methods.zoo.random_labels import wrong_labels
from expunge.suites import Examples
from tests.conftest import PACKAGE
from tests.methods.cases import CASES
from tests.methods.equations import walkers
from tests.methods.equations.case import Settings
from tests.methods.equations.toy import LR, SIX, SPLIT, require_steps, run_toy


def test_every_row_but_the_anchors_has_a_case_and_no_other() -> None:
    rows = {name for name, method in METHODS.items() if not method.anchor}
    assert not (missing := rows - CASES.keys()), f"no case in tests/methods/equations for {', '.join(sorted(missing))}"
    assert not (extra := CASES.keys() - rows), f"cases of no row: {', '.join(sorted(extra))}"


@pytest.mark.parametrize("name", sorted(CASES))
def test_it_does_what_its_equation_says(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.methods.equations.toy.takes", lambda name, settings: True)  # its own, all of them
    CASES[name].check(name)


def can_stand_in(other: str, name: str) -> bool:
    """Whether the method ``other`` runs at all on what the method ``name`` is checked on.

    It must make models as that does, find in the split what its row takes out of a store, and the layers it needs.
    """
    toy, mine = CASES[name], CASES[other]
    layers = toy.convolutions or not {CONVOLUTIONS, SEVERAL_LAYERS}.intersection(METHODS[other].needs)
    return mine.makes_models == toy.makes_models and mine.given in (None, toy.given) and layers


def test_most_methods_stand_in_for_most_others() -> None:
    """Else the law below would hold of nothing."""
    count = {name: sum(can_stand_in(other, name) for other in CASES if other != name) for name in CASES}
    # Four need convolutions, one several layers.
    least = len([case for case in CASES.values() if case.given is None]) - 6
    assert {name for name, others in count.items() if others < least} == {"dm-direct"}


@pytest.mark.parametrize("of_so_many", [8, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", sorted(CASES))
def test_no_other_method_passes_for_it(name: str, of_so_many: int) -> None:
    """In its place another row gives other numbers; one that cannot be run there shows nothing, nor does a crash.

    One of eight others is tried, another one for each case, so that all are for many; slowly, all of them.
    """
    impostors, names = [], sorted(CASES)
    for other in names[names.index(name) % of_so_many :: of_so_many]:
        if other == name or not can_stand_in(other, name):
            continue
        try:
            CASES[name].check(other)
        except AssertionError as error:
            if PACKAGE in raised_in(error).parents:  # the library's own: no comparison
                raise
            continue
        except (OutsideBall, BadConstant, NotConverged):  # what it refuses, it cannot pass off as another's
            continue
        impostors.append(other)
    told = f"the check of {name} cannot tell {', '.join(impostors)} from it: take a second step or other settings"
    assert not impostors, told


def raised_in(error: BaseException) -> Path:
    """The file whose line raised it."""
    return Path(traceback.extract_tb(error.__traceback__)[-1].filename)


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
    ("name", "settings"), [(name, settings) for name, case in sorted(CASES.items()) for settings in case.refused]
)
def test_settings_out_of_range_are_refused(name: str, settings: Settings) -> None:
    assert {field.name for field in dataclasses.fields(METHODS[name].config)} >= settings.keys()
    with pytest.raises(ValueError, match=", got "):
        METHODS[name].config(**settings)
