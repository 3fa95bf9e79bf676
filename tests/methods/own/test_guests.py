"""A method of the user's own is a guest: whatever it does, it touches only its own row."""

import os
import random
import threading
from pathlib import Path

import numpy as np
import pytest
import torch

from expunge.ensembles import pretrain
from expunge.errors import BadSetting, MethodFailed, UnknownName
from expunge.methods import METHODS, configure, find_method, unlearn
from expunge.methods.method import NoSettings
from expunge.methods.running import run_method
from expunge.methods.task import Outcome, Task, unlearn_chunk
from expunge.store import user_store
from expunge.suites import Suite

MODELS = range(2)

# What every function below ends with: sound models, and so a row of its own.
SHRUNK = """
import os, random, signal, subprocess, sys, threading, time
import numpy as np, torch
def shrunk(model):
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(0.9)
    return model
"""


def outcome(folder: Path, code: str, suite: Suite, *, timeout: float | None = None, name: str = "f") -> Outcome:
    """What becomes of a function of the user's own on two models."""
    (folder / "mine.py").write_text(SHRUNK + code)
    task = Task(
        suite, suite.forget_sets["first"], f"{folder}/mine.py:{name}", configure_own(folder, name), 0, "", timeout
    )
    return unlearn_chunk(task, MODELS)


def configure_own(folder: Path, name: str) -> object:
    address = f"{folder}/mine.py:{name}"
    return configure(address, find_method(address), {})


def bytes_of(name: str, suite: Suite) -> bytes:
    """The margins of a row of the table, made anew."""
    task = Task(suite, suite.forget_sets["first"], name, METHODS[name].config(), 0)
    user_store().remove(task.key(MODELS))
    found = unlearn_chunk(task, MODELS).artefact
    assert found
    return found.array("margins").tobytes()


MISDEEDS = {
    "default type": "torch.set_default_dtype(torch.float64)\ndef f(model, *_): return shrunk(model)",
    "default device": "torch.set_default_device('meta')\ndef f(model, *_): return shrunk(model)",
    "no gradients": "torch.set_grad_enabled(False)\ndef f(model, *_): return shrunk(model)",
    "threads": "torch.set_num_threads(4)\ndef f(model, *_): return shrunk(model)",
    "patched loss": "torch.nn.functional.cross_entropy = None\ndef f(model, *_): return shrunk(model)",
    "patched expunge": "import expunge.methods\nexpunge.methods.METHODS.clear()\n"
    "def f(model, *_): return shrunk(model)",
    "modules": "sys.modules['json'] = None\ndef f(model, *_): return shrunk(model)",
    "environment": "def f(model, *_):\n    os.environ.clear()\n    return shrunk(model)",
    "folder": "def f(model, *_):\n    os.chdir('/')\n    return shrunk(model)",
    "removed folder": "import tempfile\ndef f(model, *_):\n    os.chdir(d := tempfile.mkdtemp())\n    os.rmdir(d)\n"
    "    return shrunk(model)",
    "seeds": "def f(model, *_):\n    np.random.seed(1), random.seed(1), torch.manual_seed(1)\n    return shrunk(model)",
    "signals": "signal.signal(signal.SIGINT, signal.SIG_DFL)\ndef f(model, *_): return shrunk(model)",
    "warnings": "import warnings\nwarnings.simplefilter('error')\ndef f(model, *_): return shrunk(model)",
    "its data": "def f(model, retain, forget, seed):\n    retain.tensors[0].zero_(), forget.tensors[0].zero_()\n"
    "    return shrunk(model)",
    "standard output closed": "def f(model, *_):\n    os.closerange(1, 2)\n    return shrunk(model)",
    "a thread that goes on": "def f(model, *_):\n    threading.Thread(target=time.sleep, args=(1000,)).start()\n"
    "    return shrunk(model)",
    "a fork that returns twice": "def f(model, *_):\n    os.fork()\n    return shrunk(model)",
    "an interrupt of who started it": "def f(model, *_):\n    os.kill(os.getppid(), signal.SIGINT)\n"
    "    return shrunk(model)",
    "an exit hook": "import atexit\natexit.register(time.sleep, 1000)\ndef f(model, *_): return shrunk(model)",
}


@pytest.mark.parametrize("misdeed", MISDEEDS)
def test_a_row_of_the_table_keeps_its_bytes_beside_it(misdeed: str, tiny_suite: Suite, tmp_path: Path) -> None:
    before, folder, threads = bytes_of("rni", tiny_suite), Path.cwd(), torch.get_num_threads()
    state = torch.get_rng_state(), dict(os.environ)
    assert not outcome(tmp_path, MISDEEDS[misdeed], tiny_suite).reason
    assert bytes_of("rni", tiny_suite) == before
    assert (Path.cwd(), torch.get_num_threads(), torch.get_default_dtype()) == (folder, threads, torch.float32)
    assert torch.equal(state[0], torch.get_rng_state())
    assert state[1] == dict(os.environ)


