"""A suite out of a file of the user's own: found, built on other processes, unlearned, scored; and its mistakes."""

import os
import pickle
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from expunge.ensembles import Plan, build, pretrain, read_margins, retrain
from expunge.ensembles.train import measure
from expunge.errors import BadSetting, StoreError, UserError
from expunge.methods import unlearn
from expunge.metrics.klom import klom
from expunge.suites import SUITES, Suite, load_suite

EXAMPLE = Path(__file__).parents[2] / "examples/own_suite.py"
FLOWERS = f"{EXAMPLE}:flowers"

HEAD = """
import numpy as np, torch
from torch import nn
from neighbour import WIDTH
from expunge.suites import ForgetSets, Recipe, Suite, data_from_arrays

class Own(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(WIDTH, 2)
    def forward(self, x):
        return self.layer(x)

def mine():
    x, y = np.random.default_rng(0).normal(size=(12, 3)), np.arange(12) % 2
    return Suite(name="mine", version=1, data=data_from_arrays(x, y, x, y), network=Own, models=4, chunk=2,
                 recipe=Recipe(epochs=1, batch_size=4, lr=0.1), forget_sets=ForgetSets({"two": np.array([1, 2])}))

def number(): return 3
def broken(): raise RuntimeError("no\\nidea")
def needy(argument): return None
THING = 5
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file of a suite that imports another file beside it."""
    (tmp_path / "neighbour.py").write_text("WIDTH = 3\n")
    (tmp_path / "suite.py").write_text(HEAD)
    return tmp_path / "suite.py"


def test_the_example_is_short_and_stands_whole_in_the_documentation() -> None:
    assert len([line for line in EXAMPLE.read_text().splitlines() if line.strip()]) <= 25
    assert EXAMPLE.read_text() in (EXAMPLE.parents[1] / "docs/suites.md").read_text()


def test_the_documentation_names_every_suite() -> None:
    page = (EXAMPLE.parents[1] / "docs/suites.md").read_text()
    assert [name for name in SUITES if f"| `{name}` |" not in page] == []


def test_the_example_is_built_unlearned_and_scored() -> None:
    """Two ensembles of four models of a network with LayerNorm and attention; four and four are enough for a number."""
    suite = load_suite(FLOWERS)
    suite.check()
    forget = suite.forget_sets["long"]
    before, oracle = pretrain(suite, 4), retrain(suite, forget, 4)
    after = unlearn(before, forget, "fine-tune", suite=suite)
    measured = read_margins(Plan(suite, "pretrained"), 0, 4)
    assert measured.correct is not None
    assert measured.correct[:, 75:].mean() > 0.8  # real flowers are told apart
    margins = [np.asarray(measure(each, suite.data)[0]) for each in (after, oracle)]
    scores = klom(*margins)
    assert scores.shape == (150,)
    assert 0 < scores.mean() < 11.6


def test_a_suite_is_loaded_as_it_is_written(file: Path) -> None:
    suite = load_suite(f"{file}:mine")
    assert (suite.name, suite.address, suite.data.sizes) == ("mine", f"{file}:mine", (12, 12))
    assert load_suite(f"{file}:mine").digest == suite.digest


def test_the_place_of_a_suite_is_no_part_of_its_digest(file: Path, tmp_path: Path) -> None:
    (tmp_path / "copy.py").write_text(file.read_text())
    assert load_suite(f"{file}:mine").digest == load_suite(f"{tmp_path / 'copy.py'}:mine").digest


def test_a_changed_file_is_read_again(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Though it is as long as before and was changed in the same second, by which Python would find it unchanged."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    changed = file.stat()
    before = load_suite(f"{file}:mine")
    file.write_text(HEAD.replace("lr=0.1", "lr=0.2"))
    os.utime(file, ns=(changed.st_atime_ns, changed.st_mtime_ns))
    assert not list(file.parent.rglob("*.pyc"))
    assert load_suite(f"{file}:mine").recipe.lr == 0.2
    assert before.recipe.lr == 0.1


@pytest.mark.faults
def test_another_process_can_unpickle_a_suite_that_it_cannot_import(file: Path, tmp_path: Path) -> None:
    suite = load_suite(f"{file}:mine")
    (tmp_path / "pickled").write_bytes(pickle.dumps(suite))
    code = "import pickle, sys; suite = pickle.load(open(sys.argv[1], 'rb')); suite.check(); print(suite.digest)"
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "pickled")], capture_output=True, text=True, cwd="/", check=True
    )
    assert done.stdout.strip() == suite.digest


