"""The examples of docs/own_methods.md run as they stand."""

import re
from pathlib import Path

import pytest

from expunge.methods.method import NoSettings
from expunge.methods.task import Task, unlearn_chunk
from expunge.suites import Suite

PAGE = (Path(__file__).parents[3] / "docs/own_methods.md").read_text()
EXAMPLES = dict(re.findall(r"```python\n# (\w+\.py)\n(.*?)```", PAGE, re.DOTALL))

# Functions as other benchmarks have them.
THEIRS = """
import torch
def unlearning(net, retain_loader, forget_loader, val_loader):
    assert len(next(iter(forget_loader))) == 2
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(0.9)
def unlearn_step(model, optimizer, retain_batch, forget_batch):
    optimizer.zero_grad()
    x, y = retain_batch
    torch.nn.functional.cross_entropy(model(x), y).backward()
    optimizer.step()
"""


@pytest.mark.parametrize("file", EXAMPLES)
def test_an_example_runs(file: str, tiny_suite: Suite, tmp_path: Path) -> None:
    (tmp_path / "theirs.py").write_text(THEIRS)
    (tmp_path / file).write_text(EXAMPLES[file])
    name = f"{tmp_path / file}:forget_it"
    found = unlearn_chunk(Task(tiny_suite, tiny_suite.forget_sets["first"], name, NoSettings(), 0), range(2))
    assert found.artefact, found.reason


def test_there_are_three_examples() -> None:
    assert list(EXAMPLES) == ["mine.py", "wrapped.py", "stepped.py"]
