"""What code of a suite of one's own raises while models are built is one line, wherever it ran."""

from pathlib import Path

import pytest

from tests.cli.commands import refused, run

SUITE = """
from dataclasses import replace
from torch import nn
from tests.tiny_suite import tiny
class Own(BaseException):
    pass
class Net(nn.Module):
    def __init__(self, error):
        super().__init__()
        self.head, self.error = nn.Linear(64, 10), error
    def forward(self, x):
        if self.training:
            raise self.error("boom\\x1b[2J")
        return self.head(x.flatten(1))
def raises():
    return replace(tiny(), name="raises", network=lambda: Net(ValueError))
def strange():
    return replace(tiny(), name="strange", network=lambda: Net(Own))
def never():
    raise Own("no")
"""


@pytest.mark.parametrize(
    ("function", "workers", "says"),
    [
        ("raises", "1", r"suite.py, line 13, raised ValueError: boom\x1b[2J"),
        ("strange", "1", r"suite.py, line 13, raised Own: boom\x1b[2J"),
        pytest.param("strange", "2", r"raised Own: boom\x1b[2J", marks=pytest.mark.slow),
        ("never", "1", "the function raised Own: no"),
    ],
)
def test_an_error_of_a_suite_is_one_line(function: str, workers: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "suite.py").write_text(SUITE)
    assert says in refused(run("build", f"suite.py:{function}", "--workers", workers, cwd=tmp_path))


@pytest.mark.slow
def test_neighbours_of_a_suite_are_found_when_its_functions_are_called(tmp_path: Path) -> None:
    (tmp_path / "beside_a_suite.py").write_text("WIDTH = 10")
    (tmp_path / "suite.py").write_text(
        SUITE + "def network():\n    from beside_a_suite import WIDTH\n    return nn.Sequential(nn.Flatten(), "
        "nn.Linear(64, WIDTH))\ndef late():\n    return replace(tiny(), name='late', network=network)\n"
    )
    done = run("build", "suite.py:late", "--models", "3", "--workers", "2", cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_a_suite_leaves_this_process_as_it_was(tmp_path: Path) -> None:
    import torch

    (tmp_path / "suite.py").write_text(
        "import torch\ntorch.set_default_dtype(torch.float64)\ntorch.set_num_threads(3)\n" + SUITE
    )
    threads = torch.get_num_threads()
    run("info", "suite.py:raises", cwd=tmp_path)
    assert (torch.get_default_dtype(), torch.get_num_threads()) == (torch.float32, threads)


@pytest.mark.parametrize("models", [4, 12])
def test_batches_larger_than_the_data_and_few_models_are_benched_as_others(models: int, tmp_path: Path) -> None:
    (tmp_path / "suite.py").write_text(
        SUITE + f"def large():\n    recipe = replace(tiny().recipe, batch_size=1000)\n"
        f"    return replace(tiny(), name='large', recipe=recipe, models={models}, chunk=2)\n"
    )
    done = run("build", "suite.py:large", "--workers", "1", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    done = run("bench", "suite.py:large", "--models", "2", "--method", "fine-tune", "--workers", "1", cwd=tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("given", ["[200]", "range(200)"])
def test_forget_sets_that_do_not_fit_are_refused_by_every_command(given: str, tmp_path: Path) -> None:
    (tmp_path / "suite.py").write_text(
        SUITE + f"def odd():\n    return replace(tiny(), name='odd', forget_sets={{'f': {given}, 'g': [1]}})\n"
    )
    for command in (["info"], ["build", "--models", "3", "--workers", "1"], ["bench", "--models", "2"]):
        line = refused(run(command[0], "suite.py:odd", *command[1:], cwd=tmp_path))
        assert "forget set 'f'" in line
