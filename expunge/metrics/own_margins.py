"""Scoring margins that were made elsewhere: for people who have margins and no wish to run their method here."""

import time
from pathlib import Path

import numpy as np
from numpy import ndarray

from expunge.ensembles.build import Measured, Plan, read_measured
from expunge.ensembles.ensemble import Origin
from expunge.ensembles.margins import check_margins
from expunge.errors import BadMargins, BadSetting
from expunge.methods import METHODS
from expunge.metrics.evaluate import Row, held_out, require_independent, score_row
from expunge.metrics.klom import klom
from expunge.metrics.output import arrays_file, prepare, write_arrays, write_records, write_reference
from expunge.records import Score
from expunge.suites import Suite


def score_margins(
    suite: Suite, forget_set: str, margins: Path | ndarray, *, name: str = "yours", out: Path | None = None
) -> list[Score]:
    """Score margins ``(models, examples)``, train then test, in the order of the suite, beside both anchors.

    ``margins`` is an array, a ``.npy``, or a folder with one ``.npy`` a model. With ``out``, records and arrays are
    written there as a bench writes them.
    """
    started = time.perf_counter()
    forget = suite.forget_sets[forget_set]
    if name in METHODS:
        raise BadSetting(f"--name {name!r} is a method of expunge; choose another name for your margins")
    values = margins if isinstance(margins, ndarray) else read_margins(Path(margins))
    check_margins(values, len(suite.data.all), str(margins) if isinstance(margins, Path) else "margins")
    models, half = len(values), suite.models // 2
    if models > half:
        raise BadMargins(f"expected at most {half} models, as many as there are held-out oracles, got {models}")
    values = values.clip(-1e30, 1e30).astype(np.float32)  # KLoM clips at 100
    origin = Origin(suite.name, suite.digest, "unlearned", forget.key, tuple(range(models)))
    yours = Row(suite, forget, name, Measured(values, None, origin))
    identity = Row(
        suite, forget, "identity", read_measured(Plan(suite, "pretrained"), 0, models), cost=0.0, seconds=0.0
    )
    rows = [identity, held_out(yours), yours]
    oracle = read_measured(Plan(suite, "oracle", forget), 0, half)
    require_independent(yours, oracle)
    scores = [score for row in rows for score in score_row(row, oracle)]
    if out:
        folder = prepare(Path(out))
        for row in rows:
            arrays = {"margins": row.measured.margins, "klom": klom(row.measured.margins, oracle.margins)}
            write_arrays(arrays_file(folder, forget, row.method), arrays)
        write_reference(folder, suite, forget, half)
        write_records(folder, scores, [], suite, f"score of {margins}", time.perf_counter() - started)
    return scores


def read_margins(place: Path) -> ndarray:
    """The array of a ``.npy``, or the stack of all ``.npy`` of a folder in the order of their names."""
    if place.is_dir():
        files = sorted(place.glob("*.npy"))
        if not files:
            raise BadMargins(f"{place} holds no .npy; expected one for each model")
        parts = [_load(file) for file in files]
        shapes = {part.shape for part in parts}
        if len(shapes) > 1 or parts[0].ndim != 1:
            raise BadMargins(f"{place}: expected files of one shape (examples,), got {sorted(shapes)}")
        return np.stack(parts)
    return _load(place)


def _load(file: Path) -> ndarray:
    try:
        array: ndarray = np.load(file, allow_pickle=False)
    except FileNotFoundError:
        raise BadMargins(f"there is no file {file}; expected a .npy of margins") from None
    except (OSError, ValueError, EOFError) as error:
        raise BadMargins(f"{file} is no .npy of numbers: {error}") from None
    if not isinstance(array, ndarray):
        raise BadMargins(f"{file} is an .npz; expected a .npy of margins")
    return array
