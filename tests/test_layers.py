"""The order of the data is the order of the imports; names are what they say."""

import ast
import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import expunge

ROOT = Path(expunge.__file__).parent
STAGES = [  # in the order of the data; those that are still to be built are looked at once they are there
    "certificates",
    "suites",
    "ensembles",
    "methods",
    "metrics",
    "bench",
    "tuning",
    "audits",
    "attacks",
    "gate",
    "reports",
]
KNOWN_TO_ALL = [
    *("records", "verdicts", "names", "checksums", "errors", "store", "fingerprint"),
    *("engine", "jobs", "parcels", "clusters", "timing"),  # where jobs run
    *("user_files", "guests"),  # strangers' code
    *("hub", "hub_limits", "outside", "files", "number_files", "torch_files", "shipped"),  # what reads and writes files
    *("terminal", "printed_tables", "streams"),
]
REFUSED = {"utils", "common", "helpers", "misc", "core", "manager", "handler"}


def imports(file: Path) -> set[str]:
    """Every module that a file imports, wherever in it, those for types alone too."""
    return {name for node in ast.walk(ast.parse(file.read_text())) for name in imported_by(node)}


def imported_by(node: ast.AST) -> set[str]:
    if isinstance(node, ast.ImportFrom) and node.module:
        return {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return {alias.name for alias in node.names} if isinstance(node, ast.Import) else set()


def later_than(stage: str) -> set[str]:
    return {f"expunge.{name}" for name in [*STAGES[STAGES.index(stage) + 1 :], "cli"]}


def breaches(file: Path, forbidden: set[str]) -> set[str]:
    return {name for name in imports(file) if ".".join(name.split(".")[:2]) in forbidden}


@pytest.mark.parametrize("stage", [stage for stage in STAGES if (ROOT / stage).exists()])
def test_a_stage_imports_only_earlier_stages(stage: str) -> None:
    files = list((ROOT / stage).rglob("*.py"))
    assert files
    assert not {file.name: found for file in files if (found := breaches(file, later_than(stage)))}


def test_every_folder_of_code_is_a_stage_or_the_command() -> None:
    folders = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert folders <= {*STAGES, "cli"}


def test_certificates_records_and_verdicts_are_read_written_and_checked_without_torch() -> None:
    """Which takes seconds to import."""
    files = [
        *(ROOT / "certificates").rglob("*.py"),
        *(ROOT / f"{each}.py" for each in ("records", "verdicts", "files")),
    ]
    names = [".".join(file.relative_to(ROOT.parent).with_suffix("").parts) for file in files if file.stem != "__init__"]
    asked = f"import sys, {', '.join(names)}; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", asked], check=True, capture_output=True, text=True).stdout == "False\n"


def test_an_import_of_a_later_stage_is_seen(tmp_path: Path) -> None:
    for line in ("from expunge.bench.score import x", "from expunge import bench", "import expunge.reports"):
        (tmp_path / "wrong.py").write_text(f"def late():\n    {line}\n")
        assert breaches(tmp_path / "wrong.py", later_than("metrics")), line


@pytest.mark.parametrize("name", KNOWN_TO_ALL)
def test_what_all_know_knows_no_stage(name: str) -> None:
    assert not breaches(ROOT / f"{name}.py", {f"expunge.{stage}" for stage in [*STAGES, "cli"]})


def test_every_import_names_its_module_in_full() -> None:
    """So that what is imported is seen: no relative import, and nothing through the public names or by a string."""
    for file in ROOT.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom):
                assert not node.level, file
                names = {f"expunge.{alias.name}" for alias in node.names} if node.module == "expunge" else set()
                assert not names & {f"expunge.{name}" for name in expunge.__all__}, file
            if isinstance(node, ast.Import):
                assert "expunge" not in {alias.name for alias in node.names}, file
            if isinstance(node, ast.Name) and node.id == "import_module":
                assert file == ROOT / "__init__.py", file


def test_no_module_is_shadowed_by_a_name_of_its_package() -> None:
    for found in pkgutil.walk_packages(expunge.__path__, "expunge."):
        package, _, name = found.name.rpartition(".")
        importlib.import_module(found.name)
        assert isinstance(getattr(importlib.import_module(package), name), ModuleType), found.name


def test_no_file_has_a_name_that_says_nothing() -> None:
    assert not {path for path in ROOT.rglob("*.py") if path.stem.strip("_") in REFUSED}


def test_the_public_names_are_these() -> None:
    assert expunge.__all__ == [
        "Ensemble",
        "Score",
        "Suite",
        "audit",
        "compare",
        "evaluate",
        "frame",
        "klom",
        "load_suite",
        "open_run",
        "plan_bench",
        "pretrain",
        "report",
        "retrain",
        "run_audits",
        "run_bench",
        "unlearn",
        "wasserstein",
    ]
    assert all(hasattr(expunge, name) for name in expunge.__all__)
