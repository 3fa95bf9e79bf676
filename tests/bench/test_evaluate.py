"""The Python interface from ensemble to scores, and what it refuses."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from torch import nn
from torch.nn.functional import cross_entropy
from torch.optim import SGD
from torch.utils.data import TensorDataset

import expunge as xp
from expunge.ensembles import Ensemble, EnsembleMargins, Plan, build_all, read_margins
from expunge.errors import BadMargins, MismatchedEnsembles
from expunge.metrics.ranking import rank
from expunge.records import Score
from expunge.suites import ForgetSet, Recipe, Suite
from expunge.terminal import LateLine
from tests.records import has
from tests.tiny_suite import tiny


@pytest.fixture(scope="module")
def oracle(suite: Suite, forget: ForgetSet) -> EnsembleMargins:
    return read_margins(Plan(suite, "oracle", forget), 0, 100)


def headline(scores: list[Score], method: str) -> Score:
    wanted = (method, "forget", "klom", "p95")
    (found,) = [
        score for score in scores if (score.subject.method, score.split, score.metric, score.aggregate) == wanted
    ]
    return found


def test_an_unlearned_ensemble_is_scored_beside_the_floor(
    ensemble: Ensemble, oracle: EnsembleMargins, forget: ForgetSet
) -> None:
    after = xp.unlearn(ensemble, forget, "scrub", lr=0.02)
    scores = xp.evaluate(after, oracle)
    assert {score.subject.method for score in scores} == {"oracle", "scrub"}
    mine, floor = headline(scores, "scrub"), headline(scores, "oracle")
    assert mine.models == floor.models == 3
    assert mine.oracle_models == 100
    assert mine.subject.config["lr"] == 0.02
    assert mine.cost is not None
    assert 0.05 < mine.cost < 0.15


def test_an_ensemble_that_nothing_was_done_to_is_identity(ensemble: Ensemble, oracle: EnsembleMargins) -> None:
    assert headline(xp.evaluate(ensemble, oracle), "identity").cost == 0


def test_a_watch_sees_every_metric_of_both_rows(ensemble: Ensemble, oracle: EnsembleMargins) -> None:
    seen: list[tuple[int, int]] = []
    xp.evaluate(ensemble, oracle, watch=lambda done, total, _: seen.append((done, total)))
    assert len(seen) > 2
    assert seen[-1][0] == seen[-1][1] == len(seen)


def test_work_that_takes_long_speaks_of_itself(
    ensemble: Ensemble, oracle: EnsembleMargins, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(LateLine, "FIRST", 0.0)
    monkeypatch.delenv("EXPUNGE_PROGRESS", raising=False)
    xp.evaluate(ensemble, oracle)
    assert "evaluate: " in capsys.readouterr().err


def test_a_plain_function_is_a_method(ensemble: Ensemble, forget: ForgetSet) -> None:
    def shrink(model: nn.Module, retain: TensorDataset, forget: TensorDataset, seed: int) -> nn.Module:
        for parameter in model.parameters():
            parameter.data.mul_(0.5)
        return model

    after = xp.unlearn(ensemble, forget, shrink)
    assert after.origin.made is not None
    assert after.origin.made.method == "shrink"


def test_a_function_may_give_its_batches_by_name(
    ensemble: Ensemble, forget: ForgetSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("expunge.methods.own.method.retraining_cpu_seconds", lambda *_: 1e9)  # so that passes count

    def once(model: nn.Module, retain: TensorDataset, forget: TensorDataset, seed: int) -> nn.Module:
        x, y = forget.tensors
        cross_entropy(model(input=x), y).backward()
        SGD(model.parameters(), lr=0.1).step()
        return model

    made = xp.unlearn(ensemble, forget, once).origin.made
    assert made is not None
    assert made.cost == pytest.approx(len(forget) / (15 * (1437 - len(forget))))


def test_mia_efficacy_of_a_bench_is_that_of_the_same_models_scored_by_hand(suite: Suite, tmp_path: Path) -> None:
    forget = suite.forget_sets["class-3"]
    plan = xp.plan_bench(suite, ["gradient-ascent"], [forget.name], models=5, tuning="default", classic=True)
    benched = xp.run_bench(plan, tmp_path)
    after = xp.unlearn(xp.pretrain(suite, models=5), forget, "gradient-ascent")
    by_hand = xp.evaluate(after, read_margins(Plan(suite, "oracle", forget), 0, 5), classic=True)
    found = [
        [score.value for score in scores if has(score, method="gradient-ascent", metric="mia-efficacy")]
        for scores in (benched, by_hand)
    ]
    assert found[0]
    assert found[0] == found[1]


def test_oracles_of_another_forget_set_are_refused(ensemble: Ensemble, suite: Suite, forget: ForgetSet) -> None:
    after = xp.unlearn(ensemble, forget, "gradient-ascent")
    others = read_margins(Plan(suite, "oracle", suite.forget_sets["class-3"]), 0, 10)
    with pytest.raises(MismatchedEnsembles, match="one forget set"):
        xp.evaluate(after, others)


def test_what_is_no_oracle_is_refused_as_a_reference(ensemble: Ensemble) -> None:
    with pytest.raises(MismatchedEnsembles, match="then oracles, got pretrained"):
        xp.evaluate(ensemble, ensemble)


def test_the_held_out_oracles_are_not_scored_against_themselves(
    ensemble: Ensemble, suite: Suite, forget: ForgetSet
) -> None:
    with pytest.raises(ValueError, match="held-out oracles"):
        xp.evaluate(ensemble, read_margins(Plan(suite, "oracle", forget), 100, 50))


def test_a_rank_is_one_plus_the_number_significantly_better() -> None:
    rng = np.random.default_rng(0)
    oracle, near, nearly, far = rng.normal(size=(4, 60, 40))
    ranks = rank({"near": near, "nearly": nearly, "far": far + 2, "farther": far + 4}, oracle, [np.arange(40)])
    assert [(each.best, each.worst) for each in ranks.values()] == [(1, 2), (1, 2), (3, 3), (4, 4)]


def test_a_copy_of_an_oracle_in_disguise_is_refused(suite: Suite, forget: ForgetSet) -> None:
    oracle = read_margins(Plan(suite, "oracle", forget), 0, 20)
    copied = np.asarray(oracle.values)[:10] * 1.01 + 0.05
    origin = replace(oracle.origin, kind="unlearned", models=tuple(range(10)))
    with pytest.raises(BadMargins, match=r"as one of the oracles does \(r = "):
        xp.evaluate(EnsembleMargins(copied, None, origin), oracle)


def all_alike() -> nn.Module:
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    for parameter in network.parameters():
        nn.init.zeros_(parameter)
    return network


def test_a_suite_whose_models_are_all_alike_is_benched_to_failed_rows_and_no_rank(tmp_path: Path) -> None:
    """From one start, in batches of all examples, each training is the same: oracles that are copies tell nothing."""
    suite = replace(tiny(), name="alike", network=all_alike, recipe=Recipe(epochs=3, batch_size=200, lr=0.1))
    build_all([(Plan(suite, "pretrained"), 12), (Plan(suite, "oracle", suite.forget_sets["more"]), 12)])
    scores = xp.run_bench(xp.plan_bench(suite, ["fine-tune"], ["more"], models=4), tmp_path)
    assert {score.status for score in scores if score.subject.method == "oracle"} == {"failed"}
    assert not [score for score in scores if score.metric == "rank"]
    assert xp.report(tmp_path, tmp_path / "page").exists()


def test_what_is_unlearned_twice_costs_both(suite: Suite) -> None:
    before = xp.pretrain(suite, models=2)
    once = xp.unlearn(before, "random-10", "fine-tune", epochs=1)
    twice = xp.unlearn(once, "random-10", "gradient-ascent", epochs=1)
    alone = xp.unlearn(before, "random-10", "gradient-ascent", epochs=1)
    assert once.origin.made
    assert twice.origin.made
    assert alone.origin.made
    assert twice.origin.made.cost == pytest.approx(once.origin.made.cost + alone.origin.made.cost)
    assert twice.origin.made.seconds > once.origin.made.seconds
