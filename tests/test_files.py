"""Files of the user's are written whole or not at all, and what is in their place stays; what cannot be is one line."""

import os
from pathlib import Path

import pytest
from filelock import FileLock

from expunge.audits.proofs.unfinished import Unfinished
from expunge.errors import StoreError
from expunge.files import Hashed, alone_with, sha256_of, write_file


def test_a_file_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"cannot write .*Not a directory; make room or give another place"):
        write_file(tmp_path / "file" / "scores.jsonl", "text")


def test_a_file_that_fails_half_way_leaves_the_old_one_and_nothing_else(tmp_path: Path) -> None:
    def stops(stream: Hashed) -> None:
        stream.write(b"half")
        raise OSError(28, "No space left on device")

    write_file(tmp_path / "page.md", "old")
    with pytest.raises(StoreError, match="No space left on device"):
        write_file(tmp_path / "page.md", stops)
    assert [file.read_text() for file in tmp_path.iterdir()] == ["old"]


def test_a_device_or_a_pipe_is_not_replaced_and_a_link_is_followed(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for place in (tmp_path / "pipe", tmp_path):
        with pytest.raises(StoreError, match="is no regular file; give another place"):
            write_file(place, "text")
    (tmp_path / "link").symlink_to(tmp_path / "page.md")
    write_file(tmp_path / "link", "text")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "page.md").read_text() == "text"


def test_a_file_without_rights_is_an_error_of_the_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which each who asks for a hash tells in words of its own; a pipe is no file, and is not waited for."""
    (tmp_path / "kept").write_text("text")

    def refuses(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", refuses)
        with pytest.raises(PermissionError):
            sha256_of(tmp_path / "kept")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="it is no plain file"):
        sha256_of(tmp_path / "pipe")


def test_a_file_system_without_locks_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(*_: object, **__: object) -> None:
        raise NotImplementedError("FileSystem does not appear to support flock")

    monkeypatch.setattr(FileLock, "acquire", refuses)
    said = "cannot write .*: its file system has no locks; give another place"
    with pytest.raises(StoreError, match=said), alone_with(tmp_path / "out"):
        pass
    with pytest.raises(StoreError, match=said):
        Unfinished.begin(tmp_path / "proof", "part", "a proof")
