"""A file of the user's own is run once, and again when it or a file beside it changes."""

import sys
from pathlib import Path

import cloudpickle
import pytest

from expunge.errors import UserError
from expunge.user_files import load_function


def test_a_file_that_is_mended_beside_one_that_was_not_is_read_anew(tmp_path: Path) -> None:
    """The neighbour had been imported when the file itself failed."""
    (tmp_path / "neighbour.py").write_text("WIDTH = 3\n")
    (tmp_path / "broken.py").write_text("import neighbour\nraise RuntimeError\ndef width(): return neighbour.WIDTH\n")
    name = f"{tmp_path / 'broken.py'}:width"
    with pytest.raises(UserError, match="raised RuntimeError"):
        load_function("method", name)
    (tmp_path / "neighbour.py").write_text(
        "WIDTH = 55\n"
    )  # of another size: what Python keeps compiled is known by that and the second
    (tmp_path / "broken.py").write_text("import neighbour\ndef width(): return neighbour.WIDTH\n")
    assert load_function("method", name)() == 55
    (tmp_path / "neighbour.py").write_text("WIDTH = 777\n")
    assert load_function("method", name)() == 777


def test_an_environment_beside_a_file_is_no_neighbour_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packages = tmp_path / ".venv/lib/site-packages"
    packages.mkdir(parents=True)
    (packages / "installed_thing.py").write_text("X = 1")
    (tmp_path / "beside.py").write_text("Y = 2")
    (tmp_path / "mine.py").write_text("import beside, installed_thing\ndef f(): return beside.Y + installed_thing.X")
    monkeypatch.syspath_prepend(str(packages))
    assert load_function("method", f"{tmp_path / 'mine.py'}:f")() == 3
    assert {"beside", "installed_thing"} & set(cloudpickle.list_registry_pickle_by_value()) == {"beside"}
    assert "installed_thing" in sys.modules
