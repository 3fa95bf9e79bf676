"""The Python interface from ensemble to scores, and what it refuses."""

from dataclasses import replace

import numpy as np
import pytest
from torch import nn
from torch.utils.data import TensorDataset

import expunge as xp
from expunge.ensembles import Ensemble, Measured, Plan, read_measured
from expunge.errors import BadMargins, MismatchedEnsembles
from expunge.metrics.ranking import rank
from expunge.records import Score
from expunge.suites import ForgetSet, Suite


@pytest.fixture(scope="module")
def oracle(suite: Suite, forget: ForgetSet) -> Measured:
    return read_measured(Plan(suite, "oracle", forget), 0, 100)


def headline(scores: list[Score], method: str) -> Score:
    wanted = (method, "forget", "klom", "p95")
    (found,) = [score for score in scores if (score.method, score.split, score.metric, score.aggregate) == wanted]
    return found


def test_an_unlearned_ensemble_is_scored_beside_the_floor(
    ensemble: Ensemble, oracle: Measured, forget: ForgetSet
) -> None:
    after = xp.unlearn(ensemble, forget, "scrub", lr=0.02)
    scores = xp.evaluate(after, oracle)
    assert {score.method for score in scores} == {"oracle", "scrub"}
    mine, floor = headline(scores, "scrub"), headline(scores, "oracle")
    assert mine.models == floor.models == 3
    assert mine.oracle_models == 100
    assert mine.config["lr"] == 0.02
    assert mine.cost is not None
    assert 0.05 < mine.cost < 0.15


def test_an_ensemble_that_nothing_was_done_to_is_identity(ensemble: Ensemble, oracle: Measured) -> None:
    assert headline(xp.evaluate(ensemble, oracle), "identity").cost == 0


def test_a_plain_function_is_a_method(ensemble: Ensemble, forget: ForgetSet) -> None:
    def shrink(model: nn.Module, retain: TensorDataset, forget: TensorDataset, seed: int) -> nn.Module:
        for parameter in model.parameters():
            parameter.data.mul_(0.5)
        return model

    after = xp.unlearn(ensemble, forget, shrink)
    assert after.origin.made is not None
    assert after.origin.made.method == "shrink"


def test_oracles_of_another_forget_set_are_refused(ensemble: Ensemble, suite: Suite, forget: ForgetSet) -> None:
    after = xp.unlearn(ensemble, forget, "gradient-ascent")
    others = read_measured(Plan(suite, "oracle", suite.forget_sets["class-3"]), 0, 10)
    with pytest.raises(MismatchedEnsembles, match="one forget set"):
        xp.evaluate(after, others)


def test_what_is_no_oracle_is_refused_as_a_reference(ensemble: Ensemble) -> None:
    with pytest.raises(MismatchedEnsembles, match="then oracles, got pretrained"):
        xp.evaluate(ensemble, ensemble)


def test_the_held_out_oracles_are_not_scored_against_themselves(
    ensemble: Ensemble, suite: Suite, forget: ForgetSet
) -> None:
    with pytest.raises(ValueError, match="held-out oracles"):
        xp.evaluate(ensemble, read_measured(Plan(suite, "oracle", forget), 100, 50))


def test_a_rank_is_one_plus_the_number_significantly_better() -> None:
    rng = np.random.default_rng(0)
    oracle, near, nearly, far = rng.normal(size=(4, 60, 40))
    ranks = rank({"near": near, "nearly": nearly, "far": far + 2, "farther": far + 4}, oracle, [np.arange(40)])
    assert [(each.best, each.worst) for each in ranks.values()] == [(1, 2), (1, 2), (3, 3), (4, 4)]


def test_a_copy_of_an_oracle_in_disguise_is_refused(suite: Suite, forget: ForgetSet) -> None:
    oracle = read_measured(Plan(suite, "oracle", forget), 0, 20)
    copied = np.asarray(oracle.margins)[:10] * 1.01 + 0.05
    origin = replace(oracle.origin, kind="unlearned", models=tuple(range(10)))
    with pytest.raises(BadMargins, match=r"as one of the reference oracles does \(r = "):
        xp.evaluate(Measured(copied, None, origin), oracle)
