"""The two whole examples of methods of one's own, and the row that CONTRIBUTING shows, are benched as they stand."""

import re
import textwrap
from pathlib import Path

import pytest

from expunge.bench.plan import plan_bench
from expunge.bench.run import run_bench
from expunge.methods import find_method
from expunge.store import at_store
from expunge.suites import Suite

ROOT = Path(__file__).parents[3]
EXAMPLES = {
    "examples/own_function.py:push_away": ["lr", "epochs", "push"],
    "examples/own_row.py:METHOD": ["lr", "epochs", "beta", "cap"],
    "my_method.py:METHOD": ["lr"],
}


def named(example: str, folder: Path) -> str:
    """Where an example lies; that of CONTRIBUTING is written to a file first."""
    if example.startswith("examples/"):
        return str(ROOT / example)
    shown = re.findall(r"```python\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(), re.S)[1]
    (folder / "my_method.py").write_text(textwrap.dedent(shown))
    return str(folder / example)


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_is_benched_and_can_be_tuned(
    example: str, tiny_suite: Suite, tiny_store: Path, tmp_path: Path
) -> None:
    name = named(example, tmp_path)
    assert list(find_method(name).search) == EXAMPLES[example]
    settings = {name.rpartition(":")[2]: {"lr": 0.05}}
    with at_store(tiny_store):
        plan = plan_bench(tiny_suite, [name], ["first"], models=3, settings=settings)
        scores = run_bench(plan, tmp_path / "out")
    own = [each for each in scores if each.subject.method == name]
    assert own
    assert {each.status for each in own} == {"ok"}
    assert {each.subject.config["lr"] for each in own} == {0.05}
