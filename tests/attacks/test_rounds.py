"""Requests in rounds: a round goes on from the last, and the last is the whole."""

from pathlib import Path

import numpy as np
import pytest

from expunge.attacks.removal import RETRAINING, Attacked, serve
from expunge.attacks.rounds import accuracy_by_round, parts_of
from expunge.ensembles import pretrain
from expunge.errors import BadSetting
from expunge.methods import METHODS, configure, run_method
from expunge.suites import ForgetSet, Suite
from tests.attacks.small import MODELS, attacked, small

REQUEST = ForgetSet("asked", np.arange(10), "test")


def test_parts_are_the_whole_and_each_class_is_dealt_evenly(suite: Suite) -> None:
    labels = suite.data.train.y.numpy()
    whole = ForgetSet("asked", np.sort(np.concatenate([np.flatnonzero(labels == c)[:4] for c in range(10)])), "test")
    parts = parts_of(whole, labels, 4)
    assert np.array_equal(np.sort(np.concatenate([part.indices for part in parts])), whole.indices)
    assert [np.bincount(labels[part.indices]).tolist() for part in parts] == [[1] * 10] * 4


@pytest.mark.parametrize("rounds", [0, 11])
def test_rounds_without_a_record_are_refused(rounds: int) -> None:
    with pytest.raises(BadSetting, match="expected 1 to 10 rounds"):
        parts_of(REQUEST, np.zeros(200, np.int64), rounds)


def test_of_methods_with_models_of_their_own_the_last_round_is_the_removal_of_the_whole(own_store: Path) -> None:
    injection, methods = attacked(), (Attacked("amnesiac", {"epochs": 0}), Attacked("gradient-ascent"))
    found = accuracy_by_round(injection, methods, injection.attack, 3, MODELS)
    assert {label: np.shape(values) for label, values in found.items()} == {
        label: (3, MODELS) for label in (RETRAINING, "amnesiac, epochs=0", "gradient-ascent")
    }
    one_shot = {each.label: each.after for each in serve([injection], methods, MODELS) if each.request == "attack"}
    assert np.allclose(found["amnesiac, epochs=0"][-1], one_shot["amnesiac, epochs=0"])  # type: ignore[arg-type]
    again = accuracy_by_round(injection, methods, injection.attack, 3, MODELS)
    assert all(np.array_equal(values, again[label]) for label, values in found.items())  # out of the store


def test_what_is_gone_is_neither_kept_nor_forgotten() -> None:
    suite, seen = small(), []
    gone = np.arange(20, 60)
    split = suite.split(REQUEST, gone)
    assert (len(split.forget), len(split.retain)) == (10, 150)
    method = METHODS["fine-tune"]
    ensemble = pretrain(suite, 2)
    for given in (None, gone):
        steps = run_method(
            "fine-tune", method, configure("fine-tune", method, {}), ensemble, suite, REQUEST, gone=given
        )
        seen.append([step.cost for step in steps][-1])
    assert seen[0] == pytest.approx(seen[1])  # of one retraining on what is kept, which is smaller too


def test_a_method_that_fails_in_a_round_says_why(own_store: Path) -> None:
    injection = attacked()
    found = accuracy_by_round(injection, (Attacked("gradient-ascent", {"lr": 3e38}),), injection.attack, 2, MODELS)
    assert "not finite" in str(found["gradient-ascent, lr=3e+38"])