FAILURES = {
    "class B(BaseException): pass\ndef f(*_): raise B('b')": "raised B: b (mine.py, line",
    "def f(*_): raise KeyboardInterrupt": "raised KeyboardInterrupt",
    "def f(*_): raise GeneratorExit": "raised GeneratorExit",
    "def f(*_): sys.exit(0)": "raised SystemExit: 0",
    "def f(*_): os._exit(0)": "its process ended with exit code 0 before it returned",
    "def f(*_): os._exit(7)": "its process ended with exit code 7",
    "def f(*_):\n    import ctypes\n    ctypes.string_at(0)": "its process died of SIGSEGV",
    "def f(*_): os.kill(os.getpid(), signal.SIGKILL)": "its process died of SIGKILL, perhaps for want of memory",
    "def f(*_): os.killpg(0, signal.SIGTERM)": "its process died of SIGTERM",
    "def f(*_): os.abort()": "its process died of SIGABRT",
    "def f(*_): os.closerange(3, 256), time.sleep(60)": "its process",
    "class Mute(Exception):\n    def __str__(self): raise ValueError\ndef f(*_): raise Mute": "raised Mute",
    "TONGUES = '\\x1b[2J\\x00\\u202e\\ud800\\r' + 'x' * 10**7\ndef f(*_): raise ValueError(TONGUES)": (
        r"raised ValueError: \x1b[2J\x00\u202e\ud800\x0dxx"
    ),
    "def f(*_):\n    def deep(): deep()\n    deep()": "raised RecursionError",
    "def f(*_): input()": "raised EOFError",
    "def f(model, *_): return 3": "got int; return the model itself",
    "def f(model, *_): return torch.nn.Linear(2, 2)": "another architecture",
    "def f(model, *_): return model": "returned its input unchanged for model 0",
    "def f(model, *_): pass": "returned its input unchanged",
    "async def f(model, *_): pass": "is an async function",
    "def f(model, *_): return shrunk(model).to('meta')": "on the meta device, which holds no numbers",
}


@pytest.mark.parametrize("code", FAILURES)
def test_whatever_it_raises_or_breaks_is_its_own_failed_row(code: str, tiny_suite: Suite, tmp_path: Path) -> None:
    reason = outcome(tmp_path, code, tiny_suite).reason
    assert FAILURES[code] in reason
    assert len(reason) < 500
    assert reason.isprintable()


def test_one_that_hangs_is_ended_at_its_limit(tiny_suite: Suite, tmp_path: Path) -> None:
    code = "def f(*_):\n    while True: pass"
    assert "took longer than 0.3 s for one model" in outcome(tmp_path, code, tiny_suite, timeout=0.3).reason


def test_what_it_started_ends_with_it(tiny_suite: Suite, tmp_path: Path) -> None:
    """Also what left its group of processes, as daemons do."""
    code = (
        "def f(model, *_):\n"
        f"    with open({str(tmp_path / 'children')!r}, 'a') as file:\n"
        "        for leaves in (False, True):\n"
        "            child = subprocess.Popen(['sleep', '1000'], start_new_session=leaves)\n"
        "            file.write(f'{child.pid} ')\n"
        "    return shrunk(model)"
    )
    assert not outcome(tmp_path, code, tiny_suite).reason
    children = [int(number) for number in (tmp_path / "children").read_text().split()]
    assert len(children) == 2 * len(MODELS)
    assert not [number for number in children if Path(f"/proc/{number}").exists()]


CHANCE = """
def f(model, retain, forget, seed):
    names = {f"{number} of a set" for number in range(20)}
    noise = np.random.normal() + random.random() + torch.rand(1).item() + hash(next(iter(names))) % 1000 / 1000
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1 + 0.01 * noise)
    return model
"""


def test_the_same_command_gives_the_same_bytes(tiny_suite: Suite, tmp_path: Path) -> None:
    """Chance of torch, numpy and Python's own, and the order of sets of strings."""
    found = []
    for _ in range(2):
        made = outcome(tmp_path, CHANCE, tiny_suite).artefact
        assert made
        found.append(made.array("margins").copy())
        user_store().remove(str(made.folder.relative_to(user_store().root)))
    assert np.array_equal(found[0], found[1])
    assert not np.array_equal(found[0][0, 0], found[0][0, 1])  # every model has a seed of its own


def test_a_loader_may_have_workers_of_its_own(tiny_suite: Suite, tmp_path: Path) -> None:
    code = """
from torch.utils.data import DataLoader
def f(model, retain, forget, seed):
    seen = sum(len(x) for x, y in DataLoader(retain, 32, num_workers=2))
    assert seen == len(retain)
    return shrunk(model)
"""
    assert not outcome(tmp_path, code, tiny_suite).reason


def test_neighbours_are_found_from_inside_functions(tiny_suite: Suite, tmp_path: Path) -> None:
    (tmp_path / "beside.py").write_text("FACTOR = 0.5")
    code = "def f(model, *_):\n    from beside import FACTOR\n    return shrunk(model)"
    assert not outcome(tmp_path, code, tiny_suite).reason


