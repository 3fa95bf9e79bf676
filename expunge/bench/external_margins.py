"""Scoring margins that were made elsewhere: for people who have margins and no wish to run their method here."""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy import ndarray
from torch import Tensor

from expunge.bench.contents import Place, contents_of, require_room
from expunge.bench.doubts import doubts
from expunge.bench.folder import REFERENCE, prepare
from expunge.bench.independence import require_independent, unlearned_nothing
from expunge.bench.joining import Addition, NewRow, join
from expunge.bench.score import ScoredRow, floor_row, identity_row, reference_of, score_row
from expunge.engine import Say, Steps, Watch, silent, warn
from expunge.ensembles.mapped_arrays import release, stacked
from expunge.ensembles.margins import NO_MODELS, check_margins
from expunge.ensembles.origin import Origin
from expunge.ensembles.plan import Plan
from expunge.ensembles.stored_margins import EnsembleMargins, read_margins
from expunge.errors import BadMargins, BadSetting, in_a_line, lookup
from expunge.files import unchanging
from expunge.methods import METHODS
from expunge.metrics import METRICS, Reference, Row, default_metrics
from expunge.names import require_name
from expunge.number_files import read_array
from expunge.outside import visible
from expunge.records import Score
from expunge.suites import Suite, as_suite
from expunge.suites.arrays import as_array
from expunge.torch_files import read_tensors

ARRAYS, TENSORS = ".npy", (".pt", ".pth")


def score_margins(
    suite: Suite | str,
    forget_set: str,
    margins: object,
    *,
    name: str = "yours",
    out: Path | None = None,
    classic: bool = False,
    metrics: Sequence[str] = (),
    watch: Watch = silent,
    say: Say = warn,
) -> list[Score]:
    """Score margins ``(models, examples)``, train then test, in the order of the suite, beside both anchors.

    ``margins`` is an array, a tensor or a list of rows, a ``.npy`` or ``.pt``, or a folder with one such file a model;
    files are mapped, not read, so they may be larger than the memory. With ``out``, records and arrays are written
    there as a bench writes them.
    ``classic`` adds MIA-efficacy, which takes some seconds; ``metrics`` are names of METRICS to compute as well, each
    for the rows that have what it reads. ``say`` is told where values look like no margins, or columns like another
    order.
    """
    started, suite = time.perf_counter(), as_suite(suite)
    for metric in metrics:
        lookup("metric", metric, METRICS)
    forget = suite.forget_set(forget_set)
    if require_name("--name", name) in (*METHODS, REFERENCE):
        what = "a method of expunge" if name in METHODS else "what rows are compared with"
        raise BadSetting(f"--name {name!r} is {what}; choose another name for your margins")
    of_file = isinstance(margins, str | Path)
    values = load_margins(Path(str(margins)), suite.models) if of_file else as_array(margins, "margins", BadMargins)
    what = str(margins) if of_file else "margins"
    _require_axes(values, suite.data.width, suite.data.classes, what)
    check_margins(values, suite.data.width, what)
    models, half = len(values), suite.models // 2
    if models > half:
        raise BadMargins(f"expected at most {half} models, as many as there are held-out oracles, got {models}")
    values = _as_float32(values)
    origin = Origin(suite.address, suite.digest, "unlearned", forget.key, tuple(range(models)))
    reference = reference_of(suite, forget, models, half)
    mine, untouched = EnsembleMargins(values, None, origin), tuple(unlearned_nothing(suite, values))
    yours = Row(suite, forget, name, mine, modules=(__name__,), alarms=untouched)
    identity = identity_row(suite, forget, read_margins(Plan(suite, "pretrained"), 0, models))
    require_independent(yours, reference)
    for line in doubts(suite, forget, values, identity.margins.values, reference.oracle.values):
        say(line)
    if out:
        place = Place(forget.sha256, frozenset({"identity", "oracle", name}), models, half)
        with unchanging(out):
            require_room(out, contents_of(out), (suite.name, suite.digest), {forget_set: place})
    measured = tuple(dict.fromkeys([*default_metrics(classic=classic), *metrics]))
    scored = _scored((identity, floor_row(reference), yours), reference, measured, watch)
    if not out:
        return [score for _, each in scored.values() for score in each.scores]
    return join(
        prepare(out),
        Addition(
            suite,
            forget,
            {row.method: _new_row(row, each) for row, each in scored.values()},
            models=models,
            oracles=half,
            command=f"score of {margins if of_file else 'margins in memory'}",
            seconds=time.perf_counter() - started,
        ),
    )


def _new_row(row: Row, scored: ScoredRow) -> NewRow:
    failed = any(score.status == "failed" for score in scored.scores)
    return NewRow(scored.scores, arrays=None if failed else lambda: {"margins": row.margins.values, **scored.arrays})


