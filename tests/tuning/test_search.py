"""Tuning looks at nothing that is scored, tries the same settings again for the same seed, and chooses the best."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import pytest
import torch
from numpy import ndarray

from expunge.ensembles import Ensemble, Plan, build_all, pretrain, read_margins, retrain
from expunge.ensembles.builds import derive_forget_sets
from expunge.ensembles.stored_margins import read_subsets
from expunge.ensembles.train import measure
from expunge.errors import BadSetting, MethodFailed, StoreError, UnknownName
from expunge.methods import METHODS, Method, configure, run_method
from expunge.methods.method import Preparation
from expunge.methods.needs import ORACLES
from expunge.methods.spaces import Between, OneOf, Space
from expunge.methods.task import Task
from expunge.methods.tuned import Trial, found_for, read_search, write_search
from expunge.methods.zoo.fine_tune import FineTune
from expunge.metrics.klom import klom
from expunge.suites import ForgetSet, ForgetSets, Suite, load_suite
from expunge.suites.derived import with_derived
from expunge.suites.forget_sets import memorisation
from expunge.tuning.samplers import OptunaSearch, RandomSearch
from expunge.tuning.search import choose, tune
from expunge.tuning.trials import Field, _measured
from expunge.tuning.tuning_sets import tuning_sets
from tests.tiny_suite import crowded, tiny

SPACE: dict[str, Space] = {
    "lr": Between(1e-4, 0.5, log=True),
    "size": OneOf((4, 16)),
    "count": Between(1, 3, whole=True),
}
NAME = "fine-tune"


class Few(TypedDict):
    """How many models a search works with."""

    models: int
    oracles: int


SMALL: Few = {"models": 3, "oracles": 3}


@pytest.fixture
def small() -> Suite:
    return tiny()


def test_tuning_sets_of_digits_are_of_examples_in_no_forget_set(suite: Suite) -> None:
    used = set(np.concatenate([each.indices for each in suite.forget_sets.values()]).tolist())
    sets = {each.name: each for each in tuning_sets(suite)}
    assert sets.keys() == {"tuning-random", "tuning-class", "tuning-memorised"}
    assert len(sets["tuning-random"]) == len(sets["tuning-memorised"]) == 50
    assert len(np.unique(suite.data.train.y[sets["tuning-class"].indices])) == 1
    for each in sets.values():
        assert not used & set(each.indices.tolist())
    assert [each.digest for each in tuning_sets(suite)] == [each.digest for each in sets.values()]


def test_the_memorised_tuning_set_is_of_the_most_memorised_that_are_free(suite: Suite) -> None:
    (hard,) = [each for each in tuning_sets(suite) if each.name == "tuning-memorised"]
    margins, masks = read_subsets(suite)
    own = memorisation(np.asarray(margins[:, : suite.data.sizes[0]]), np.asarray(masks))
    used = np.concatenate([each.indices for each in suite.forget_sets.values()])
    others = np.setdiff1d(np.arange(suite.data.sizes[0]), np.concatenate([used, hard.indices]))
    assert own[hard.indices].min() >= own[others].max()


def test_the_part_of_a_class_is_as_large_as_the_largest_forget_set_or_as_the_class_has_left(small: Suite) -> None:
    (_, part) = tuning_sets(small)
    labels, free = small.data.train.y.numpy(), np.arange(25, 200)
    left = np.bincount(labels[free]).max()
    assert len(part) == min(20, left)
    assert (labels[part.indices] == np.bincount(labels[free]).argmax()).all()


def test_tuning_sets_of_a_suite_without_subsets(small: Suite) -> None:
    random, part = tuning_sets(small)
    assert len(random) == 15  # between 10 and 20
    assert 2 <= len(part) <= 20
    assert min(random.indices[0], part.indices[0]) >= 25


def test_forget_sets_that_leave_too_little_are_told_in_one_line() -> None:
    with pytest.raises(BadSetting, match=r"leave 50 of 200 training examples, expected at least 80"):
        tuning_sets(crowded())


def test_forget_sets_that_are_not_made_yet_are_asked_for_first() -> None:
    with pytest.raises(StoreError, match="run `expunge build fashion-mnist-10k` first"):
        tuning_sets(load_suite("fashion-mnist-10k"))


def test_a_suite_made_in_python_is_told_what_makes_its_forget_sets_there(small: Suite) -> None:
    derived = replace(small, name="of ones own", derive=lambda margins, masks: ForgetSets({}))
    with pytest.raises(StoreError, match=r"make them by expunge\.bench\.rebuild\.rebuild\(suite\)"):
        tuning_sets(derived)
    with pytest.raises(UnknownName, match=r"expunge\.bench\.rebuild\.rebuild\(suite\).* makes more"):
        with_derived(derived).forget_sets["nowhere"]


def test_random_search_repeats_itself_and_a_larger_budget_goes_on() -> None:
    few, many = (RandomSearch(SPACE, 3, NAME).ask(count) for count in (4, 9))
    assert few == many[:4]
    assert many != RandomSearch(SPACE, 4, NAME).ask(9)
    assert many != RandomSearch(SPACE, 3, "scrub").ask(9)
    assert all(1e-4 <= float(each["lr"]) <= 0.5 and each["size"] in (4, 16) for each in many)
    assert {each["count"] for each in many} == {1, 2, 3}


def test_random_search_ends_where_a_finite_space_does() -> None:
    tried = RandomSearch({"size": OneOf((4, 16)), "epochs": OneOf((1, 2))}, 0, NAME).ask(20)
    assert len(tried) == 4
    assert len({tuple(each.values()) for each in tried}) == 4


def test_optuna_repeats_itself_and_comes_nearer() -> None:
    pytest.importorskip("optuna")

    def run() -> list[float]:
        search, found = OptunaSearch(SPACE, 0, NAME), []
        for _ in range(12):
            asked = search.ask(40)
            values = [abs(float(each["lr"]) - 0.1) + float(each["count"]) for each in asked]
            search.tell([None, *values[1:]])  # the first of each batch failed
            found += values
        return found

    values = run()
    assert values == run()
    assert len(values) == 48
    assert np.mean(values[-12:]) < np.mean(values[:12])


def test_optuna_that_is_not_installed_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch, small: Suite) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(BadSetting, match=r"not installed; run pip install -e '\.\[tune\]' in"):
        tune(NAME, small, sampler="optuna", **SMALL)


def by_hand(suite: Suite, forget: ForgetSet, **settings: object) -> list[float]:
    """P95 of KLoM of models 6 to 8 against oracles 0 to 2."""
    config = configure(NAME, METHODS[NAME], settings)
    *_, last = run_method(NAME, METHODS[NAME], config, pretrain(suite, 3, first=6), suite, forget)
    margins = measure(last.ensemble, suite.data)[0].numpy()
    oracle = measure(retrain(suite, forget, 3), suite.data)[0].numpy()
    values = klom(margins, oracle)
    return [float(np.percentile(values[columns], 95)) for columns in suite.columns(forget).values()]


def test_the_objective_is_the_mean_p95_of_klom_and_the_least_is_chosen(small: Suite) -> None:
    search = tune(NAME, small, budget=3, limit=1, **SMALL)
    assert (search.pretrained, search.oracles) == ([6, 8], [0, 2])
    assert [trial.number for trial in search.trials] == [0, 1, 2]
    assert search.trials[0].settings == {}
    for trial in search.trials:
        expected = [by_hand(small, forget, **trial.settings) for forget in tuning_sets(small)]
        assert trial.objective == pytest.approx(np.mean(expected), abs=1e-6)
    best = min(search.trials, key=lambda trial: trial.objective or 0.0)
    assert search.chosen is not None
    assert search.chosen.trial == best.number
    assert search.chosen.settings.items() >= best.settings.items()
    untouched = [
        klom(
            np.array(read_margins(Plan(small, "pretrained"), 6, 3).values),
            np.array(read_margins(Plan(small, "oracle", forget), 0, 3).values),
        )
        for forget in tuning_sets(small)
    ]
    parts = [
        np.percentile(values[columns], 95)
        for values, forget in zip(untouched, tuning_sets(small), strict=True)
        for columns in small.columns(forget).values()
    ]
    assert search.untouched == pytest.approx(np.mean(parts))


def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many trials have run on a tuning set."""
    runs: list[int] = []

    def measured(field: Field, task: Task) -> dict[str, Any]:
        runs.append(1)
        return _measured(field, task)

    monkeypatch.setattr("expunge.tuning.trials._measured", measured)
    return runs


