"""A file of the user's own is run once, and again when it or a file beside it changes."""

from pathlib import Path

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
