"""Pictures in folders, one for each class: with train and test beside one another, or divided here."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from expunge.engine import warn
from expunge.errors import BadData, MissingData
from expunge.outside import visible
from expunge.suites.data import Data
from expunge.suites.encoded import Kind, one_kind, pictures
from expunge.suites.own import data_from_arrays
from expunge.suites.splitting import said, split

PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp")
PARTS = ("train", "test")

Labelled = list[tuple[str, Path]]  # class and file of each picture, in the order of classes and names


def data_from_folder(folder: Path | str) -> Data:
    """Data from pictures at ``train/CLASS/*.png`` and ``test/CLASS/*.png``, or of other formats, all of one size.

    Classes are the folders below ``train``; their numbers follow the alphabet. Where there is neither train nor test,
    the folders of classes lie in ``folder`` itself, and a fifth of each class, drawn with seed 0, is to test; a line
    says so. Pictures are grey if all are, else in colour. What systems leave in folders is no picture.
    """
    root = Path(folder).expanduser()
    if not root.is_dir():
        raise MissingData(f"there is no folder {root / PARTS[0]}; expected train/CLASS/*.png and test/CLASS/*.png")
    if all(_is_part(root / part) for part in PARTS):
        train, test = (_by_class(root / part) for part in PARTS)
        return _data(train, test, f"pictures of {root}")
    lone = [part for part in PARTS if _is_part(root / part)]
    if lone:
        other = PARTS[1 - PARTS.index(lone[0])]
        raise MissingData(
            f"there is no folder {root / other} with pictures beside {lone[0]}; expected both, or neither: the folders "
            f"of classes alone are divided here (data_from_folder({str(root / lone[0])!r}))"
        )
    found = _by_class(root)
    rows = split(np.array([label for label, _ in found]), what=str(root))
    made = f"pictures of {root}, in which there is no train and test: {said([len(each) for each in rows])}"
    warn(made)
    return _data([found[row] for row in rows[0]], [found[row] for row in rows[1]], made)


def _data(train: Labelled, test: Labelled, made: str) -> Data:
    files = [file for _, file in train + test]
    kind = one_kind(files, list(map(str, files)))
    x = [_pixels(part, kind) for part in (train, test)]
    y = [np.array([label for label, _ in part]) for part in (train, test)]
    return data_from_arrays(x[0], y[0], x[1], y[1], made=made)


def _pixels(part: Labelled, kind: Kind) -> np.ndarray:
    files = [file for _, file in part]
    return pictures(files, list(map(str, files)), kind)


def _is_part(folder: Path) -> bool:
    """Whether a folder is a part of the data, which has folders in it, and no class, which has pictures."""
    return folder.is_dir() and not any(map(_is_picture, visible(folder)))


def _by_class(folder: Path) -> Labelled:
    inside = visible(folder)
    if stray := [each for each in inside if _is_picture(each)]:
        raise BadData(f"{stray[0]} lies in no folder of a class; expected {folder.name}/CLASS/*.png: move it")
    found = [(each.name, file) for each in inside if each.is_dir() for file in _below(each)]
    if not found:
        raise MissingData(f"{folder} holds no pictures; expected {folder.name}/CLASS/*.png")
    empty = {each.name for each in inside if each.is_dir()} - {name for name, _ in found}
    if empty:
        raise BadData(
            f"{folder / min(empty)} holds no pictures ({', '.join(each[1:] for each in PICTURES)}); put some there, or "
            "remove it"
        )
    return found


def _below(folder: Path) -> Sequence[Path]:
    """The pictures in a folder and in those below it, which are of its class too."""
    files: list[Path] = []
    for each in visible(folder):
        files += _below(each) if each.is_dir() and not each.is_symlink() else [each] if _is_picture(each) else []
    return files


def _is_picture(file: Path) -> bool:
    return file.suffix.lower() in PICTURES and not file.is_dir()