@pytest.mark.faults
def test_workers_build_a_suite_that_they_cannot_import(file: Path) -> None:
    suite = load_suite(f"{file}:mine")
    assert build(Plan(suite, "pretrained"), 4, workers=2).array("margins").shape == (4, 24)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere.py:mine", "there is no file 'nowhere.py'; expected file.py:function"),
        (":mine", "there is no file ''"),
        ("{folder}:mine", "there is no file"),
        ("{folder}/suite.py:mime", "has no function 'mime'; did you mean 'mine'"),
        ("{folder}/suite.py:THING", "has no function 'THING'"),
        ("{folder}/suite.py:", "has no function ''"),
        ("{folder}/suite.py:number", "expected it to return an expunge.Suite, got int"),
        ("{folder}/suite.py:broken", "the function raised RuntimeError: no"),
        ("{folder}/suite.py:needy", "the function raised TypeError: needy\\(\\) missing 1 required"),
        ("{folder}/broken.py:mine", "importing '.*broken.py' raised SyntaxError"),
        ("{folder}/exits.py:mine", "importing '.*exits.py' raised SystemExit: 3"),
        ("{folder}/notes.txt:mine", "is no Python file"),
    ],
)
def test_a_suite_that_cannot_be_loaded_is_one_line(name: str, message: str, file: Path) -> None:
    (file.parent / "broken.py").write_text("def mine(:\n")
    (file.parent / "exits.py").write_text("raise SystemExit(3)\n")
    (file.parent / "notes.txt").write_text("no code")
    with pytest.raises(UserError, match=message) as caught:
        load_suite(name.format(folder=file.parent))
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("suite '")


def test_a_forget_set_of_ones_own_that_does_not_fit_is_one_line(file: Path) -> None:
    file.write_text(HEAD.replace("[1, 2]", "[1, 12]"))
    suite: Suite = load_suite(f"{file}:mine")
    with pytest.raises(BadSetting, match="does not fit the 12 training examples of 'mine'"):
        suite.forget_set("two")


def test_a_network_that_computes_something_else_is_another_suite(file: Path) -> None:
    before = load_suite(f"{file}:mine").digest
    file.write_text(HEAD.replace("return self.layer(x)", "return -self.layer(x)"))
    os.utime(file, (1, 1))
    assert load_suite(f"{file}:mine").digest != before


def test_a_suite_of_ones_own_is_found_again_by_its_ensembles(file: Path) -> None:
    suite = load_suite(f"{file}:mine")
    before = pretrain(suite, 2)
    assert unlearn(before, suite.forget_sets["two"], "fine-tune").origin.suite == f"{file}:mine"
    here = Suite(**{**{each.name: getattr(suite, each.name) for each in fields(Suite)}, "place": ""})
    with pytest.raises(BadSetting, match=r"'mine' is in no table; give the ensemble's suite as suite="):
        unlearn(pretrain(here, 2), here.forget_sets["two"], "fine-tune")
    with pytest.raises(BadSetting, match="the one that was found or given has"):
        unlearn(pretrain(here, 2), here.forget_sets["two"], "fine-tune", suite=load_suite("tabular"))


def test_training_that_diverges_is_told_before_anything_is_kept(file: Path, own_store: Path) -> None:
    file.write_text(HEAD.replace("return self.layer(x)", "return self.layer(x) * float('nan')"))
    with pytest.raises(BadSetting, match=r"pretrained: training diverged, the margins of models \[0, 1\] are not"):
        build(Plan(load_suite(f"{file}:mine"), "pretrained"), 2)
    assert not list(own_store.rglob("margins.npy"))


def test_a_python_file_without_a_function_is_told_what_to_add() -> None:
    with pytest.raises(UserError, match="give file"):
        load_suite("own.py")


def test_a_suite_that_no_command_finds_says_what_works_in_python(file: Path, own_store: Path) -> None:
    found: Suite = load_suite(f"{file}:mine")
    imported = replace(found, place="")  # as `import suite; suite.mine()` has it
    assert imported.digest != found.digest
    forget = imported.forget_sets["two"]
    with pytest.raises(StoreError) as caught:
        read_margins(Plan(imported, "oracle", forget), 2, 2)
    line = str(caught.value)
    assert "\n" not in line
    assert "expunge build mine" not in line
    assert "xp.retrain(suite, 'two', models=4)" in line
    assert 'xp.load_suite("file.py:function")' in line
    retrain(imported, "two", models=4)
    assert len(read_margins(Plan(imported, "oracle", forget), 2, 2).values) == 2
    with pytest.raises(StoreError, match=r"xp\.pretrain\(suite, models=4\)"):
        read_margins(Plan(imported, "pretrained"), 0, 2)
    with pytest.raises(StoreError, match=f"run `expunge build {file}:mine` first"):
        read_margins(Plan(found, "pretrained"), 0, 4)
