"""Other code, another digest: of what a module imports, of what a user's file does, and of nothing else."""

import importlib
import re
from pathlib import Path

import pytest

from expunge import fingerprint
from expunge.errors import UnknownName
from expunge.fingerprint import (
    PACKAGE,
    code_digest,
    code_files,
    files_digest,
    local_files,
    source_of,
    without_words,
)
from expunge.methods import METHODS
from expunge.metrics import METRICS
from expunge.user_files import load_function

HOUSE = {  # a library in small: two stages, a table of two methods, and what all stages know
    "expunge/__init__.py": "",
    "expunge/errors.py": "class Wrong(Exception): pass\n",
    "expunge/suites/__init__.py": (
        "from expunge.suites.data import Data as Table\nfrom expunge.suites.other import more\n"
    ),
    "expunge/suites/data.py": "class Data: pass\n",
    "expunge/suites/other.py": "more = 1\n",
    "expunge/methods/__init__.py": "from expunge.methods.zoo import mine, theirs\nMETHODS = [mine, theirs]\n",
    "expunge/methods/parts/__init__.py": "",
    "expunge/methods/parts/walks.py": "from . import steps\n",
    "expunge/methods/parts/steps.py": "",
    "expunge/methods/zoo/__init__.py": "",
    "expunge/methods/zoo/mine.py": (
        "import os\nfrom expunge.errors import Wrong\nfrom expunge.methods.parts.walks import walk\n"
        "from expunge.suites import Table\ndef late():\n    from expunge.methods import METHODS\n"
    ),
    "expunge/methods/zoo/theirs.py": "from expunge.suites import more\n",
}


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in HOUSE.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(fingerprint, "PACKAGE", tmp_path / "expunge")
    return tmp_path


@pytest.mark.parametrize("name", sorted(HOUSE))
def test_the_digest_of_a_method_is_of_its_file_and_what_this_imports(name: str, house: Path) -> None:
    """Directly, through another module, through the name that a package gives on; a table is no code of its rows."""
    counted = {
        "expunge/methods/zoo/mine.py",
        "expunge/methods/parts/walks.py",
        "expunge/methods/parts/steps.py",
        "expunge/suites/data.py",
    }
    digest = code_digest.__wrapped__  # which remembers nothing
    before = digest("expunge.methods.zoo.mine")
    (house / name).write_text(HOUSE[name] + "changed = 1\n")
    assert (digest("expunge.methods.zoo.mine") != before) == (name in counted)


def test_a_module_that_is_none_is_told() -> None:
    with pytest.raises(UnknownName, match="is no module of expunge"):
        code_files("expunge.methods.zoo.magic")


@pytest.mark.parametrize("name", METHODS)
def test_the_code_of_every_method_is_found(name: str) -> None:
    """Its own file and those of the stages before it; of other methods only what they import of one another."""
    found = {file.relative_to(PACKAGE).as_posix() for file in code_files(METHODS[name].module)}
    assert own_file(METHODS[name].module) in found
    assert {"suites/suite.py", "ensembles/ensemble.py"} <= found
    assert not [file for file in found if file.startswith(("metrics", "bench", "tuning", "reports", "cli"))]
    zoo = {file for file in found if file.startswith("methods/zoo/")}
    texts = "".join((PACKAGE / file).read_text() for file in zoo)
    assert {Path(file).stem for file in zoo - {own_file(METHODS[name].module)}} <= set(re.findall(r"zoo\.(\w+)", texts))


@pytest.mark.parametrize("name", METRICS)
def test_the_code_of_every_metric_is_found(name: str) -> None:
    metric = METRICS[name]
    module = getattr(metric.scores or metric.compares, "__module__", "")
    found = {file.relative_to(PACKAGE).as_posix() for file in code_files(module)}
    assert own_file(module) in found
    assert "metrics/row.py" in found
    assert not [file for file in found if file.startswith(("methods/zoo", "bench", "tuning", "reports", "cli"))]


