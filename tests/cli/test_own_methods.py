"""Methods of one's own, ``file.py:function``, in a bench."""

import json
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest
from numpy import ndarray

from tests.cli.commands import SMALL, run, scores_of

METHODS = """
import torch
def sound(model, retain, forget, seed):
    print("chatter")
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(0.9)
    return model
def raises(model, retain, forget, seed):
    raise RuntimeError("no idea")
def number(model, retain, forget, seed):
    return 3
def shape(model, retain, forget, seed):
    return torch.nn.Linear(2, 2)
def unchanged(model, retain, forget, seed):
    return model
def quits(model, retain, forget, seed):
    raise SystemExit(0)
class Own(BaseException):
    pass
def strange(model, retain, forget, seed):
    raise Own("\\x1b[2J never seen")
def exits(model, retain, forget, seed):
    import os
    os._exit(0)
def crashes(model, retain, forget, seed):
    import ctypes
    ctypes.string_at(0)
def hangs(model, retain, forget, seed):
    while True:
        pass
def shouts(model, retain, forget, seed):
    import os
    os.system("echo GPU 0 is free")
    return sound(model, retain, forget, seed)
def wanders(model, retain, forget, seed):
    import os
    os.chdir("/")
    return sound(model, retain, forget, seed)
def diverges(model, retain, forget, seed):
    with torch.no_grad():
        next(model.parameters()).fill_(float("nan"))
    return model
"""


SOUND = ["wanders", "sound", "shouts"]
FAILING = ["raises", "number", "shape", "unchanged", "quits", "diverges", "strange", "exits", "crashes", "hangs"]


@pytest.mark.parametrize("workers", ["1", pytest.param("2", marks=pytest.mark.slow)])
def test_a_method_that_fails_is_a_failed_row_and_the_others_finish(workers: str, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(METHODS)
    methods = [argument for name in [*SOUND, *FAILING] for argument in ("--method", f"mine.py:{name}")]
    few = ["--models", "2", "--forget-set", "random-10", "--workers", workers, "--timeout", "2"]
    done = run("bench", "digits", *few, *methods, "--out", "out", "--json", cwd=tmp_path)
    assert done.returncode == 3, done.stderr
    assert json.loads(done.stdout)
    assert "mine.py:hangs takes: not known before 2 models of it are done" in done.stderr
    reasons = {score.subject.method: score.reason for score in scores_of(tmp_path / "out", status="failed")}
    assert reasons.keys() == {f"mine.py:{name}" for name in FAILING}
    line = METHODS.splitlines().index('    raise RuntimeError("no idea")') + 1
    assert f"raised RuntimeError: no idea (mine.py, line {line})" in reasons["mine.py:raises"]
    assert "got int" in reasons["mine.py:number"]
    assert "another architecture" in reasons["mine.py:shape"]
    assert "raised SystemExit" in reasons["mine.py:quits"]
    assert "returned its input unchanged" in reasons["mine.py:unchanged"]
    assert "not finite" in reasons["mine.py:diverges"]
    assert r"raised Own: \x1b[2J never seen" in reasons["mine.py:strange"]
    assert "ended with exit code 0 before it returned" in reasons["mine.py:exits"]
    assert "died of SIGSEGV" in reasons["mine.py:crashes"]
    assert "took longer than 2 s for one model" in reasons["mine.py:hangs"]
    failed = scores_of(tmp_path / "out", status="failed")
    assert all(score.value is score.low is score.high is None for score in failed)
    for name in SOUND:  # whichever folder it leaves the process in
        assert scores_of(tmp_path / "out", method=f"mine.py:{name}", status="ok")


NOISE = """
import torch
from scale import SCALE
def noise(model, retain, forget, seed):
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(SCALE * torch.randn(parameter.shape))
    return model
"""


@pytest.mark.slow
def test_a_method_of_ones_own_is_known_by_what_it_does_wherever_it_lies(tmp_path: Path) -> None:
    """Named with another path it scores the same; when a file that it imports changes, it is run again."""
    (tmp_path / "mine.py").write_text(NOISE)
    (tmp_path / "scale.py").write_text("SCALE = 0.001\n")

    def margins(name: str, out: str) -> ndarray:
        done = run("bench", "digits", *SMALL, "--method", name, "--out", out, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        with np.load(tmp_path / out / "arrays/random-10" / f"{quote(name, safe='')}.npz") as arrays:
            found: ndarray = arrays["margins"]
        return found

    first = margins("mine.py:noise", "out")
    assert np.array_equal(margins(f"{tmp_path}/mine.py:noise", "other"), first)
    (tmp_path / "scale.py").write_text("SCALE = 0.1\n")
    assert not np.array_equal(margins("mine.py:noise", "out"), first)
