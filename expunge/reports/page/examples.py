"""The margins of the examples that tell most: those on which the untouched models are furthest from the oracles."""

import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from numpy import ndarray
from numpy.lib.npyio import NpzFile

from expunge.errors import StoreError
from expunge.metrics.klom import klom
from expunge.names import as_file_name
from expunge.reports.summaries import FLOOR, NOTHING

BINS = 32
CLIP = 100.0  # as KLoM clips


@dataclass(frozen=True)
class Example:
    """One example of the forget set; margins are one value per model."""

    index: int
    label: int | None  # None where the data were not at hand
    klom: float  # of the untouched models, nats
    picture: ndarray | None  # (h, w) in [0, 1]
    pretrained: ndarray
    oracle: ndarray
    unlearned: Mapping[str, ndarray]


@dataclass(frozen=True)
class Evidence:
    """What the arrays of one forget set show. ``missing`` says why ``examples`` is empty."""

    examples: tuple[Example, ...] = ()
    only_class: int | None = None  # the one label of the forget set, if no retain example has it
    missing: str = ""


def read_evidence(folder: Path, methods: Sequence[str], count: int = 3) -> Evidence:
    """The ``count`` worst examples of ``folder`` = ``arrays/<forget set>``, with the margins of each of ``methods``.

    A folder or file that is not there is said in ``missing``; one that is there and damaged is a StoreError.
    """
    reference = folder / "reference.npz"
    if not reference.is_file():
        return Evidence(missing="The margins of this forget set were not kept, so its histograms are not drawn.")
    names = ("oracle", "pretrained", "forget", "retain")
    arrays = _load(reference, names, optional=("labels", "images", "owners"))
    _check(reference, arrays)
    only_class = _only_class(arrays)
    files = {name: file for name in methods if (file := _file_of(folder, name)) is not None}
    forget = arrays["forget"]
    far = klom(arrays["pretrained"][:, forget], arrays["oracle"][:, forget])
    order = np.argsort(-far, kind="stable")[:count]
    worst = forget[order]
    shown = [name for name in methods if name in files and name not in (FLOOR, NOTHING)]
    margins = {name: _columns(files[name], worst, arrays["oracle"].shape[1]) for name in shown}
    examples = [
        _example(int(index), float(value), arrays, {name: columns[:, place] for name, columns in margins.items()})
        for place, (index, value) in enumerate(zip(worst, far[order], strict=True))
    ]
    return Evidence(tuple(examples), only_class)


def _file_of(folder: Path, method: str) -> Path | None:
    """The arrays of a method, by the name of today or of before; None where there are none."""
    found = (folder / f"{name}.npz" for name in (as_file_name(method), quote(method, safe="")))
    return next((file for file in found if file.name != "reference.npz" and file.is_file()), None)


def _check(file: Path, arrays: Mapping[str, ndarray]) -> None:
    examples = arrays["oracle"].shape[-1]
    if "labels" in arrays and arrays["labels"].shape != (examples,):
        raise _damaged(file, f"labels has shape {arrays['labels'].shape}, expected ({examples},)")
    for name in ("oracle", "pretrained"):
        if arrays[name].ndim != 2 or arrays[name].shape[1] != examples:
            raise _damaged(file, f"{name} has shape {arrays[name].shape}, expected (models, {examples})")
        if len(arrays["forget"]) == 0 or arrays["forget"].max() >= examples:
            raise _damaged(file, f"forget holds no index below {examples}")
        if not np.isfinite(arrays[name][:, arrays["forget"]]).all():
            raise _damaged(file, f"{name} holds values that are not finite")
    images = arrays.get("images")
    if images is not None and (images.dtype != np.uint8 or images.ndim != 3 or len(images) != examples):
        found = f"{images.dtype} {images.shape}"
        raise _damaged(file, f"images are {found}, expected uint8 ({examples}, height, width)")


def _example(index: int, value: float, arrays: Mapping[str, ndarray], unlearned: Mapping[str, ndarray]) -> Example:
    return Example(
        index=int(arrays["owners"][index]) if "owners" in arrays else index,
        label=int(arrays["labels"][index]) if "labels" in arrays else None,
        klom=value,
        picture=arrays["images"][index] / 255 if "images" in arrays else None,
        pretrained=arrays["pretrained"][:, index].clip(-CLIP, CLIP),
        oracle=arrays["oracle"][:, index].clip(-CLIP, CLIP),
        unlearned=unlearned,
    )


def histograms(example: Example, method: str | None) -> dict[str, Any]:
    """Counts of the pretrained, unlearned and oracle margins of one example over the same bins.

    The bins span all three, so that nothing is cut off. Without a ``method`` the unlearned counts are empty.
    """
    parts = {"pretrained": example.pretrained, "oracle": example.oracle}
    if method is not None:
        parts["unlearned"] = example.unlearned[method]
    low, high = min(part.min() for part in parts.values()), max(part.max() for part in parts.values())
    edges = np.linspace(low, high if high > low else low + 1, BINS + 1)
    counts = {name: np.histogram(part, edges)[0].tolist() for name, part in parts.items()}
    return {
        "low": round(float(edges[0]), 4),
        "high": round(float(edges[-1]), 4),
        "counts": [counts.get(name, []) for name in ("pretrained", "unlearned", "oracle")],
        "band": [round(float(edge), 4) for edge in np.percentile(example.oracle, (2.5, 97.5))],
    }


def _only_class(arrays: Mapping[str, ndarray]) -> int | None:
    if "labels" not in arrays:
        return None
    forget, retain = (arrays["labels"][arrays[split]] for split in ("forget", "retain"))
    present = np.unique(forget)
    return int(present[0]) if len(present) == 1 and not (retain == present[0]).any() else None


def _columns(file: Path, worst: ndarray, examples: int) -> ndarray:
    margins = _load(file, ("margins",))["margins"]
    if margins.ndim != 2 or margins.shape[1] != examples:
        raise _damaged(file, f"margins has shape {margins.shape}, expected (models, {examples})")
    columns: ndarray = margins[:, worst]
    if not np.isfinite(columns).all():
        raise _damaged(file, "margins holds values that are not finite")
    return columns.clip(-CLIP, CLIP)


def _load(file: Path, names: Sequence[str], optional: Sequence[str] = ()) -> dict[str, ndarray]:
    try:
        with file.open("rb") as raw:
            arrays = np.load(raw, allow_pickle=False)
            if not isinstance(arrays, NpzFile):
                raise _damaged(file, "it is no npz archive")
            present = [*names, *(name for name in optional if name in arrays)]
            return {name: arrays[name] for name in present}
    except KeyError as error:
        raise _damaged(file, str(error.args[0])) from None
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise _damaged(file, str(error)) from None


def _damaged(file: Path, why: str) -> StoreError:
    return StoreError(f"{file} is damaged: {why}; run the bench again, or remove the file to report without it")
