"""A guest cannot read oracles, by whatever way Python has; its row fails, and says why."""

from pathlib import Path

import pytest

from expunge.ensembles.kinds import KINDS
from expunge.methods.method import NoSettings
from expunge.methods.own import oracle_guard
from expunge.methods.own.oracle_guard import REFUSED
from expunge.methods.task import Outcome, Task, unlearn_chunk
from expunge.store import at_store
from expunge.suites import Suite

HEAD = """
import os, numpy as np, torch
FOLDER = {folder!r}
def changed(model):
    with torch.no_grad():
        next(model.parameters()).mul_(0.9)
    return model
def f(model, retain, forget, seed):
"""


def outcome(code: str, suite: Suite, store: Path, folder: Path) -> Outcome:
    place = next((store / suite.digest / "oracles").iterdir())
    lines = "".join(f"    {line}\n" for line in (*code.splitlines(), "return changed(model)"))
    (folder / "mine.py").write_text(HEAD.format(folder=str(place)) + lines)
    with at_store(store):
        return unlearn_chunk(Task(suite, suite.forget_sets["first"], f"{folder}/mine.py:f", NoSettings(), 0), range(1))


WAYS = {
    "numpy": "np.load(f'{FOLDER}/margins.npy')",
    "mapped": "np.load(f'{FOLDER}/margins.npy', mmap_mode='r')",
    "open": "open(f'{FOLDER}/margins.npy', 'rb').read(1)",
    "bytes": "open(os.fsencode(f'{FOLDER}/margins.npy'), 'rb')",
    "descriptor": "os.open(f'{FOLDER}/margins.npy', os.O_RDONLY)",
    "tensors": "from safetensors.torch import load_file\nload_file(f'{FOLDER}/weights.safetensors')",
    "folder": "os.open(os.path.dirname(FOLDER), os.O_RDONLY)",
    "there": "os.chdir(FOLDER)\nopen('margins.npy', 'rb')",
    "dots": "open(f'{FOLDER}/../../oracles/{os.path.basename(FOLDER)}/margins.npy', 'rb')",
    "link": "import tempfile\nd = tempfile.mkdtemp() + '/l'\nos.symlink(FOLDER, d)\nopen(d + '/margins.npy', 'rb')",
    "hard link": "import tempfile\nos.link(f'{FOLDER}/margins.npy', tempfile.mkdtemp() + '/m')",
    "renamed": "os.rename(FOLDER, FOLDER + '2')",
    "copied": "import shutil, tempfile\nshutil.copytree(FOLDER, tempfile.mkdtemp() + '/c')",
    "store": "from expunge.store import Store\nfrom pathlib import Path\np = Path(FOLDER)\n"
    "Store(p.parents[2]).read('/'.join(p.parts[-3:])).array('margins')",
    "child": "child = os.fork()\nif child == 0:\n    try:\n        open(f'{FOLDER}/margins.npy', 'rb')\n"
    "    except BaseException:\n        os._exit(9)\n    os._exit(0)\n"
    "assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9\nopen(f'{FOLDER}/margins.npy', 'rb')",
    "unhooked": "import sys\nsys._clear_internal_caches() if hasattr(sys, '_clear_internal_caches') else None\n"
    "import expunge.methods.own.oracle_guard as g\ng._refuse = print\nopen(f'{FOLDER}/margins.npy', 'rb')",
}


@pytest.mark.parametrize("way", WAYS)
def test_reading_them_fails_the_row(way: str, tiny_suite: Suite, tiny_store: Path, tmp_path: Path) -> None:
    assert outcome(WAYS[way], tiny_suite, tiny_store, tmp_path).reason == f"{REFUSED}, on model 0"


ALLOWED = {
    "its own files": "open(__file__).read()",
    "pretrained models": "open(f'{FOLDER}/../../pretrained/manifest.json').read()",
    "a folder of that name": "import tempfile\nd = tempfile.mkdtemp() + '/oracles'\nos.mkdir(d)\nopen(d + '/a', 'w')",
}


@pytest.mark.parametrize("way", ALLOWED)
def test_other_files_can_be_read(way: str, tiny_suite: Suite, tiny_store: Path, tmp_path: Path) -> None:
    assert not outcome(ALLOWED[way], tiny_suite, tiny_store, tmp_path).reason


@pytest.mark.parametrize(
    ("path", "refused"),
    [
        ("/store/0123456789abcdef/oracles", True),
        ("/store/0123456789abcdef/oracles/class-3-12/margins.npy", True),
        ("/store/0123456789abcdef/oracles-weights/class-3-12/chunks/0000/weights.safetensors", True),
        ("/out/arrays/class-3/reference.npz", True),
        ("/out/arrays/class-3/oracle.npz", True),
        ("/out/arrays/class-3/scrub.npz", False),
        ("/store/0123456789abcdef/pretrained/margins.npy", False),
        ("/home/oracles/mine.py", False),
    ],
)
def test_which_files_hold_oracles(path: str, refused: bool) -> None:
    assert bool(oracle_guard._ORACLES.search(path)) == refused


def test_their_folder_is_that_of_the_table() -> None:
    assert KINDS["oracle"].folder == oracle_guard._FOLDER