def test_a_finished_trial_is_never_run_again(small: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = counted(monkeypatch)
    first = tune(NAME, small, budget=2, limit=1, **SMALL)
    assert len(runs) == 4  # two trials on two tuning sets
    assert tune(NAME, small, budget=2, limit=1, **SMALL) == first
    assert len(runs) == 4
    assert tune(NAME, small, budget=3, limit=1, **SMALL).trials[:2] == first.trials
    assert len(runs) == 6


def test_a_search_by_optuna_goes_on_where_it_was(small: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("optuna")
    first = tune(NAME, small, budget=3, sampler="optuna", limit=1, **SMALL)
    runs = counted(monkeypatch)
    assert tune(NAME, small, budget=3, sampler="optuna", limit=1, **SMALL) == first
    assert runs == []
    assert len({str(trial.settings) for trial in first.trials}) == 3


@pytest.mark.faults
def test_trials_do_not_depend_on_the_number_of_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for workers in (1, 2):
        monkeypatch.setenv("EXPUNGE_STORE", str(tmp_path / str(workers)))
        tiny_suite = f"{Path(__file__).parents[1] / 'tiny_suite.py'}:tiny"
        found.append(tune(NAME, tiny_suite, budget=2, limit=1, workers=workers, **SMALL))
    trials = [[replace(trial, seconds=None) for trial in search.trials] for search in found]
    assert trials[0] == trials[1]


def test_what_is_interrupted_loses_the_running_trial_only(small: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(done: int, total: int, label: str) -> None:
        if label.startswith("trial 1 "):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tune(NAME, small, budget=3, limit=1, watch=stop, **SMALL)
    runs = counted(monkeypatch)
    tune(NAME, small, budget=3, limit=1, **SMALL)
    assert len(runs) == 3  # of six: trial 0 on both sets and trial 1 on the first were kept


def test_a_trial_that_costs_too_much_is_listed_kept_and_never_chosen(
    small: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    search = tune(NAME, small, budget=2, limit=0.01, **SMALL)
    assert search.chosen is None
    assert all(trial.objective is None for trial in search.trials)
    assert search.trials[0].reason.startswith("tuning-random: costs too much: more than 1.0% of")
    runs = counted(monkeypatch)
    assert tune(NAME, small, budget=2, limit=0.01, **SMALL) == search
    assert runs == []


def test_a_trial_that_costs_too_much_is_stopped_there(small: Suite) -> None:
    forget, ensemble = tuning_sets(small)[0], pretrain(small, 3)
    named = NAME, METHODS[NAME], configure(NAME, METHODS[NAME], {"epochs": 100})
    costs: list[float] = []
    steps = run_method(*named, ensemble, small, forget, limit=0.3)
    with pytest.raises(MethodFailed, match=r"more than 30\.0% of a retraining"):
        costs.extend(step.cost for step in steps)
    assert costs == [0.125, 0.25]


def test_of_many_examples_some_are_looked_at(small: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    """At most MOST of each split, the same for every trial, evenly spaced; the forget set and the oracles with them."""
    monkeypatch.setattr("expunge.tuning.trials.MOST", 7)
    search = tune(NAME, small, budget=1, limit=1, **SMALL)
    values = []
    for forget in tuning_sets(small):
        config = configure(NAME, METHODS[NAME], {})
        *_, last = run_method(NAME, METHODS[NAME], config, pretrain(small, 3, first=6), small, forget)
        margins = measure(last.ensemble, small.data)[0].numpy()
        each = klom(margins, measure(retrain(small, forget, 3), small.data)[0].numpy())
        columns = small.columns(forget).values()
        some = [part[np.linspace(0, len(part) - 1, min(7, len(part))).round().astype(int)] for part in columns]
        values += [float(np.percentile(each[part], 95)) for part in some]
    assert search.trials[0].objective == pytest.approx(np.mean(values), abs=1e-6)
    assert search.trials[0].objective != pytest.approx(np.mean([by_hand(small, each) for each in tuning_sets(small)]))


def test_a_method_that_trains_from_scratch_has_no_limit(small: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(METHODS, NAME, replace(METHODS[NAME], from_scratch=True))
    search = tune(NAME, small, budget=1, limit=0.01, **SMALL)
    assert search.limit is None
    assert search.chosen is not None


def spoiled(monkeypatch: pytest.MonkeyPatch, **changes: Any) -> None:
    """Fine-tuning that does something else."""
    row: Method = METHODS[NAME]
    monkeypatch.setitem(METHODS, NAME, replace(row, **changes))


def test_a_trial_that_diverges_is_failed_and_the_others_finish(small: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(ensemble: Ensemble, split: object, cfg: FineTune, rng: object) -> Iterator[Ensemble]:
        after = ensemble.copy()
        next(after.parameters()).data.mul_(torch.inf if cfg.lr > 1 else 0.9)
        yield after.eval()

    spoiled(monkeypatch, unlearn=breaks, search={"lr": OneOf((1e30, 0.01))})
    search = tune(NAME, small, budget=3, limit=1, **SMALL)
    reasons = {trial.settings.get("lr"): trial.reason for trial in search.trials}
    assert "diverged: the weights of models" in reasons[1e30]
    assert reasons[0.01] == ""
    assert search.chosen is not None
    assert search.chosen.settings["lr"] != 1e30


def test_a_trial_with_outliers_among_its_models_is_failed(small: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    def explode(ensemble: Ensemble, *_: object) -> Iterator[Ensemble]:
        after = ensemble.copy()
        for parameter in after.parameters():
            parameter.data[0] *= -300  # of each chunk of three
        yield after.eval()

    spoiled(monkeypatch, unlearn=explode)
    search = tune(NAME, small, budget=1, models=6, oracles=6)
    assert "makes outliers of 2 of 6 models on" in search.trials[0].reason
    assert search.chosen is None


def test_a_trial_that_moves_nothing_is_failed(small: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    """Doing nothing is never far off, so a search would choose it and sell it as a method."""
    (as_it_is,), (changed,) = (trials_of(monkeypatch, small, factor) for factor in (1.0, 0.9))
    assert (as_it_is.status, changed.status) == ("failed", "ok")
    assert as_it_is.reason == "tuning-random: moves no weight, so it is the same as doing nothing"


def trials_of(monkeypatch: pytest.MonkeyPatch, small: Suite, factor: float) -> Sequence[Trial]:
    def scale(ensemble: Ensemble, *_: object) -> Iterator[Ensemble]:
        after = ensemble.copy()
        for parameter in after.parameters():
            parameter.data.mul_(factor)
        yield after.eval()

    spoiled(monkeypatch, unlearn=scale, search={"lr": OneOf((factor,))})
    return tune(NAME, small, budget=2, models=6, oracles=6).trials[1:]


def test_as_many_outliers_as_the_untouched_models_have_are_no_failure(
    small: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A few of the untouched models may be outliers by chance: here one is said to be, of all that are looked at."""
    told = [np.array([True, *[False] * 5])]
    monkeypatch.setattr("expunge.tuning.trials.outliers_of_parts", lambda margins, oracle, parts: told * len(parts))
    search = tune(NAME, small, budget=1, limit=1, models=6, oracles=6)
    assert [trial.status for trial in search.trials] == ["ok"]


def test_settings_that_do_not_go_together_are_a_failed_trial(small: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    spoiled(monkeypatch, search={"lr": OneOf((-1.0,))})
    search = tune(NAME, small, budget=2, limit=1, **SMALL)
    assert [trial.reason for trial in search.trials] == ["", "fine-tune: lr must be above 0, got -1.0"]


def test_a_method_gets_what_it_takes_out_of_a_store_for_a_tuning_set(
    small: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Oracles of the tuning sets other than those it is compared with are built for a method that needs some."""
    seen: list[tuple[str, ndarray]] = []

    def require(suite: Suite, forget: ForgetSet, config: object) -> None:
        read_margins(Plan(suite, "oracle", forget), 6, 6)

    def load(suite: Suite, forget: ForgetSet, models: Sequence[int], config: object) -> object:
        seen.append((forget.name, np.array(models)))
        return read_margins(Plan(suite, "oracle", forget), 6, 6)

    def given(ensemble: Ensemble, split: object, *_: object) -> Iterator[Ensemble]:
        if split.extra is None:  # type: ignore[attr-defined]
            raise MethodFailed("got nothing")
        after = ensemble.copy()
        next(after.parameters()).data.mul_(0.9)
        yield after

    spoiled(monkeypatch, unlearn=given, prepare=Preparation(load, require), needs=(ORACLES,))
    assert tune(NAME, small, budget=1, **SMALL).trials[0].status == "ok"
    assert [name for name, _ in seen] == ["tuning-random", "tuning-class"]
    assert all(models.tolist() == [6, 7, 8] for _, models in seen)


def test_a_method_gets_the_models_of_its_own_for_the_settings_of_each_trial_and_no_others(
    small: Suite, own_store: Path
) -> None:
    search = tune("sisa", small, budget=2, **SMALL)
    assert [trial.status for trial in search.trials] == ["ok", "ok"]
    assert search.limit is None
    amnesiac = tune("amnesiac", small, budget=1, limit=1, **SMALL)
    for kind in ("sharded", "logged"):  # in chunks of three, of which the third has the models that serve tuning
        assert {folder.name for folder in own_store.glob(f"*/{kind}/**/chunks/*")} == {"0002"}
    assert [trial.status for trial in amnesiac.trials] == ["ok"]


def test_a_method_that_predicts_margins_is_tuned(small: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    def predict(pretrained: ndarray, extra: object, cfg: FineTune) -> ndarray:
        return pretrained * np.float32(cfg.lr)

    spoiled(monkeypatch, unlearn=None, predict=predict, search={"lr": OneOf((0.5,))})
    search = tune(NAME, small, budget=2, **SMALL)
    assert [trial.status for trial in search.trials] == ["ok", "ok"]
    assert search.trials[0].objective != search.trials[1].objective


@pytest.mark.parametrize(
    ("method", "options", "error", "message"),
    [
        ("scrubb", {}, UnknownName, "did you mean 'scrub'"),
        ("identity", {}, BadSetting, "is an anchor"),
        (NAME, {"budget": 0}, BadSetting, "a budget of at least 1 trial, got 0"),
        (NAME, {"limit": 0.0}, BadSetting, "a limit above 0, as a share of one retraining, got 0.0"),
        (NAME, {"limit": float("nan")}, BadSetting, "a limit above 0"),
        (NAME, {"models": 1}, BadSetting, "expected 2 to 6 models, half of the 12"),
        (NAME, {"models": 7}, BadSetting, "expected 2 to 6 models"),
        (NAME, {"oracles": 7}, BadSetting, "expected 2 to 6 oracles"),
        (NAME, {"sampler": "rnadom"}, UnknownName, "did you mean 'random'"),
        (NAME, {"suite": "digit"}, UnknownName, "did you mean 'digits'"),
        (NAME, {"start": "digit"}, UnknownName, "with tuned settings of 'fine-tune' 'digit'; did you mean 'digits'"),
    ],
)
def test_what_cannot_be_tuned_is_refused_before_any_work(
    method: str, options: dict[str, Any], error: type[Exception], message: str, small: Suite
) -> None:
    with pytest.raises(error, match=message):
        tune(method, **{"suite": small, **options})


@pytest.mark.parametrize("sampler", ["random", "optuna"])
def test_the_settings_of_another_suite_are_tried_after_the_defaults(sampler: str, small: Suite) -> None:
    if sampler == "optuna":
        pytest.importorskip("optuna")
    alone = tune(NAME, small, budget=2, limit=1, sampler=sampler, **SMALL)
    started = tune(NAME, small, budget=3, limit=1, sampler=sampler, start="digits", **SMALL)
    found = found_for("digits", NAME).settings
    assert started.trials[1].settings == {key: found[key] for key in METHODS[NAME].search}
    assert started.trials[0] == alone.trials[0]
    assert started.trials[2].settings == alone.trials[1].settings
    assert (alone.start, started.start) == ("", "digits")
    assert len(tune(NAME, small, budget=1, limit=1, start="digits", **SMALL).trials) == 1


def test_a_method_without_settings_has_nothing_to_tune(small: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    spoiled(monkeypatch, search={})
    with pytest.raises(BadSetting, match="nothing to tune, it has no settings that are searched"):
        tune(NAME, small)


def test_the_first_of_equal_trials_is_chosen() -> None:
    trials = [
        Trial(number=0, settings={}, status="failed", reason="so"),
        Trial(number=1, settings={"lr": 0.1}, status="ok", objective=2.0),
        Trial(number=2, settings={"lr": 0.2}, status="ok", objective=1.0),
        Trial(number=3, settings={"lr": 0.3}, status="ok", objective=1.0),
    ]
    chosen = choose(NAME, METHODS[NAME], trials)
    assert chosen is not None
    assert (chosen.trial, chosen.settings["lr"], chosen.settings["epochs"]) == (2, 0.2, METHODS[NAME].config().epochs)
    assert choose(NAME, METHODS[NAME], trials[:1]) is None


def test_a_record_is_read_as_it_was_written(small: Suite, tmp_path: Path) -> None:
    search = tune(NAME, small, budget=2, limit=1, **SMALL)
    write_search(tmp_path / "record.json", search)
    assert read_search(tmp_path / "record.json") == search


def test_every_name_of_a_search_space_is_a_setting_and_its_ends_are_allowed() -> None:
    for name, method in METHODS.items():
        for key, space in method.search.items():
            values = space.values if isinstance(space, OneOf) else (space.low, space.high)
            for value in values:
                whole = not isinstance(space, OneOf) and space.whole
                configure(name, method, {key: int(value) if whole else value})


def test_a_suite_is_tuned_on_examples_outside_of_the_forget_sets_that_it_derives(own_store: Path) -> None:
    suite = load_suite("tabular")
    with pytest.raises(StoreError, match="expunge build tabular"):
        tuning_sets(suite)
    build_all([(Plan(suite, "subset"), suite.subsets)])
    derive_forget_sets(suite)
    suite = with_derived(suite)
    used = {int(each) for forget in suite.forget_sets.values() for each in forget.indices}
    sets = {each.name: each for each in tuning_sets(suite)}
    assert sets.keys() == {"tuning-random", "tuning-class", "tuning-memorised"}
    assert not any(used & {int(index) for index in each.indices} for each in sets.values())
