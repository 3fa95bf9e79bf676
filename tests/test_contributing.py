"""What CONTRIBUTING shows is what works: its two examples are whole modules, and dispatch as they stand there."""

import re
import sys
import textwrap
from pathlib import Path
from types import ModuleType

import pytest

from expunge.bench.plan import plan_bench
from expunge.bench.run import run_bench
from expunge.methods import METHODS
from expunge.metrics import METRICS
from expunge.store import at_store
from expunge.suites import Suite

ROOT = Path(__file__).parents[1]


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
    mine = module_of(method.replace('("author2023",)', "()"), "expunge.methods.zoo.fine_tune", monkeypatch)
    monkeypatch.setitem(METRICS, "spread", spread.METRIC)
    monkeypatch.setitem(METHODS, "my-method", mine.METHOD)
    with at_store(tiny_store):
        plan = plan_bench(tiny_suite, ["my-method"], ["first"], models=6, tuning="default")
        scores = run_bench(plan, tmp_path)
    found = {score.subject.method for score in scores if score.metric == "spread" and score.status == "ok"}
    assert found == {"identity", "oracle", "my-method"}


def test_every_place_that_the_page_names_is_there() -> None:
    named = set(re.findall(r"`((?:expunge/|tests/|runs/)[\w/.]+)`", (ROOT / "CONTRIBUTING.md").read_text()))
    examples_own = {"expunge/metrics/my_metric.py", "expunge/methods/zoo/my_method.py"}
    assert not {place for place in named - examples_own if not (ROOT / place).exists()}
