"""Scrub and rewind: which models go back, and to which error."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from expunge.ensembles import Ensemble
from expunge.ensembles.seeds import Generators
from expunge.errors import StoreError
from expunge.methods import METHODS
from expunge.methods.zoo import scrub_rewind
from expunge.methods.zoo.scrub import scrub
from expunge.methods.zoo.scrub_rewind import ScrubRewind, error_of_unseen, forget_error, rewound
from expunge.suites import Data, Examples, ForgetSet, ForgetSets, Suite


def test_models_that_go_back_are_those_kept_buffers_and_all_and_others_stay(ensemble: Ensemble) -> None:
    later = ensemble.copy()
    for tensor in later.state().values():
        tensor.data += 1
    found = rewound(later, ensemble, torch.tensor([False, True, False]))
    for key, tensor in found.state().items():
        assert torch.equal(tensor[[0, 2]], later.state()[key][[0, 2]]), key
        assert torch.equal(tensor[1], ensemble.state()[key][1]), key


def test_each_model_is_rewound_by_itself(ensemble: Ensemble, small: Suite) -> None:
    """Whatever the others of its stack do, a model is at the epoch whose error is nearest, the first of such."""
    split = replace(small.split(small.forget_sets["random-20"]), extra=0.5)
    cfg = ScrubRewind(epochs=5, lr=0.03, ascent_epochs=5)
    students = list(scrub(ensemble, split, cfg, Generators([0, 1, 2])))
    errors = torch.stack([forget_error(each, split, 64) for each in students])
    best = (errors - 0.5).abs().argmin(0).tolist()  # the first, where several are least
    assert len(set(best)) > 1
    *_, last = scrub_rewind.scrub_rewind(ensemble, split, cfg, Generators([0, 1, 2]))
    for model, epoch in enumerate(best):
        for key, tensor in last.state().items():
            assert torch.equal(tensor[model], students[epoch].state()[key][model]), (model, key)


@pytest.mark.parametrize(("unseen", "error"), [("class", 1 / 4), ("forget", 2 / 3)])
def test_the_reference_is_the_error_on_what_was_not_seen(
    unseen: str, error: float, small: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Examples 0, 1 and 5 are forgotten; of class 0 stay 2, 3 and 4, of class 1 nothing."""
    masks = np.array([[1, 0, 0, 0, 1, 0], [0, 0, 0, 1, 0, 1]], dtype=bool)
    wrong = np.array([[1, 1, 1, 0, 1, 1], [0, 1, 0, 1, 0, 1]], dtype=bool)  # where seen too, which does not count
    monkeypatch.setattr(scrub_rewind, "read_subsets", lambda suite: (np.where(wrong, -1.0, 1.0), masks))
    six = Examples(small.data.train.x[:6], torch.tensor([0, 0, 0, 0, 0, 1]))
    suite = replace(small, data=Data(six, small.data.test, small.data.classes), forget_sets=ForgetSets({}))
    forget = ForgetSet("three", np.array([0, 1, 5]), "three")
    reference = error_of_unseen(suite, forget, [0], ScrubRewind(unseen=unseen))
    assert reference == pytest.approx((2 * error + 1) / 3)


def test_without_models_on_halves_it_says_so_before_any_work(small: Suite) -> None:
    prepare = METHODS["scrub-rewind"].prepare
    assert prepare
    assert prepare.require
    with pytest.raises(StoreError, match="no models trained on halves"):
        prepare.require(replace(small, subsets=0), small.forget_sets["random-20"], ScrubRewind())