RETURNED = {
    "nothing": "shrunk(model) and None",
    "state": "shrunk(model).state_dict()",
    "state of a parallel one": "torch.nn.DataParallel(shrunk(model)).state_dict()",
    "parallel": "torch.nn.DataParallel(shrunk(model))",
    "compiled": "torch.compile(shrunk(model), backend='eager')",
    "compiled and parallel": "torch.compile(torch.nn.DataParallel(shrunk(model)), backend='eager')",
    "averaged": "torch.optim.swa_utils.AveragedModel(shrunk(model))",
    "double": "shrunk(model).double()",
    "with what it lost": "(shrunk(model), [0.3, 0.2])",
    "parametrized": "torch.nn.utils.parametrizations.weight_norm(shrunk(model)[1]) and model",
    "pruned": "torch.nn.utils.prune.identity(shrunk(model)[1], 'weight') and model",
    "trained": "shrunk(model).train()",
    "frozen": "shrunk(model).requires_grad_(False)",
}


@pytest.mark.parametrize("what", RETURNED)
def test_what_it_returns_is_taken_where_its_meaning_is_plain(what: str, tiny_suite: Suite, tmp_path: Path) -> None:
    given = f"import torch.nn.utils.prune\ndef f(model, *_): return {RETURNED[what]}\n"
    plain = "def g(model, *_): return shrunk(model)"
    for name in ("f", "g"):
        found = outcome(tmp_path, given + plain, tiny_suite, name=name)
        assert not found.reason
        assert found.artefact
        assert "alarms" not in found.artefact.meta  # a wrapper of a library is no other architecture
        margins = found.artefact.array("margins")
        if name == "f":
            first = margins
    np.testing.assert_allclose(first, margins, rtol=1e-4, atol=1e-5)


def test_half_precision_is_taken(tiny_suite: Suite, tmp_path: Path) -> None:
    found = outcome(tmp_path, "def f(model, *_): return shrunk(model).half()", tiny_suite)
    assert found.artefact
    assert "alarms" not in found.artefact.meta
    assert found.artefact.array("margins").dtype == np.float32


@pytest.mark.parametrize(
    ("code", "says"),
    [
        (
            "def f(model, retain): return model",
            "expected a function .model, retain, forget, seed., got f.model, retain",
        ),
        ("import nowhere_at_all", "importing .* raised ModuleNotFoundError: No module named 'nowhere_at_all'"),
        ("class B(BaseException): pass\nraise B('b')", "importing .* raised B: b"),
        ("os._exit(0)", "importing .* failed: its process ended with exit code 0"),
        ("def g(*_): pass", "has no function 'f'; "),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_before_any_work(code: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(SHRUNK + code)
    with pytest.raises((UnknownName, BadSetting), match=says):
        find_method(f"{tmp_path}/mine.py:f")


def test_a_function_that_is_given_runs_here_and_leaves_no_trace_of_chance(suite: Suite) -> None:
    here = []

    def given(model, retain, forget, seed):  # type: ignore[no-untyped-def]
        here.append(threading.get_ident())
        torch.set_default_dtype(torch.float64)
        np.random.seed(seed), random.seed(seed)  # noqa: NPY002
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.mul_(0.9)

    numpys = str(np.random.get_state())  # noqa: NPY002
    unlearn(pretrain(suite, 2, first=100), "random-10", given)
    assert here == [threading.get_ident()] * 2
    assert torch.get_default_dtype() == torch.float32
    assert str(np.random.get_state()) == numpys  # noqa: NPY002


def test_its_limit_of_work_is_held_to(tiny_suite: Suite, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        SHRUNK + "def f(model, retain, *_):\n    model(retain.tensors[0])\n    return shrunk(model)"
    )
    name = f"{tmp_path}/mine.py:f"
    ensemble, first = pretrain(tiny_suite, 2), tiny_suite.forget_sets["first"]
    [step] = run_method(name, find_method(name), NoSettings(), ensemble, tiny_suite, first)
    passes = 1 / tiny_suite.recipe.epochs  # the CPU time, which counts if it is more, is not that of a method so small
    assert step.cost > 0.999 * passes
    with pytest.raises(MethodFailed, match="costs too much"):
        list(run_method(name, find_method(name), NoSettings(), ensemble, tiny_suite, first, limit=passes / 2))


def test_the_time_of_starting_a_process_is_no_time_of_the_method(tiny_suite: Suite, tmp_path: Path) -> None:
    found = outcome(tmp_path, "time.sleep(0.7)\ndef f(model, *_): return shrunk(model)", tiny_suite)
    assert found.artefact
    assert found.artefact.meta["seconds"][0] < 0.7 / len(MODELS)


def test_a_file_that_is_gone_fails_its_own_row(tiny_suite: Suite, tmp_path: Path) -> None:
    """As one that removes itself does, after its first models."""
    code = "def f(model, *_):\n    os.path.exists(__file__) and os.unlink(__file__)\n    return shrunk(model)"
    assert not outcome(tmp_path, code, tiny_suite).reason
    name = f"{tmp_path}/mine.py:f"
    again = unlearn_chunk(Task(tiny_suite, tiny_suite.forget_sets["first"], name, NoSettings(), 0), MODELS)
    assert "there is no file" in again.reason
