"""Pictures in folders, one for each class: with train and test beside one another, or divided here."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from expunge.engine import warn
from expunge.errors import BadData, MissingData
from expunge.outside import place_of, visible
from expunge.suites.data import Data
from expunge.suites.encoded import Kind, one_kind, pictures
from expunge.suites.own import data_from_arrays
from expunge.suites.splitting import said, split

PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp")
UNREAD = (".heic", ".heif", ".avif", ".svg", ".jp2", ".jfif", ".ppm", ".pgm", ".pbm", ".tga", ".dcm", ".psd")
PACKED = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar")
PARTS = ("train", "test")
MEANT = {  # other names of train and of test
    **dict.fromkeys(("training", "trainset", "train_set", "train-set", "train_data", "training_set"), "train"),
    **dict.fromkeys(("testing", "tests", "testset", "test_set", "test-set", "test_data", "test_images"), "test"),
    **dict.fromkeys(("val", "valid", "validation", "dev", "eval", "evaluation", "holdout"), "test"),
}
SHOWN = 5  # so many names are told in a line

Labelled = list[tuple[str, Path]]  # class and file of each picture, in the order of classes and names


def data_from_folder(folder: Path | str) -> Data:
    """Data from pictures at ``train/CLASS/*.png`` and ``test/CLASS/*.png``, or of other formats, all of one size.

    Classes are the folders below ``train``, which may be written ``Train``; their numbers follow the alphabet. What
    lies deeper is of its class: a line says so, and what is left out. Folders of folders that are named otherwise,
    such as ``training`` or ``val``, are refused. Where there is neither train nor test,
    the folders of classes lie in ``folder`` itself, and a fifth of each class, drawn with seed 0, is to test; a line
    says so. Pictures are grey if all are, else in colour. What systems leave in folders is no picture.
    """
    root = place_of(folder)
    _require_folder(root)
    parts = _parts(root)
    if len(parts) == len(PARTS):
        _say_left_out(root, parts)
        train, test = (_by_class(parts[part]) for part in PARTS)
        return _data(train, test, f"pictures of {root}")
    _require_no_other_names(root, parts)
    if parts:
        ((lone, place),) = parts.items()
        other = PARTS[1 - PARTS.index(lone)]
        raise MissingData(
            f"there is no folder {root / other} with pictures beside {place.name}; expected both, or neither: the "
            f"folders of classes alone are divided here (data_from_folder({str(place)!r}))"
        )
    found = _by_class(root)
    rows = split(np.array([label for label, _ in found]), what=str(root))
    made = f"pictures of {root}, in which there is no train and test: {said([len(each) for each in rows])}"
    warn(made)
    return _data([found[row] for row in rows[0]], [found[row] for row in rows[1]], made)


def _require_folder(root: Path) -> None:
    if root.is_dir():
        return
    if root.exists():
        advice = (
            "unpack it, and give the folder" if root.suffix.lower() in PACKED else "give the folder that it lies in"
        )
        raise BadData(f"{root} is a file, expected a folder of train/CLASS/*.png and test/CLASS/*.png; {advice}")
    raise MissingData(f"there is no folder {root / PARTS[0]}; expected train/CLASS/*.png and test/CLASS/*.png")


def _parts(root: Path) -> dict[str, Path]:
    """The folders of train and of test, as far as they are there, however their names are written."""
    found: dict[str, Path] = {}
    for each in filter(_is_part, visible(root)):
        name = each.name.lower()
        if name in found:
            raise BadData(f"{root} has the folders {found[name].name} and {each.name}; expected one of them: join them")
        if name in PARTS:
            found[name] = each
    return found


def _say_left_out(root: Path, parts: dict[str, Path]) -> None:
    """What lies beside train and test and has pictures, or folders, is not looked at."""
    left = [each.name for each in visible(root) if each not in parts.values() and (each.is_dir() or _is_picture(each))]
    if left:
        more = f" and {len(left) - SHOWN} more" if len(left) > SHOWN else ""
        warn(f"{root}: left out, for it lies beside train and test: {', '.join(left[:SHOWN])}{more}")


def _require_no_other_names(root: Path, parts: dict[str, Path]) -> None:
    """Refuse folders of folders whose names say that they are train or test, lest they become classes."""
    for each in filter(_is_part, visible(root)):
        if meant := MEANT.get(each.name.lower()):
            if meant not in parts:
                raise BadData(
                    f"{each} has folders in it, so it is no class; did you mean {meant}/? Name it so: expected "
                    "train/CLASS/*.png and test/CLASS/*.png, or CLASS/*.png alone"
                )
        elif inside := _parts(each):
            last = "" if each.name in inside else f", or data_from_folder({str(each)!r})"
            raise BadData(
                f"{each} has {' and '.join(inside)} in it, so it is no class; did you mean train/{each.name}/*.png and "
                f"test/{each.name}/*.png{last}?"
            )


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
    _say_unusual(folder, found)
    return found


def _say_unusual(folder: Path, found: Labelled) -> None:
    """What is taken that lies deeper than a class, and what is left out though it may be a picture."""
    deep = [file for name, file in found if file.parent != folder / name]
    if deep:
        warn(
            f"{folder}: {len(deep):,} of {len(found):,} pictures lie in folders below a class, and are of that class; "
            f"the first: {deep[0]}"
        )
    others = [each for place in {file.parent for _, file in found} for each in visible(place)]
    left = sorted(each for each in others if each.suffix.lower() in UNREAD)
    if left:
        warn(f"{folder}: {len(left):,} files of formats that are not read are left out; the first: {left[0]}")


def _below(folder: Path) -> Sequence[Path]:
    """The pictures in a folder and in those below it, which are of its class too."""
    files: list[Path] = []
    for each in visible(folder):
        files += _below(each) if each.is_dir() and not each.is_symlink() else [each] if _is_picture(each) else []
    return files


def _is_picture(file: Path) -> bool:
    return file.suffix.lower() in PICTURES and not file.is_dir()
