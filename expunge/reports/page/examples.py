"""The margins of the examples that tell most: those on which the untouched models are furthest from the oracles."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from numpy import ndarray

from expunge.errors import BadSetting, StoreError
from expunge.metrics.wasserstein import wasserstein
from expunge.names import as_file_name
from expunge.number_files import read_arrays, require_array
from expunge.reports.summaries import FLOOR, NOTHING

BINS = 32
CLIP = 100.0  # as KLoM clips
AXES = {  # of each array the kinds of its numbers, and what its axes are
    "oracle": ("f", "models", "examples"),
    "pretrained": ("f", "models", "examples"),
    "forget": ("iu", "indices"),
    "retain": ("iu", "indices"),
    "labels": ("iu", "examples"),
    "owners": ("iu", "examples"),
    "images": ("u", "examples", "height", "width"),
}


@dataclass(frozen=True)
class Example:
    """One example of the forget set; margins are one value per model."""

    index: int
    label: int | None  # None where the data were not at hand
    distance: float  # of the untouched models, in standard deviations of the oracles
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


def read_evidence(
    folder: Path, methods: Sequence[str], count: int = 3, chosen: Sequence[int] | None = None
) -> Evidence:
    """The ``count`` worst examples of ``folder`` = ``arrays/<forget set>``, with the margins of each of ``methods``.

    Or those that are ``chosen`` by their numbers, train then test, of any split; BadSetting where there is none such. A
    folder or file that is not there is said in ``missing``; one that is there and damaged is a StoreError.
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
    if chosen is None:
        far = wasserstein(arrays["pretrained"][:, forget], arrays["oracle"][:, forget])
        order = np.argsort(-far, kind="stable")[:count]
        worst, far = forget[order], far[order]
    else:
        worst, far = _chosen(arrays, chosen)
    shown = [name for name in methods if name in files and name not in (FLOOR, NOTHING)]
    margins = {name: _columns(files[name], worst, arrays["oracle"].shape[1]) for name in shown}
    examples = [
        _example(int(index), float(value), arrays, {name: columns[:, place] for name, columns in margins.items()})
        for place, (index, value) in enumerate(zip(worst, far, strict=True))
    ]
    return Evidence(tuple(examples), only_class)


def _chosen(arrays: Mapping[str, ndarray], numbers: Sequence[int]) -> tuple[ndarray, ndarray]:
    """The column of each of these examples, the worst where it has several, and the distance there."""
    width = arrays["oracle"].shape[1]
    owners = arrays.get("owners", np.arange(width))
    for number in numbers:
        if number not in owners:
            raise BadSetting(f"expected an example of 0 to {owners.max()}, train then test, got {number}")
    far = wasserstein(arrays["pretrained"], arrays["oracle"])
    columns = np.array([max(np.flatnonzero(owners == number), key=lambda each: far[each]) for number in numbers], int)
    return columns, far[columns]


def _file_of(folder: Path, method: str) -> Path | None:
    """The arrays of a method, by the name of today or of before; None where there are none."""
    found = (folder / f"{name}.npz" for name in (as_file_name(method), quote(method, safe="")))
    return next((file for file in found if file.name != "reference.npz" and file.is_file()), None)


def _check(file: Path, arrays: Mapping[str, ndarray]) -> None:
    """Refuse arrays that are not of one number of examples, and indices that are of none of them."""
    refuse = partial(_damaged, file)
    for name, (kinds, *axes) in AXES.items():
        if name in arrays:
            shape = tuple(arrays["oracle"].shape[-1] if axis == "examples" else None for axis in axes)
            require_array(arrays[name], name, kinds, shape, refuse)
    examples = arrays["oracle"].shape[1]
    for name in ("forget", "retain"):
        if arrays[name].size and not 0 <= arrays[name].min() <= arrays[name].max() < examples:
            raise _damaged(file, f"{name} holds an index that is not below {examples}")
    if not arrays["forget"].size:
        raise _damaged(file, f"forget holds no index below {examples}")
    for name in ("oracle", "pretrained"):
        if not len(arrays[name]) or not np.isfinite(arrays[name][:, arrays["forget"]]).all():
            raise _damaged(file, f"{name} holds no model, or values that are not finite")


def _example(index: int, value: float, arrays: Mapping[str, ndarray], unlearned: Mapping[str, ndarray]) -> Example:
    return Example(
        index=int(arrays["owners"][index]) if "owners" in arrays else index,
        label=int(arrays["labels"][index]) if "labels" in arrays else None,
        distance=value,
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


def strip_data(example: Example, method: str, colors: tuple[str, str, str]) -> dict[str, list[dict[str, Any]]]:
    """The data that the strips of :func:`.plots.margins` are filled with, as report.js does it on the page.

    ``colors`` are those of the pretrained models, the unlearned ones and the oracles.
    """
    found, who = histograms(example, method), ("pretrained", method, "oracle")
    wide = (found["high"] - found["low"]) / BINS
    strips = [
        {"who": name, "color": color, "base": 2 - place, "top": 3 - place}
        for place, (name, color) in enumerate(zip(who, colors, strict=True))
    ]
    bins = [
        {
            **{key: strip[key] for key in ("who", "color", "base")},
            "count": count,
            "from": found["low"] + at * wide,
            "to": found["low"] + (at + 1) * wide,
            "top": strip["base"] + 0.72 * count / max(counts),
        }
        for strip, counts in zip(strips, found["counts"], strict=True)
        for at, count in enumerate(counts)
        if count
    ]
    return {"band": [{"from": found["band"][0], "to": found["band"][1]}], "bins": bins, "strips": strips}


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
    return read_arrays(file, names, partial(_damaged, file), optional=optional)


def _damaged(file: Path, why: str) -> StoreError:
    said = why.removeprefix(f"{file} ").removeprefix(f"{file}, ")
    return StoreError(f"{file} is damaged: {said}; run the bench again, or remove the file to report without it")
