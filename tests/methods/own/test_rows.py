"""A row of the user's own, ``METHOD = Method(...)`` in a file, runs as one of the table does, as a guest."""

from pathlib import Path

import pytest
import torch

from expunge.ensembles import pretrain
from expunge.errors import MethodFailed, UserError
from expunge.fingerprint import stage_modules
from expunge.methods import METHODS, configure, find_method
from expunge.methods.running import run_method
from expunge.methods.task import Task, unlearn_chunk
from expunge.store import at_store
from expunge.suites import Suite
from expunge.tuning.search import tune

HEAD = """
import os, time
from dataclasses import dataclass
import torch
from expunge.methods.method import Method
from expunge.methods.needs import RETAIN_DATA, Need
from expunge.methods.parts.walks import Walk, descend, passes, training_loss
from expunge.methods.spaces import RATES, Between, Published
@dataclass(frozen=True, kw_only=True)
class Mine(Walk):
    '''What it does.'''
    epochs: int = 2
    lr: float = 0.01
def mine(ensemble, split, cfg, rng):
    yield from descend(ensemble, cfg, passes(training_loss(split), split.retain, cfg, rng))
"""
ROW = 'METHOD = Method(unlearn=mine, config=Mine, summary="descends", needs=(RETAIN_DATA,), search={"lr": RATES})\n'


def named(folder: Path, code: str = HEAD + ROW) -> str:
    (folder / "row.py").write_text(code)
    return f"{folder}/row.py:METHOD"


def test_it_is_a_row_like_the_same_one_of_the_table(tiny_suite: Suite, tmp_path: Path) -> None:
    name, first, models = named(tmp_path), tiny_suite.forget_sets["first"], pretrain(tiny_suite, 2)
    own, table = find_method(name), METHODS["fine-tune"]
    runs = [
        list(run_method(name, row, configure(name, row, {"epochs": 3, "lr": 0.01}), models, tiny_suite, first))
        for row in (own, table)
    ]
    for mine, theirs in zip(*runs, strict=True):
        for key, tensor in theirs.ensemble.state().items():
            assert torch.equal(mine.ensemble.state()[key], tensor)
        assert mine.cost >= theirs.cost > 0  # its CPU time is looked at too
    assert len(runs[0]) == 3


def test_what_it_says_of_itself_is_known(tmp_path: Path) -> None:
    more = ROW[:-2] + ', whole_runs=True, published=(Published("the paper", {"lr": 0.1}),))\n'
    row = find_method(named(tmp_path, HEAD + more))
    assert (row.summary, row.needed, row.whole_runs) == ("descends", ("retain data",), True)
    assert list(row.search) == ["lr"]
    assert [dict(each.settings) for each in row.published] == [{"lr": 0.1}]


def test_a_search_takes_each_epoch_of_it(tiny_suite: Suite, tiny_store: Path, tmp_path: Path) -> None:
    code = HEAD + ROW.replace('{"lr": RATES}', '{"lr": RATES, "epochs": Between(1, 4, whole=True)}')
    with at_store(tiny_store):
        found = tune(named(tmp_path, code), tiny_suite, trials=2, models=2, oracles=2)
    assert [trial.settings["epochs"] for trial in found.trials] == [4, 4]


def test_what_it_takes_of_the_library_is_its_code_too(tiny_suite: Suite, tmp_path: Path) -> None:
    name = named(tmp_path)
    assert "expunge.methods.parts.walks" in stage_modules(tmp_path / "row.py")
    task = Task(tiny_suite, tiny_suite.forget_sets["first"], name, configure(name, find_method(name), {}), 0)
    assert "expunge.methods.parts.walks" in task.modules


def test_its_config_refuses_settings_as_it_does_itself(tmp_path: Path) -> None:
    name = named(tmp_path)
    with pytest.raises(UserError, match=r"row.py:METHOD: epochs must be at least 1, got 0"):
        configure(name, find_method(name), {"epochs": 0})


REFUSED = {
    "METHOD = {'unlearn': mine}": "or a row METHOD = Method(...), got dict; METHOD must be",
    "METHOD = Method(unlearn=None, summary='')": "row METHOD: expected unlearn, a generator over an Ensemble",
    "METHOD = Method(unlearn=mine, config=dict, summary='')": "expected config to be a frozen dataclass, got <class",
    "@dataclass(frozen=True)\nclass Bare:\n    lr: float\n"
    "METHOD = Method(unlearn=mine, config=Bare, summary='')": "to have a default, lr has none; give it one",
    ROW.replace(
        "RETAIN_DATA,", "Need('luck', bool, 'luck'),"
    ): "expected needs out of expunge.methods.needs, got 'luck'",
    ROW.replace('"lr": RATES', '"epoch": RATES'): "the method has no setting 'epoch'; did you mean 'epochs'?",
    "METHOD = Method(config=Mine)": "raised TypeError",
}


@pytest.mark.parametrize("row", REFUSED)
def test_what_is_no_row_is_refused_in_a_line(row: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        find_method(named(tmp_path, HEAD + row))
    assert REFUSED[row] in str(caught.value)
    assert "\n" not in str(caught.value)


FAILING = {
    "raise RuntimeError('no idea')": "raised RuntimeError: no idea",
    "yield 3": "yielded a int; yield an Ensemble after each epoch",
    "yield ensemble.copy()": "returned its input unchanged; the row `identity`",
    "return": "yielded no ensemble; yield one after each epoch",
    "os._exit(7)": "its process ended with exit code 7",
    "time.sleep(60)": "took longer than 0.4 s for an epoch of 2 models together",
    "ensemble.meter.count(10**9)": "costs too much",
    "cut = ensemble.copy(); cut.network = torch.nn.Linear(2, 2); yield cut": "yielded models of another architecture",
}


@pytest.mark.parametrize("code", FAILING)
def test_one_that_fails_is_its_own_failed_row(code: str, tiny_suite: Suite, tmp_path: Path) -> None:
    name = named(
        tmp_path, f"{HEAD}def bad(ensemble, split, cfg, rng):\n    {code}\n    yield\n" + ROW.replace("mine", "bad")
    )
    row, first = find_method(name), tiny_suite.forget_sets["first"]
    models, seconds = pretrain(tiny_suite, 2), 0.2 if "sleep" in code else None
    steps = run_method(name, row, row.config(), models, tiny_suite, first, limit=1, timeout=seconds)
    with pytest.raises(MethodFailed) as caught:
        list(steps)
    assert FAILING[code] in str(caught.value)


def test_its_margins_are_kept_epoch_by_epoch(tiny_suite: Suite, tmp_path: Path) -> None:
    name = named(tmp_path)
    task = Task(tiny_suite, tiny_suite.forget_sets["first"], name, configure(name, find_method(name), {}), 0)
    found = unlearn_chunk(task, range(2)).artefact
    assert found
    assert found.array("margins").shape[:2] == (2, 2)
    assert found.meta["costs"][0] < found.meta["costs"][1]
