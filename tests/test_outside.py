"""Files that come from outside: what is opened, what is refused before it is, and that a passing error is no damage."""

import errno
import os
import socket
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from expunge.errors import BadData, CannotRead, DamagedArtefact, StoreError
from expunge.outside import opened, read_bytes, read_json, read_text
from expunge.store import Store


def pipe(place: Path) -> None:
    os.mkfifo(place)


def listening(place: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(place))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (pipe, "is a pipe, and was not opened"),
        (listening, "is a socket, and was not opened"),
        (Path.mkdir, "is a folder, and was not opened"),
        (lambda place: place.symlink_to("/dev/zero"), "is a device, and was not opened"),
        (lambda place: place.symlink_to(place), "cannot read .*nothing is lost: mend its symbolic links"),
        (lambda place: None, "there is no file"),
    ],
)
def test_only_regular_files_are_opened(
    make: Callable[[Path], None], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make(Path("x"))
    with pytest.raises(BadData, match=said) as caught, opened(Path("x")):
        pytest.fail("it was opened")
    assert "\n" not in str(caught.value)


def test_a_link_to_a_regular_file_is_followed(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("text")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    assert read_text(tmp_path / "b") == "text"


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(StoreError, match="has 1,099,511,627,776 bytes, expected at most 100"):
        read_bytes(tmp_path / "sparse", StoreError, most=100)


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"caf\xe9", "expected UTF-8, got byte 0xe9 at 3"), (b"{", "is no JSON"), (b"[" * 100_000, "is no JSON")],
)
def test_what_is_no_text_or_no_json_is_one_line(content: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(BadData, match=said) as caught:
        read_json(tmp_path / "x")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("code", [errno.EMFILE, errno.EACCES, errno.EIO, errno.ENOMEM])
@pytest.mark.parametrize("which", ["manifest.json", "x.npy"])
def test_a_passing_error_is_no_damage_and_destroys_nothing(
    code: int, which: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path)
    store.write("a", {"x": np.arange(3)}, {})
    os.utime(tmp_path / "a" / "x.npy", ns=(1, 1))  # so that its hash is not the one that is remembered
    real = os.open

    def failing(file: str | Path, *rest: int, **more: int) -> int:
        if str(file).endswith(which):
            raise OSError(code, os.strerror(code))
        return real(file, *rest, **more)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", failing)
        with pytest.raises(CannotRead, match=rf"cannot read .*{which}: .*nothing is lost") as caught:
            store.read("a")
    assert not isinstance(caught.value, DamagedArtefact)
    found = store.read("a")
    assert found is not None
    assert found.array("x").tolist() == [0, 1, 2]
