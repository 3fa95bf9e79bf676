"""An ensemble as a sequence of its models."""

import numpy as np
import pytest
import torch

import expunge as xp
from expunge.ensembles import Ensemble, Plan, read_margins
from expunge.errors import BadSetting
from expunge.suites import ForgetSet, Suite


def test_a_slice_is_an_ensemble_of_these_models(ensemble: Ensemble) -> None:
    part = ensemble[1:]
    assert isinstance(part, Ensemble)
    assert part.origin.models == ensemble.origin.models[1:]
    assert torch.equal(next(part.parameters()), next(ensemble.parameters())[1:])


def test_it_tells_in_a_line_how_many_models_of_what_it_has(ensemble: Ensemble, forget: ForgetSet) -> None:
    digest = ensemble.origin.digest
    told = f"Ensemble(3 pretrained models of suite 'digits' ({digest}), numbers 100 to 102, Sequential for inputs (1, "
    assert repr(ensemble) == told + "8, 8))"
    after = xp.unlearn(ensemble, forget, "gradient-ascent")
    assert f"3 models unlearned by gradient-ascent of suite 'digits' ({digest}), to forget {forget.key}" in repr(after)


def test_a_model_is_counted_from_the_end_too(ensemble: Ensemble) -> None:
    last, same = ensemble[-1].state_dict(), ensemble[np.int64(2)].state_dict()
    assert all(torch.equal(last[key], same[key]) for key in last)


def test_a_model_that_is_not_there_is_an_index_error(ensemble: Ensemble) -> None:
    with pytest.raises(IndexError):
        ensemble[3]
    with pytest.raises(BadSetting, match="expected at least one of the 3 models of the ensemble, got none"):
        ensemble[3:]


def test_its_margins_are_those_of_the_store(ensemble: Ensemble, suite: Suite) -> None:
    found = ensemble.margins(suite.data)
    assert found.shape == (3, suite.data.width)
    np.testing.assert_allclose(found, read_margins(Plan(suite, "pretrained"), 100, 3).values, atol=1e-3)


def test_a_state_of_another_architecture_is_refused(ensemble: Ensemble) -> None:
    """Else its tensors would be left out, and the network's own would stay."""
    other = {f"members.0.{key}": each for key, each in ensemble.state().items()}
    with pytest.raises(BadSetting, match=r"got 'members\.0\.0\.weight', of which it has none"):
        Ensemble.from_state(ensemble.network, other, ensemble.origin, ensemble.sample_shape)
