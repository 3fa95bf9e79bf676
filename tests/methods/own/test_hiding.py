"""A mask over what a model answers is told from a change of what it computes."""

import pytest
import torch

from expunge.ensembles import Ensemble
from expunge.methods import configure, find_method
from expunge.methods.own.alarms import INPUTS
from expunge.methods.own.exact_match import spaced
from expunge.methods.own.hiding import LEAST, differing_share
from expunge.methods.running import run_method
from expunge.suites import Suite


def test_the_same_numbers_for_all_inputs_are_a_mask_also_with_a_little_noise() -> None:
    torch.manual_seed(0)
    given = torch.randn(3, 50, 10)
    mask = torch.tensor([0.0] * 9 + [-29.0])
    assert (differing_share(given, given + mask) < 1e-6).all()
    assert (differing_share(given, given + mask + 0.1 * torch.randn(3, 50, 10)) < LEAST).all()


def test_a_scale_and_a_change_of_some_inputs_are_none() -> None:
    torch.manual_seed(0)
    given = torch.randn(3, 50, 10)
    assert (differing_share(given, 0.5 * given) > 0.5).all()
    some = given.clone()
    some[:, :25, 3] -= 29
    assert (differing_share(given, some) > 0.4).all()
    assert differing_share(given, given).isnan().all()  # nothing changed, and nothing is said


@pytest.mark.parametrize("forget", ["random-50", "class-3"])
@pytest.mark.parametrize(
    "name", ["ascent-descent", "cf-k", "gradient-ascent", "gradient-ascent-l1", "rni", "influence"]
)
def test_methods_of_the_table_are_none(name: str, forget: str, ensemble: Ensemble, suite: Suite) -> None:
    """Those that come nearest to one on digits."""
    method, split = find_method(name), suite.split(suite.forget_sets[forget])
    *_, last = run_method(name, method, configure(name, method, {}), ensemble, suite, suite.forget_sets[forget])
    x = torch.cat([spaced(each.x, INPUTS) for each in (split.forget, split.retain)])
    with torch.no_grad():
        assert (differing_share(ensemble(x), last.ensemble(x)) > 2 * LEAST).all()
