"""The folder that a bench leaves behind: records, arrays, and how they came to be. Every file is whole or absent."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from numpy import ndarray

from expunge.ensembles.build import Plan, read_measured
from expunge.errors import BadSetting
from expunge.methods import find_method
from expunge.records import Score, hardware, versions, write_scores
from expunge.suites import ForgetSet, Suite


def prepare(folder: Path) -> Path:
    """The folder, made, and found writable before any work is done."""
    try:
        (folder / "arrays").mkdir(parents=True, exist_ok=True)
        probe = folder / "scores.jsonl.part"
        probe.write_text("")
        probe.unlink()
    except OSError as error:
        raise BadSetting(f"cannot write to {folder}: {error.strerror}; choose an --out that can be written") from None
    return folder


def arrays_file(folder: Path, forget: ForgetSet, name: str) -> Path:
    """Where the arrays of one row lie; a user's method may have a path for a name, which is quoted."""
    return folder / "arrays" / forget.name / f"{quote(name, safe='')}.npz"


def write_arrays(file: Path, arrays: Mapping[str, ndarray]) -> None:
    """Write an uncompressed ``.npz``."""
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(".part")
    with part.open("wb") as stream:
        np.savez(stream, allow_pickle=False, **dict(arrays))
    os.replace(part, file)


def write_reference(folder: Path, suite: Suite, forget: ForgetSet, models: int) -> None:
    """What the rows of a forget set are compared with: margins of oracles and pretrained, and the examples."""
    arrays = {
        "oracle": read_measured(Plan(suite, "oracle", forget), 0, models).margins,
        "pretrained": read_measured(Plan(suite, "pretrained"), 0, models).margins,
        "labels": suite.data.all.y.numpy(),
        **suite.columns(forget),
    }
    if suite.images:
        arrays["images"] = suite.data.all.x.reshape(-1, *suite.images).numpy()
    write_arrays(arrays_file(folder, forget, "reference"), arrays)


def write_records(
    folder: Path, scores: Sequence[Score], curve: Sequence[Score], suite: Suite, command: str, seconds: float
) -> None:
    """``scores.jsonl``, ``curve.jsonl`` and ``run.json``: what a reader wants to know of how the numbers came to be."""
    sets = {score.forget_set: suite.forget_sets[score.forget_set] for score in scores}
    facts: dict[str, Any] = {
        "suite": suite.name,
        "suite_digest": suite.digest,
        "command": command,
        "forget_sets": {name: {"size": len(each), "description": each.made} for name, each in sets.items()},
        "methods": {score.method: _card(score.method) for score in scores},
        "versions": versions(),
        "hardware": hardware(),
        "seconds": seconds,
    }
    part = folder / "run.json.part"
    part.write_text(json.dumps(facts, indent=1))
    os.replace(part, folder / "run.json")
    write_scores(folder / "curve.jsonl", curve)
    write_scores(folder / "scores.jsonl", scores)


def _card(name: str) -> dict[str, Any]:
    try:
        method = find_method(name)
    except ValueError:  # margins made elsewhere: no row of the table
        return {"source": "margins made elsewhere", "needs": []}
    return {"source": method.source, "needs": list(method.needs)}
