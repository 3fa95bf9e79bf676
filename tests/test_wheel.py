"""The package as others get it: a wheel in an environment of its own, far from this repository."""

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BUILT_OF = ("pyproject.toml", "README.md", "LICENSE", "NOTICE", "constraints.txt")


def run(*command: str | Path, folder: Path) -> str:
    """What a command prints, in ``folder``; its end is awaited for ten minutes."""
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "EXPUNGE_DATA")}
    environment |= {"EXPUNGE_STORE": str(folder / "store"), "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    done = subprocess.run(
        [*map(str, command)], cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.faults
def test_a_wheel_works_from_an_empty_folder_in_an_environment_of_its_own(tmp_path: Path) -> None:
    source, empty = tmp_path / "source", tmp_path / "empty"
    empty.mkdir()
    shutil.copytree(ROOT / "expunge", source / "expunge", ignore=shutil.ignore_patterns("__pycache__"))
    for name in BUILT_OF:
        shutil.copyfile(ROOT / name, source / name)
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", tmp_path, source, folder=empty)
    (wheel,) = tmp_path.glob("expunge-*.whl")
    venv.create(tmp_path / "own", with_pip=True)
    own = tmp_path / "own/bin"
    run(own / "pip", "install", "--quiet", "--constraint", source / "constraints.txt", wheel, folder=empty)

    asked = "import expunge; print(expunge.__file__)"
    assert str(tmp_path / "own") in run(own / "python", "-c", asked, folder=empty)
    methods = ("--method", "salun", "--method", "dmm")  # of which one reads models on halves of the data
    bench = run(own / "expunge", "bench", "digits", "--models", "20", "--forget-set", "class-3", *methods, folder=empty)
    assert "partly forgets" in bench
    assert (empty / "out/report.html").stat().st_size > 100_000
    assert "malicious" in run(own / "expunge", "threats", folder=empty)
    assert "results" in run(own / "expunge", "info", "scrub", folder=empty)
    assert "FAIL" not in run(own / "expunge", "doctor", folder=empty)
