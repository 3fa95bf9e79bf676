"""The benchmarks that need a GPU say so where there is none; what they would print there is tried on the CPU."""

import importlib.util
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
import torch

from expunge.suites import load_suite

FOLDER = Path(__file__).parents[1] / "benchmarks"


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(FOLDER / "gpu.py"), *arguments]
    return subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """benchmarks/gpu.py as a module; scripts find their neighbours in their own folder."""
    monkeypatch.syspath_prepend(str(FOLDER))
    spec = importlib.util.spec_from_file_location("gpu", FOLDER / "gpu.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "gpu", module)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "MEASURED", 2)
    return module


@pytest.mark.faults
def test_without_a_gpu_nothing_is_measured_and_nothing_fails() -> None:
    found = run(CUDA_VISIBLE_DEVICES="", EXPUNGE_DEVICE="auto")
    assert (found.returncode, found.stdout, found.stderr) == (0, "no GPU here: nothing measured\n", "")


@pytest.mark.faults
def test_a_gpu_that_is_not_there_is_refused_in_one_line() -> None:
    found = run(CUDA_VISIBLE_DEVICES="", EXPUNGE_DEVICE="cuda")
    assert found.returncode == 1
    assert found.stderr == "EXPUNGE_DEVICE=cuda: expected a GPU of that number, torch finds 0; choose cpu, or auto\n"


def test_a_table_has_a_row_for_every_number_of_models_and_precision(gpu: ModuleType) -> None:
    suite = load_suite("cifar10-resnet9")
    small = replace(suite, recipe=replace(suite.recipe, batch_size=4))
    work = gpu.Work(small, gpu.synthetic(16, (3, 32, 32)), 1, torch.device("cpu"))
    lines = [line.split(" | ") for line in gpu.table(work, None, (1, 2), 1e12)]
    assert [line[1:3] for line in lines[2:]] == [[m, p] for m in "12" for p in ("float32", "bfloat16")]
    assert all(len(line) == 7 for line in lines)


def test_one_example_of_resnet9_costs_1_75_billion_operations(gpu: ModuleType) -> None:
    """Three times two operations for each of 291 million multiplications, counted by hand layer by layer."""
    work = gpu.Work(load_suite("cifar10-resnet9"), gpu.synthetic(1, (3, 32, 32)), 1, torch.device("cpu"))
    by_hand = 1024 * 64 * 27 + 256 * 128 * (64 * 25 + 2 * 128 * 9) + 256 * 256 * 128 * 9
    by_hand += 2 * 64 * 256 * 256 * 9 + 36 * 128 * 256 * 9 + 128 * 10
    assert work.flops == 6 * by_hand


def test_what_does_not_fit_is_a_row_that_says_so(gpu: ModuleType) -> None:
    def full() -> None:
        raise torch.OutOfMemoryError

    work = gpu.Work(load_suite("cifar10-resnet9"), gpu.synthetic(1, (3, 32, 32)), 1, torch.device("cpu"))
    assert gpu.row("expunge", 100, "float32", work, full, 1e12) == "| expunge | 100 | float32 | out of memory | | | |"


def test_a_checkout_that_is_none_is_refused(gpu: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"expected a checkout of EasyDUB-code with train_models.py in it"):
        gpu.easydub(tmp_path)