def own_file(module: str) -> str:
    """The file of a module, below the library's folder."""
    return Path(str(importlib.import_module(module).__file__)).relative_to(PACKAGE).as_posix()


def test_what_a_method_imports_of_the_suites_is_its_code_too(monkeypatch: pytest.MonkeyPatch) -> None:
    digest, read = code_digest.__wrapped__, Path.read_bytes
    modules = {name: METHODS[name].module for name in ("rum", "fine-tune")}
    before = {name: digest(module) for name, module in modules.items()}
    monkeypatch.setattr(
        Path, "read_bytes", lambda file: read(file) + b"new = 1\n" * (file.parts[-2:] == ("suites", "forget_sets.py"))
    )
    assert digest(modules["rum"]) != before["rum"]
    assert digest(modules["fine-tune"]) == before["fine-tune"]


MODULE = '''
"""What it holds."""
import os
# why it is so
class Table:
    """A table, é."""; size = 1
    def rows(self):
        """Its rows,

        one by one.
        """
        return """
# no comment

"""
'''


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ("What it holds.", "What it held.", True),
        ('"""What it holds."""', "", True),
        ("# why it is so\n", "# another reason\n\n", True),
        ("A table, é.", "A board, of two\n    lines.", True),
        ("one by one.", "one by one.\n\n        And so on.", True),
        ("import os", "import os  # for its path", False),
        ("size = 1", "size = 2", False),
        ("# no comment\n", "# a comment\n", False),
        ("# no comment\n\n", "# no comment\n", False),
    ],
)
def test_words_about_code_are_no_part_of_it(old: str, new: str, same: bool) -> None:
    assert MODULE.count(old) == 1
    assert (without_words(MODULE.replace(old, new).encode()) == without_words(MODULE.encode())) == same


NETWORK = """
from torch import nn
SCALE = 2.0
def double(x): return SCALE * x
class Net(nn.Module):
    def __init__(self): super().__init__(); self.head = nn.Linear(3, 2)
    def forward(self, x): return self.head(double(x))
def unrelated(): return 1
"""


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ("def unrelated(): return 1", "def unrelated(): return 2", True),
        ("SCALE = 2.0", "SCALE = 2.0  # twice", True),
        ("SCALE = 2.0", "SCALE = 3.0", False),
        ("return SCALE * x", "return SCALE + x", False),
        ("self.head(double(x))", "self.head(x)", False),
    ],
)
def test_the_source_of_a_network_is_what_it_uses_of_its_file(tmp_path: Path, old: str, new: str, same: bool) -> None:
    hashes = []
    for name, text in (("one.py", NETWORK), ("other.py", NETWORK.replace(old, new))):
        (tmp_path / name).write_text(text)
        hashes.append(source_of(load_function("suite", f"{tmp_path / name}:Net")))
    assert (hashes[0] == hashes[1]) == same


def test_local_files_are_those_of_the_folder_that_are_imported(tmp_path: Path) -> None:
    texts = {
        "main.py": "import os, json\nimport near\nfrom package.inner import f\n",
        "near.py": "def g():\n    import far\n",
        "far.py": "import near\n",
        "package/__init__.py": "",
        "package/inner.py": "from . import sister\nfrom .cousin import h\n",
        "package/sister.py": "",
        "package/cousin.py": "import torn\n",
        "torn.py": "def (",
        "other.py": "",
        "os.py": "",
    }
    for name, text in texts.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    found = {str(file.relative_to(tmp_path)) for file in local_files(tmp_path / "main.py")}
    assert found == texts.keys() - {"other.py"}


def test_the_digest_of_a_users_file_is_of_those_beside_it_too(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text("import near\n")
    (tmp_path / "near.py").write_text("")
    (tmp_path / "other.py").write_text("")
    before = files_digest(tmp_path / "main.py")
    (tmp_path / "other.py").write_text("1\n")
    assert files_digest(tmp_path / "main.py") == before
    (tmp_path / "near.py").write_text("1\n")
    assert files_digest(tmp_path / "main.py") != before
