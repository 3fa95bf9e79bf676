"""Methods that start from models of their own: SISA, whose shards are retrained, and amnesiac unlearning."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from expunge.bench.plan import plan_bench
from expunge.bench.rebuild import rebuild
from expunge.bench.run import run_bench
from expunge.ensembles import Ensemble, Plan, build_all
from expunge.ensembles.pretraining import read_weights
from expunge.ensembles.seeds import Generators, seed_of
from expunge.ensembles.shards import checkpoint, places, stage_recipe
from expunge.ensembles.train import train
from expunge.errors import BadSetting, StoreError
from expunge.methods import METHODS, Step, run_method
from expunge.methods.task import Task
from expunge.methods.tuned import Used
from expunge.methods.zoo.amnesiac import Amnesiac
from expunge.methods.zoo.sisa import Sisa, clean_slices
from expunge.store import at_store
from expunge.suites import ForgetSet, Suite
from tests.methods.cases import OWN_MODELS

PAIR = ForgetSet("pair", np.array([5, 100]), "two examples")
PLAN = (("shards", 3), ("slices", 2))


@pytest.fixture
def built(workshop: tuple[Suite, Path]) -> Iterator[Suite]:
    suite, place = workshop
    with at_store(place):
        yield suite


@pytest.fixture
def three(ensemble: Ensemble) -> Ensemble:
    """Three models of the network, whose weights no method here looks at."""
    ensemble.origin = dataclasses.replace(ensemble.origin, models=(0, 1, 2))
    return ensemble


def run(name: str, ensemble: Ensemble, suite: Suite, config: object, forget: ForgetSet = PAIR) -> Step:
    *_, last = run_method(name, METHODS[name], config, ensemble, suite, forget)
    return last


def test_a_shard_without_forget_is_untouched_and_another_is_retrained_from_its_last_clean_slice(
    built: Suite, three: Ensemble
) -> None:
    last, plan = run("sisa", three, built, Sisa()), Plan(built, "sharded", settings=PLAN)
    where, state, retain = places(plan, range(3)), read_weights(plan, range(3)), torch.from_numpy(built.retain(PAIR))
    seen, units = {"untouched": 0, "retrained": 0}, 0
    for model in range(3):
        rng = Generators([seed_of(built.digest, "unlearn", "sisa", PAIR.digest, model, 0)])
        for shard in range(3):
            hit = [int(place) % 2 for place in where[model, PAIR.indices] if int(place) // 2 == shard]
            clean = min(hit, default=2)
            start = {key: tensor[[model]] for key, tensor in checkpoint(state, shard, clean).items()}
            one = Ensemble.from_state(three.network, start, plan.origin([model]), three.sample_shape)
            for stage in range(clean + 1, 3):
                kept = where[model, retain]
                rows = retain[(kept // 2 == shard) & (kept % 2 < stage)]
                recipe = stage_recipe(built.recipe, 2)
                train(one, built.data.train, rows[None], recipe, rng)
                units += recipe.epochs * len(rows)
            seen["retrained" if hit else "untouched"] += 1
            found = last.ensemble.state()
            for key, tensor in one.state().items():
                assert torch.equal(found[f"members.{shard}.{key}"][[model]], tensor), (model, shard, key)
    assert min(seen.values()) > 0
    assert last.cost == pytest.approx(units / (3 * built.recipe.epochs * len(retain)))


def test_slices_before_the_first_forgotten_example_are_clean() -> None:
    forget = torch.tensor([7, 5, 11])  # of four shards of three slices: the second slice of shard 2, and so on
    assert [clean_slices(forget, shard, 3) for shard in range(4)] == [3, 2, 1, 2]


def test_amnesiac_takes_back_exactly_what_was_logged_and_repair_costs_what_it_does(
    built: Suite, three: Ensemble
) -> None:
    forget = built.forget_sets["random-20"]
    removed, state = run("amnesiac", three, built, Amnesiac(epochs=0), forget), None
    assert removed.cost == 0
    state = read_weights(Plan(built, "logged", forget), range(3))
    for key, tensor in removed.ensemble.state().items():
        taken = state.get(f"updates.{key}", torch.zeros(()))
        assert torch.equal(tensor, state[f"trained.{key}"] - taken), key
    assert any((state[f"updates.{key}"] != 0).any() for key, _ in three.network.named_parameters())
    assert run("amnesiac", three, built, Amnesiac(epochs=1), forget).cost == pytest.approx(1 / built.recipe.epochs)
    assert Amnesiac().epochs / 15 <= 0.15  # of a retraining of digits


@pytest.mark.parametrize(
    ("name", "config"),
    [("sisa", Sisa(shards=5)), ("amnesiac", Amnesiac())],
)
def test_what_was_not_built_is_said_with_what_makes_it_before_any_work(
    name: str, config: object, built: Suite, three: Ensemble
) -> None:
    with pytest.raises(StoreError, match=rf"rebuild\(suite, methods=\['{name}'\]"):
        Task(built, PAIR, name, config, 0).require(range(3))
    with pytest.raises(StoreError, match=rf"rebuild\(suite, methods=\['{name}'\]"):
        run(name, three, built, config)


def test_a_bench_scores_them_where_they_are_built_and_else_leaves_them_out(built: Suite, tmp_path: Path) -> None:
    sets = list(built.forget_sets)
    build_all([(Plan(built, "pretrained"), 6), (Plan(built, "oracle", built.forget_sets["random-20"]), 6)])
    scores = run_bench(plan_bench(built, OWN_MODELS, sets, models=3, tuning="default"), tmp_path)
    found = {(score.subject.method, score.metric, score.status) for score in scores}
    assert {("sisa", "klom", "ok"), ("sisa", "accuracy", "ok"), ("amnesiac", "klom", "ok")} <= found
    assert set(OWN_MODELS) <= {task.name for task in plan_bench(built, None, sets, models=3, tuning="default").tasks}
    with at_store(tmp_path / "empty"):
        assert {task.name for task in plan_bench(built, None, sets, models=3, tuning="default").tasks}.isdisjoint(
            OWN_MODELS
        )


def test_a_bench_of_more_models_than_were_built_is_refused_before_any_work(built: Suite, tmp_path: Path) -> None:
    plan = plan_bench(built, ["sisa"], None, models=3, tuning="default")
    (task,) = [each for each in plan.tasks if each.name == "sisa"]
    task.require(range(3))
    with pytest.raises(StoreError, match="sisa needs 4 sharded"):
        task.require(range(4))


def test_building_for_a_method_builds_that_alone_and_once(built: Suite, tmp_path: Path) -> None:
    settings = {"sisa": {"shards": 2, "slices": 1}}
    with at_store(tmp_path):
        (row,) = rebuild(built, methods=["sisa"], settings=settings, tuning="default", models=3)
        assert row["ensemble"] == "sharded"
        made = {str(file.relative_to(tmp_path / built.digest)) for file in tmp_path.rglob("manifest.json")}
        assert made == {f"sharded/shards-2/slices-1/{part}manifest.json" for part in ("", "chunks/0000/")}
        before = {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*.safetensors")}
        rebuild(built, methods=["sisa"], settings=settings, tuning="default", models=3)
        assert {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*.safetensors")} == before


def test_what_is_built_is_what_a_bench_takes(built: Suite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tuned settings of a suite, where there are some."""

    def tuned(suite: Suite, forget: ForgetSet, name: str, settings: object, tuning: str, budget: float) -> Used:
        return Used({"shards": 2, "slices": 1} if (tuning, budget) == ("tuned", 0.15) else {}, tuning)

    monkeypatch.setattr("expunge.bench.rebuild.settings_for", tuned)
    with at_store(tmp_path):
        rebuild(built, methods=["sisa"], models=3)
        assert (tmp_path / built.digest / "sharded" / "shards-2" / "slices-1" / "manifest.json").exists()


def test_what_is_built_for_no_method_is_refused(built: Suite) -> None:
    with pytest.raises(BadSetting, match="'scrub' needs nothing beside what is built for every suite"):
        rebuild(built, methods=["scrub"], tuning="default")
    with pytest.raises(BadSetting, match="a setting is given for scrub, for which nothing is built"):
        rebuild(built, methods=["sisa"], settings={"scrub": {"lr": 1.0}}, tuning="default")


def test_models_of_their_own_are_not_made_sparse(built: Suite) -> None:
    sparse = dataclasses.replace(built, recipe=dataclasses.replace(built.recipe, prune="omp:0.5"))
    for name in OWN_MODELS:
        with pytest.raises(StoreError, match="not made sparse"):
            Task(sparse, PAIR, name, METHODS[name].config(), 0).require(range(3))
        with pytest.raises(StoreError, match="not made sparse"):
            rebuild(sparse, methods=[name], tuning="default")
