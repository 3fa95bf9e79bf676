"""Jobs run once each, wherever they run; a job's error ends the run and names itself."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from expunge.engine import run_jobs
from expunge.errors import BadSetting
from expunge.jobs import Job, one_thread


def square(x: int) -> tuple[int, int, int]:
    return x * x, torch.get_num_threads(), os.getpid()


def fail(x: int) -> int:
    raise ValueError(f"no square of {x}")


IN_TURN_AND_BESIDE = [1, pytest.param(2, marks=pytest.mark.faults)]


@pytest.mark.parametrize("workers", IN_TURN_AND_BESIDE)
def test_every_job_is_done_once_with_one_thread(workers: int) -> None:
    seen: list[tuple[int, int]] = []
    jobs = [Job(f"square {x}", square, (x,)) for x in range(5)]
    results = {
        job.label: result for job, result in run_jobs(jobs, workers, lambda done, all_, _: seen.append((done, all_)))
    }
    assert {label: result[0] for label, result in results.items()} == {f"square {x}": x * x for x in range(5)}
    assert {result[1] for result in results.values()} == {1}
    assert ({result[2] for result in results.values()} == {os.getpid()}) == (workers == 1)
    assert seen == [(done, 5) for done in range(1, 6)]


@pytest.mark.parametrize("workers", IN_TURN_AND_BESIDE)
def test_an_error_in_a_job_is_the_callers_error(workers: int) -> None:
    with pytest.raises(ValueError, match="no square of"):
        list(run_jobs([Job("fail", fail, (x,)) for x in range(2)], workers))


class Large:
    """What many jobs have in common; each copy that a process makes has a name of its own."""

    def __init__(self) -> None:
        self.content = bytes(1000)
        self.unpacked = ""

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__ = state
        self.unpacked = f"{os.getpid()} {id(self)}"


def look_at(large: Large, x: int) -> tuple[int, str]:
    return os.getpid(), large.unpacked


@pytest.mark.faults
def test_what_jobs_share_is_unpacked_once_by_each_worker() -> None:
    large = Large()
    jobs = [Job(f"look {x}", look_at, (large, x), shared=(large,)) for x in range(8)]
    results = [result for _, result in run_jobs(jobs, 2)]
    assert len(set(results)) == len({worker for worker, _ in results})
    assert os.getpid() not in {worker for worker, _ in results}


def test_no_worker_is_refused() -> None:
    with pytest.raises(BadSetting, match="at least 1 worker"):
        list(run_jobs([], 0))


def test_the_number_of_threads_is_given_back() -> None:
    torch.set_num_threads(2)
    with one_thread():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 2
    torch.set_num_threads(1)


SCRIPT = """
import numpy as np
from expunge.suites import data_from_arrays
x, y = np.zeros((4, 2)), [1, 2, 1, 2]
data_from_arrays(x, y, x, y)  # this line
"""


@pytest.mark.faults
def test_a_warning_names_the_line_that_called_expunge(tmp_path: Path) -> None:
    """In a process of its own, for here every function is wrapped by what checks its types."""
    (tmp_path / "mine.py").write_text(SCRIPT)
    done = subprocess.run([sys.executable, tmp_path / "mine.py"], capture_output=True, text=True, check=True)
    assert "mine.py:5: UserWarning: labels 1, 2 do not count from 0" in done.stderr
    assert "# this line" in done.stderr
    assert "expunge/" not in done.stderr
