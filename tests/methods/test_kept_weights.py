"""Weights of unlearned models are kept when they are asked for, under the key of their margins."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from expunge.bench.plan import plan_bench
from expunge.bench.run import run_bench
from expunge.ensembles.pretraining import pretrain
from expunge.ensembles.train import measure
from expunge.errors import BadSetting, MethodFailed
from expunge.methods import configure, find_method, unlearn
from expunge.methods.task import Task, finished, unlearn_chunk, unlearned_models
from expunge.store import at_store, user_store
from expunge.suites import Suite


def a_task(suite: Suite, name: str, seed: int = 0, **settings: object) -> Task:
    return Task(suite, suite.forget_sets["first"], name, configure(name, find_method(name), settings), seed)


def test_models_are_those_whose_margins_are_kept(tiny_suite: Suite, tiny_store: Path) -> None:
    task = a_task(tiny_suite, "fine-tune", epochs=2)
    with at_store(tiny_store):
        models = unlearned_models(task, range(5))  # over a chunk's end
        by_hand = unlearn(pretrain(tiny_suite, 5), task.forget, "fine-tune", suite=tiny_suite, epochs=2)
        for key, tensor in by_hand.state().items():
            assert torch.equal(models.state()[key], tensor)
        assert models.origin.kind == "unlearned"
        assert models.origin.made is not None
        assert models.origin.made.epoch == 2
        kept = user_store().read(task.key(range(3)))
        assert kept is not None
        np.testing.assert_array_equal(
            kept.array("margins")[-1], measure(models.take(range(3)), tiny_suite.data)[0].numpy()
        )


def test_they_are_kept_once_and_then_read(tiny_suite: Suite, tiny_store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = a_task(tiny_suite, "gradient-ascent", seed=1)
    with at_store(tiny_store):
        before = unlearn_chunk(task, range(3))
        assert finished(task, range(3)) is not None
        assert finished(task, range(3), with_weights=True) is None
        first = unlearned_models(task, range(3)).state()
        after = finished(task, range(3), with_weights=True)
        assert before.artefact is not None
        assert after is not None
        assert after.artefact is not None
        assert after.artefact.folder == before.artefact.folder
        monkeypatch.setattr("expunge.methods.task.run_method", None)  # nothing is run again
        assert all(torch.equal(first[key], each) for key, each in unlearned_models(task, range(3)).state().items())


def test_a_bench_keeps_them_when_it_is_told_to(tiny_suite: Suite, tiny_store: Path, tmp_path: Path) -> None:
    with at_store(tiny_store):
        plan = plan_bench(tiny_suite, ["fine-tune"], ["first"], models=6, seed=3, tuning="default", keep_weights=True)
        run_bench(plan, tmp_path)
        [task] = [task for task in plan.tasks if task.name == "fine-tune"]
        assert all(finished(task, part, with_weights=True) for part in task.chunks(range(6)))
        without = replace(plan, keep_weights=False)
        assert all(finished(task, part) for task in without.tasks[2:] for part in task.chunks(range(6)))


def test_rows_without_models_are_refused(tiny_suite: Suite, tiny_store: Path) -> None:
    with at_store(tiny_store):
        for name in ("oracle", "dm-direct"):
            with pytest.raises(BadSetting, match="makes no models, only margins"):
                unlearned_models(a_task(tiny_suite, name), range(3))
        assert len(unlearned_models(a_task(tiny_suite, "identity"), range(3))) == 3


def test_a_method_that_fails_has_no_models(tiny_suite: Suite, tiny_store: Path) -> None:
    with at_store(tiny_store), pytest.raises(MethodFailed, match="gradient-ascent on first: raised RuntimeError"):
        unlearned_models(a_task(tiny_suite, "gradient-ascent", lr=1e39), range(3))


def test_a_method_that_predicts_margins_lacks_no_weights(suite: Suite) -> None:
    config = configure("dm-direct", find_method("dm-direct"), {})
    task = Task(suite, suite.forget_sets["random-10"], "dm-direct", config, 0)
    assert unlearn_chunk(task, range(3), True).artefact is not None
    assert finished(task, range(3), with_weights=True) is not None