def _scored(
    rows: Sequence[Row], reference: Reference, metrics: Sequence[str], watch: Watch
) -> dict[str, tuple[Row, ScoredRow]]:
    """Each row beside its numbers; ``watch`` sees every metric of every row but the last, after which all is done."""
    steps, found = Steps(watch, len(rows) * len(metrics)), {}
    for row in rows:
        scored = score_row([row], reference, metrics, lambda name, row=row: steps.done(f"{row.method}, {name}"))  # type: ignore[misc]
        found[row.method] = (row, scored)
    return found


def load_margins(place: Path, most: int = 10_000) -> ndarray:
    """The array of a ``.npy`` or ``.pt``, or the stack of those of a folder, at most so many, in the order of names.

    Files are mapped, so that none is in memory before its shape was looked at.
    """
    place = place.expanduser()
    if not place.is_dir():
        return _load(place)
    files = [file for file in visible(place, BadMargins) if file.suffix.lower() in (ARRAYS, *TENSORS)]
    if not files:
        raise BadMargins(f"{place} holds no .npy and no .pt; expected one for each model")
    if len({file.suffix.lower() == ARRAYS for file in files}) > 1:
        raise BadMargins(f"{place}: expected files of one kind, got .npy and .pt; leave one of them there")
    if len(files) > most:
        raise BadMargins(f"{place}: expected at most {most} files, one a model, got {len(files)}")
    return _stack([_load(file) for file in files], str(place))


def _stack(parts: Sequence[ndarray], what: str) -> ndarray:
    """One row of each part, of which all have one shape."""
    shapes = {part.shape for part in parts}
    if len(shapes) > 1 or parts[0].ndim != 1:
        raise BadMargins(f"{what}: expected margins of one shape (examples,) for each model, got {sorted(shapes)}")
    rows = (row for part in parts for row in _rows(part[None]))
    return stacked(rows, (len(parts), parts[0].size), np.result_type(*parts))


def _as_float32(values: ndarray) -> ndarray:
    """Margins as all others are; KLoM clips at 100, so those beyond float32 need not be told apart."""
    if values.dtype == np.float32:
        return values
    # In float16 there is no 1e30 to clip at, nor need of one.
    rows = (row if row.itemsize < 4 else row.clip(-1e30, 1e30) for row in _rows(values))
    return stacked(rows, values.shape, np.dtype(np.float32))


def _rows(values: ndarray) -> Iterator[ndarray]:
    """Row after row; each is let go of before the next, where the array is a mapped file."""
    for row in values:
        yield row
        release(values)


def _require_axes(values: ndarray, width: int, classes: int, what: str) -> None:
    """Refuse margins with their axes exchanged, and logits, by what makes margins of them."""
    wanted, found = f"{what}: expected shape (models, {width}), train then test examples, got {values.shape}", ""
    if values.ndim == 2 and values.shape[0] == width != values.shape[1]:
        found = "these are (examples, models): give margins.T"
    elif values.ndim == 3 and values.shape[1:] == (width, classes):
        found = "these look like logits: expunge.suites.Classification().margins(logits, labels) makes margins of them"
    elif values.ndim == 1:
        found = "give one row for each model, at least 2"
    if found:
        raise BadMargins(f"{wanted}; {found}")


def _load(file: Path) -> ndarray:
    if not file.exists():
        raise BadMargins(f"there is no file {file}; expected a .npy or .pt of margins")
    if file.suffix.lower() not in TENSORS:
        _require_npy(file)
        return read_array(file, BadMargins, kinds="biufc", mapped=True)
    held = read_tensors(file, BadMargins)
    parts = list(held) if isinstance(held, list | tuple) else [held]
    if not parts:
        raise BadMargins(f"{file}: {NO_MODELS}")
    if not all(isinstance(each, Tensor) for each in parts):
        raise BadMargins(f"{file}: expected a tensor (models, examples), or one for each model, got {_told(held)}")
    arrays = [as_array(each, str(file), BadMargins) for each in parts]
    return _stack(arrays, str(file)) if isinstance(held, list | tuple) else arrays[0]


def _require_npy(file: Path) -> None:
    """Refuse other formats by what to do with them."""
    advice = {
        ".npz": "take the array out of it: np.save('margins.npy', np.load(file)['margins'])",
        **dict.fromkeys((".csv", ".tsv", ".txt"), "save the numbers as np.save('margins.npy', margins)"),
        **dict.fromkeys((".pkl", ".pickle", ".joblib"), "a pickle may run code; save np.save('margins.npy', margins)"),
    }.get(file.suffix.lower())
    if advice and not file.is_dir():
        raise BadMargins(f"{file}: expected a .npy or .pt of margins, got a {file.suffix.lower()}; {advice}")


def _told(held: object) -> str:
    """What a .pt holds that is no tensor, and what to do."""
    if not isinstance(held, dict):
        return "other things; save the margins alone: torch.save(margins, file)"
    names = [str(name) for name in list(held)[:5]]
    shown = in_a_line(", ".join(names))
    advice = "save the margins alone: torch.save(held['margins'], file)"
    weights = any(name.endswith(("weight", "bias")) for name in names)
    advice = "these look like weights, of which the margins are to be saved" if weights else advice
    return f"a dictionary with {shown or 'nothing'}; {advice}"
