"""Methods that use retrained models: which ones, what they say where those are missing, and rows without models."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from expunge.bench.plan import plan_bench
from expunge.bench.run import run_bench
from expunge.ensembles import Ensemble, Plan, read_margins
from expunge.ensembles.device import resident_split
from expunge.errors import BadSetting, StoreError
from expunge.methods import METHODS, configure, run_method, unlearn
from expunge.methods.parts.examples import joined
from expunge.methods.parts.matching import ByExample
from expunge.methods.task import Task, unlearn_chunk
from expunge.methods.zoo.oracle_matching import OracleMatching, held_out_margins
from expunge.suites import Examples, ForgetSet, Split, Suite
from expunge.suites.recipe import Recipe
from expunge.suites.target import log_odds as margins
from tests.ensembles.plain import CLASSES, convolutional, ensemble_of, random_examples
from tests.ensembles.test_device import EXAMPLES, META, MODELS, OneDevice, meta_generators
from tests.methods.cases import CASES
from tests.methods.equations.toy import SIX, W, require_steps, run_toy


def test_oracles_to_match_are_never_those_of_the_reference(suite: Suite, forget: ForgetSet) -> None:
    oracles = read_margins(Plan(suite, "oracle", forget), 0, 200).values
    found = held_out_margins(suite, forget, range(200), OracleMatching())
    wanted = oracles[100 + np.arange(200) % 100][:, forget.indices]
    np.testing.assert_array_equal(found.forget.numpy(), wanted)
    both = held_out_margins(suite, forget, [3], OracleMatching(oracles=2)).retain.numpy()
    np.testing.assert_allclose(both[0], oracles[106:108][:, suite.retain(forget)].mean(axis=0), rtol=1e-6)


def test_more_oracles_than_are_held_out_are_refused(suite: Suite, forget: ForgetSet) -> None:
    prepare = METHODS["oracle-matching"].prepare
    assert prepare
    assert prepare.require
    with pytest.raises(BadSetting, match="at most 100, got 101"):
        prepare.require(suite, forget, OracleMatching(oracles=101))
    with pytest.raises(BadSetting, match="at most 100, got 101"):
        prepare.load(suite, forget, [0], OracleMatching(oracles=101))


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("oracle-matching", r"xp.retrain\(suite, forget, models=200\)"),
        ("dm-direct", r"rebuild\(suite\)"),
        ("dmm", r"rebuild\(suite\)"),
    ],
)
def test_what_is_missing_in_the_store_is_said_with_what_makes_it(name: str, command: str, suite: Suite) -> None:
    other = dataclasses.replace(suite, version=99)  # another digest: nothing of it is shipped
    prepare = METHODS[name].prepare
    assert prepare
    assert prepare.require
    with pytest.raises(StoreError, match=command):
        prepare.require(other, ForgetSet("mine", np.arange(5), ""), METHODS[name].config())


def test_a_suite_without_models_on_halves_has_no_datamodels_and_a_bench_of_all_leaves_them_out(suite: Suite) -> None:
    without = dataclasses.replace(suite, subsets=0)
    prepare = METHODS["dmm"].prepare
    assert prepare
    assert prepare.require
    with pytest.raises(StoreError, match="has no models trained on halves"):
        prepare.require(without, suite.forget_sets["random-50"], METHODS["dmm"].config())
    named = {task.name for task in plan_bench(without, ["dmm"], ["random-50"], models=2).tasks}
    every = {task.name for task in plan_bench(without, None, ["random-50"], models=2).tasks}
    beside = {task.name for task in plan_bench(without, ["dmm", "all"], ["random-50"], models=2).tasks}
    assert beside == every | {"dmm"}
    assert "dmm" in named
    assert every.isdisjoint({"dmm", "dm-direct"})
    assert {"oracle-matching", "fine-tune"} <= every


def test_matching_brings_margins_nearer_to_the_oracles_they_were_given(
    ensemble: Ensemble, suite: Suite, forget: ForgetSet
) -> None:
    method, config = METHODS["oracle-matching"], OracleMatching()
    *_, last = run_method("oracle-matching", method, config, ensemble, suite, forget)
    wanted = held_out_margins(suite, forget, ensemble.origin.models, config).forget
    x, y = suite.data.train.x[forget.indices], suite.data.train.y[forget.indices]

    def distance(models: Ensemble) -> Tensor:
        logits: Tensor = models.eval()(x)
        own = logits.gather(-1, y.expand(len(models), -1)[..., None])[..., 0]
        others = logits.scatter(-1, y.expand(len(models), -1)[..., None], -torch.inf).logsumexp(-1)
        return (own - others - wanted).square().mean(1)

    assert (distance(last.ensemble) < 0.5 * distance(ensemble)).all()
    assert last.cost > 1


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.given is ByExample])
def test_they_run_where_the_ensemble_and_the_split_are(name: str) -> None:
    data, unlearn = random_examples(EXAMPLES, torch.float32), METHODS[name].unlearn
    assert unlearn
    extra = ByExample(torch.zeros(1, EXAMPLES - 30), torch.zeros(1, 30))
    parts = Examples(data.x[:30], data.y[:30]), Examples(data.x[30:], data.y[30:])
    split = resident_split(
        Split(*parts, CLASSES, Recipe(epochs=1, batch_size=16, lr=0.1), convolutional, extra=extra), META
    )
    ensemble = ensemble_of([convolutional() for _ in range(MODELS)]).to(META)
    with OneDevice():
        students = list(unlearn(ensemble, split, METHODS[name].config(), meta_generators()))
    assert [student.device for student in students] == [META] * METHODS[name].config().epochs


def test_a_row_that_predicts_is_refused_as_a_model(ensemble: Ensemble, suite: Suite, forget: ForgetSet) -> None:
    method = METHODS["dm-direct"]
    with pytest.raises(BadSetting, match="predicts margins and makes no models"):
        next(run_method("dm-direct", method, method.config(), ensemble, suite, forget))
    with pytest.raises(BadSetting, match="predicts margins and makes no models"):
        unlearn(ensemble, forget, "dm-direct")


def test_a_prediction_has_margins_no_accuracy_and_no_cost(suite: Suite, forget: ForgetSet) -> None:
    task = Task(suite, forget, "dm-direct", configure("dm-direct", METHODS["dm-direct"], {}), 0)
    outcome = unlearn_chunk(task, range(100, 103))
    assert outcome.artefact
    assert "correct" not in outcome.artefact
    assert outcome.artefact.meta["costs"] == [0.0]
    before = read_margins(Plan(suite, "pretrained"), 100, 3).values
    moved = outcome.artefact.array("margins")[0] - before
    np.testing.assert_allclose(moved, moved[:1].repeat(3, axis=0), atol=1e-4)  # the same for all models
    assert moved[0, forget.indices].mean() < -0.05


def test_rows_with_retrained_models_are_benched_and_only_methods_are_ranked(suite: Suite, tmp_path: Path) -> None:
    names, settings = ["dm-direct", "oracle-matching"], {"oracle-matching": {"epochs": 1}}
    scores = run_bench(plan_bench(suite, names, ["memorised-50"], models=20, settings=settings), tmp_path)
    found = {(score.subject.method, score.metric) for score in scores if score.status == "ok"}
    assert {("dm-direct", "klom"), ("oracle-matching", "klom"), ("dm-direct", "rank")} <= found
    assert ("dm-direct", "accuracy") not in found
    assert ("oracle-matching", "accuracy") in found
    assert ("oracle-matching", "rank") not in found


def by_hand(targets: Tensor) -> list[Tensor]:
    """Two epochs of torch's Adam on all six examples at once, each with a margin of its own to come to."""
    w, examples = W.clone().requires_grad_(), joined([SIX.forget, SIX.retain])
    x, y = examples.x, examples.y
    optimizer, found = torch.optim.Adam([w], lr=0.01), []
    for _ in range(2):
        logits = x @ w.T
        own = logits.gather(1, y[:, None])[:, 0]
        others = logits.masked_fill(torch.nn.functional.one_hot(y, 3).bool(), -torch.inf).logsumexp(1)
        optimizer.zero_grad()
        (own - others - targets).square().mean().backward()
        optimizer.step()
        optimizer.param_groups[0]["lr"] *= 0.5
        found.append(w.detach().clone())
    return found


@pytest.mark.parametrize("name", ["oracle-matching", "dmm"])
def test_every_example_is_matched_to_a_margin_of_its_own(name: str) -> None:
    settings = {"epochs": 2, "lr": 0.01, "decay": 0.5, "forget_multiplier": 1, "retain_multiplier": 1}
    values = torch.tensor([0.9, -1.5, 0.2, 2.0, -0.3, 0.6], dtype=torch.float64)
    given = ByExample(forget=values[None, :3], retain=values[None, 3:])
    examples = joined([SIX.forget, SIX.retain])
    before = margins((examples.x @ W.T)[None], examples.y[None])[0]
    targets = values if name == "oracle-matching" else before - 2 * values
    found = run_toy(name, {**settings, "multiplier": 2.0}, dataclasses.replace(SIX, extra=given))
    require_steps(found, *by_hand(targets))
    swapped = targets[[1, 0, 2, 3, 4, 5]]
    with pytest.raises(AssertionError):
        require_steps(found, *by_hand(swapped))
