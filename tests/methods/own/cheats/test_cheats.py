"""No cheat of the gallery has a rank above an honest method, and each is told what was noticed."""

from pathlib import Path

import pytest

import expunge as xp
from expunge.bench.rows import rows_of
from expunge.bench.score import reference_of
from expunge.ensembles import Plan, read_margins
from expunge.methods.method import NoSettings
from expunge.methods.own.alarms import ANEW, ANOTHER, HIDDEN
from expunge.methods.own.oracle_guard import REFUSED
from expunge.methods.task import Outcome, Task, alarms_of_cost, unlearn_chunk
from expunge.reports.studies import cheating_methods as gallery
from expunge.suites import Suite

GALLERY = str(Path(gallery.__file__))
MODELS = 3
[DEAR] = alarms_of_cost(f"{GALLERY}:f", 1.0)


def task_of(name: str, suite: Suite, forget: str = "class-3") -> Task:
    return Task(suite, suite.forget_sets[forget], f"{GALLERY}:{name}", NoSettings(), 0)


def done(task: Task) -> Outcome:
    return unlearn_chunk(task, range(MODELS))


def alarms(name: str, suite: Suite) -> set[str]:
    """What the row of a cheat is told."""
    task = task_of(name, suite)
    outcome = done(task)
    assert not outcome.reason
    [row] = rows_of(task, [outcome], MODELS, reference_of(suite, task.forget, MODELS, MODELS))
    return set(row.alarms)


NOTICED = {
    "retrains_early": {ANEW},
    "retrains_in_place": {ANEW},
    "retrains_half": {ANEW},
    "lookup_head": {ANOTHER},
    "lookup_by_hook": {ANOTHER},
    "lookup_by_patch": {ANOTHER},
    "noise_head": {ANOTHER},
    "refusing_head": {ANOTHER},
    "statistics_alone": set(),
    "class_bias": {HIDDEN},
}


@pytest.mark.parametrize("name", NOTICED)
def test_it_is_told_what_was_noticed(name: str, suite: Suite) -> None:
    assert alarms(name, suite) == NOTICED[name]


@pytest.mark.parametrize(
    "name", ["retrains_by_fork", pytest.param("retrains_by_orphan", marks=pytest.mark.faults), "retrains_by_thread"]
)
def test_whoever_retrains_for_it_its_cost_is_that_of_retraining(name: str, suite: Suite) -> None:
    outcome = done(task_of(name, suite))
    assert outcome.artefact
    # About 1; half of it where types are checked at run time, which slows the yardstick, and not the function.
    assert outcome.artefact.meta["costs"][0] > 0.3
    assert ANEW in outcome.artefact.meta["alarms"]


@pytest.mark.parametrize("name", ["reads_the_oracles", "retrains_by_the_library"])
def test_what_reads_oracles_fails(name: str, suite: Suite) -> None:
    assert done(task_of(name, suite)).reason == f"{REFUSED}, on model 0"


@pytest.mark.parametrize("name", ["lookup_head", "noise_head", "refusing_head", "statistics_alone"])
def test_what_is_scored_is_the_suites_network_with_its_weights(name: str, suite: Suite) -> None:
    """So that a head of any kind wins nothing: it is as near to the given model as its weights are."""
    before = xp.pretrain(suite, models=MODELS).margins(suite.data)
    outcome = done(task_of(name, suite, "memorised-50"))
    assert outcome.artefact
    moved = abs(outcome.artefact.array("margins")[0] - before)
    assert moved.mean() < 0.5


def test_one_that_retrains_has_no_rank_and_an_honest_one_has(suite: Suite, tmp_path: Path) -> None:
    cheat = f"{GALLERY}:retrains_early"
    plan = xp.plan_bench(suite, ["fine-tune", cheat], ["class-3"], models=MODELS)
    scores = xp.run_bench(plan, tmp_path)
    ranked = {score.subject.method for score in scores if score.metric == "rank"}
    assert "fine-tune" in ranked
    assert cheat not in ranked
    assert {score.reason for score in scores if score.subject.method == cheat} == {ANEW}


def test_a_function_in_this_process_is_judged_alike(suite: Suite) -> None:
    before = xp.pretrain(suite, models=MODELS)
    made = xp.unlearn(before, "class-3", gallery.retrains_early).origin.made
    assert made is not None
    assert made.alarms == (ANEW,)
    alone = xp.unlearn(xp.pretrain(suite, models=1), "class-3", gallery.retrains_early).origin.made
    assert alone is not None
    assert alone.alarms == (ANEW,)
    wrapped = xp.unlearn(before, "class-3", gallery.lookup_head).origin.made
    assert wrapped is not None
    assert wrapped.alarms == (ANOTHER,)


def test_scores_of_one_that_was_made_here_say_so(suite: Suite) -> None:
    after = xp.unlearn(xp.pretrain(suite, models=MODELS), "class-3", gallery.retrains_early)
    oracle = read_margins(Plan(suite, "oracle", suite.forget_sets["class-3"]), 0, MODELS)
    scores = [score for score in xp.evaluate(after, oracle) if score.subject.method == "retrains_early"]
    assert scores
    assert {score.reason for score in scores} == {ANEW}


def test_what_costs_as_much_as_retraining_is_told_so() -> None:
    assert alarms_of_cost("mine.py:f", 0.89) == ()
    assert alarms_of_cost("mine.py:f", 0.9) == (DEAR,)
    assert alarms_of_cost("f", 1.3) == (DEAR,)
    assert alarms_of_cost("fine-tune", 1.3) == ()  # its row in METHODS says who is ranked
    assert alarms_of_cost("f", None) == ()
