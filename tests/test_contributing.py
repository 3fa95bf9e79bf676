"""What CONTRIBUTING shows is what works: its two examples are whole modules, and dispatch as they stand there."""

import doctest
import re
import subprocess
import sys
import textwrap
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from expunge.bench.plan import plan_bench
from expunge.bench.run import run_bench
from expunge.methods import METHODS
from expunge.metrics import METRICS
from expunge.store import at_store
from expunge.suites import Suite

ROOT = Path(__file__).parents[1]
OWN = ("expunge/metrics/spread.py", "expunge/methods/zoo/my_method.py")  # where the examples are to lie


def examples() -> list[str]:
    return [
        textwrap.dedent(each)
        for each in re.findall(r"```python\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(), re.S)
    ]


def module_of(text: str, name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The example as a module of the place it is said to have."""
    module = ModuleType(name)
    monkeypatch.setitem(sys.modules, name, module)  # dataclasses look there
    exec(compile(text, name, "exec"), module.__dict__)
    return module


def test_the_metric_and_the_method_of_the_page_are_benched(
    tiny_suite: Suite, tiny_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    metric, method = examples()
    # they stand in no file, so that their code is that of another row
    spread = module_of(metric.replace("module=__name__", 'module="expunge.metrics.tow"'), "spread", monkeypatch)
    mine = module_of(method, "expunge.methods.zoo.fine_tune", monkeypatch)
    monkeypatch.setitem(METRICS, "spread", spread.METRIC)
    monkeypatch.setitem(METHODS, "my-method", mine.METHOD)
    with at_store(tiny_store):
        plan = plan_bench(tiny_suite, ["my-method"], ["first"], models=6, tuning="default")
        scores = run_bench(plan, tmp_path)
    found = {score.subject.method for score in scores if score.metric == "spread" and score.status == "ok"}
    assert found == {"identity", "oracle", "my-method"}


@pytest.mark.parametrize("number", [0, 1], ids=OWN)
@pytest.mark.parametrize("command", [["check"], ["format", "--check"]], ids=["check", "format"])
def test_an_example_passes_the_linter_where_it_is_to_lie(number: int, command: list[str]) -> None:
    ruff = [sys.executable, "-m", "ruff", *command, "--no-cache", "--stdin-filename", OWN[number], "-"]
    done = subprocess.run(ruff, input=examples()[number], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_the_examples_say_that_they_return_they_return(monkeypatch: pytest.MonkeyPatch) -> None:
    found = doctest.testmod(module_of(examples()[0], "spread", monkeypatch))
    assert (found.failed, found.attempted) == (0, 1)


def test_the_metric_of_the_page_does_not_overflow(monkeypatch: pytest.MonkeyPatch) -> None:
    most = np.finfo(np.float32).max
    spread = module_of(examples()[0], "spread", monkeypatch).spread
    assert spread(np.array([[-most, most]])).tolist() == [float(most)]


def test_the_case_of_the_page_is_one_of_the_tests() -> None:
    page, walkers = ((ROOT / name).read_text() for name in ("CONTRIBUTING.md", "tests/methods/equations/walkers.py"))
    shown = page.partition("In `walkers.py` one is\n")[2].partition("   `steps_to")[0]
    parts = [each for each in re.split(r"\n\n", textwrap.dedent(shown).strip()) if each]
    assert len(parts) == 2
    flat = re.sub(r"\s+", " ", walkers)
    assert all(re.sub(r"\s+", " ", each) in flat for each in parts)


def test_the_page_names_every_family_of_cases() -> None:
    named = set(re.findall(r"^   \| `(\w+)\.py` \|", (ROOT / "CONTRIBUTING.md").read_text(), re.M))
    folder = ROOT / "tests/methods/equations"
    assert named == {file.stem for file in folder.glob("*.py") if "\nCASES" in file.read_text()}


def test_every_place_that_the_page_names_is_there() -> None:
    named = set(re.findall(r"`((?:expunge/|tests/|runs/)[\w/.]+)`", (ROOT / "CONTRIBUTING.md").read_text()))
    assert not {place for place in named - set(OWN) if not (ROOT / place).exists()}
