"""The order of the data is the order of the imports."""

import ast
from pathlib import Path

import pytest

import expunge

ROOT = Path(expunge.__file__).parent
STAGES = ["suites", "ensembles", "methods", "metrics", "audits", "attacks", "reports"]


def imports(file: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found


@pytest.mark.parametrize("stage", [stage for stage in STAGES if (ROOT / stage).exists()])
def test_a_stage_imports_only_earlier_stages(stage: str) -> None:
    later = {f"expunge.{name}" for name in [*STAGES[STAGES.index(stage) + 1 :], "cli"]}
    for file in (ROOT / stage).rglob("*.py"):
        wrong = {name for name in imports(file) if ".".join(name.split(".")[:2]) in later}
        assert not wrong, file


@pytest.mark.parametrize("file", ["records.py", "errors.py", "store.py", "engine.py"])
def test_what_all_know_knows_no_stage(file: str) -> None:
    stages = {f"expunge.{name}" for name in [*STAGES, "cli"]}
    assert not {name for name in imports(ROOT / file) if ".".join(name.split(".")[:2]) in stages}


def test_the_public_names_are_these() -> None:
    assert expunge.__all__ == [
        "Ensemble",
        "Score",
        "Suite",
        "bench",
        "evaluate",
        "klom",
        "load_suite",
        "pretrain",
        "report",
        "retrain",
        "unlearn",
    ]
    assert all(hasattr(expunge, name) for name in expunge.__all__)
