"""Rows are added to a folder of results, beside those that it has: nothing is lost, and what is there belongs together.

Whoever adds is alone with the folder. The same row is replaced, the sound ones among the others stay, and the ranks of
a forget set are those among all rows that the folder then has. ``run.json`` is written last.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy import ndarray

from expunge.bench.contents import Contents, Kept, Place, contents_of, in_order, require_room, write_contents
from expunge.bench.folder import REFERENCE, RowName, arrays_file, mapped, names_in, write_arrays, write_reference
from expunge.bench.plan import ANCHORS
from expunge.bench.ranks import compare, kept_row, rankable
from expunge.bench.run_info import MethodInfo, SetInfo
from expunge.bench.score import reference_of
from expunge.engine import warn
from expunge.errors import ExpungeError
from expunge.files import alone_with
from expunge.jobs import one_thread
from expunge.methods import row_of
from expunge.metrics import METRICS
from expunge.records import Score, hardware, versions
from expunge.suites import ForgetSet, Suite

NAMED = 5  # so many rows are named in one line


@dataclass(frozen=True, eq=False)
class NewRow:
    """A row as it is to be written; ``arrays()`` are its margins and what else is kept, None of one that failed."""

    scores: Sequence[Score]
    curve: Sequence[Score] = ()
    arrays: Callable[[], Mapping[str, ndarray]] | None = None


@dataclass(frozen=True, eq=False)
class Addition:
    """All rows of one bench on one forget set. ``coming`` are those that it will have on others."""

    suite: Suite
    forget: ForgetSet
    rows: Mapping[str, NewRow]
    models: int
    oracles: int
    ranks: Sequence[Score] = ()  # among themselves
    command: str = ""
    seconds: float = 0.0
    coming: Collection[RowName] = ()


def join(folder: Path, new: Addition) -> list[Score]:
    """Add the rows of ``new``, and write the folder's records anew; the records of these rows as they then stand."""
    name = new.forget.name
    new = replace(new, rows={method: row for method, row in new.rows.items() if row.scores})  # some have no number
    place = Place(new.forget.sha256, frozenset(new.rows), new.models, new.oracles)
    with alone_with(folder):
        found = contents_of(folder)
        require_room(folder, found, (new.suite.name, new.suite.digest), {name: place})
        _say_what_goes(folder, found, new)
        for method, row in new.rows.items():
            found.rows[name, method] = _written(folder, (name, method), row, found.rows.get((name, method)))
        _keep_references(folder, found, new)
        found.ranks[name] = _ranks(folder, found, new)
        _rank_others_again(folder, found, new)
        _tell(found, new)
        write_contents(folder, found, list(new.suite.forget_sets))
        for method in (method for method, row in new.rows.items() if row.arrays is None):
            arrays_file(folder, name, method).unlink(missing_ok=True)
    own = [score for method in in_order(new.rows) for score in found.rows[name, method].scores]
    return [*own, *(score for score in found.ranks[name] if score.subject.method in new.rows)]


def _say_what_goes(folder: Path, found: Contents, new: Addition) -> None:
    """Say which rows are replaced by those of other settings, and which could not be believed."""
    name = new.forget.name
    rows = ((method, row, found.rows.get((name, method))) for method, row in new.rows.items() if method not in ANCHORS)
    others = [method for method, row, old in rows if old and _made(old.scores[0]) != _made(row.scores[0])]
    if others:
        warn(f"{folder}: replaces {_named(others)} on {name}, which had other settings, seed or models")
    gone = found.lost - {(name, method) for method in new.rows} - set(new.coming)
    if gone:
        warn(
            f"{folder}: records or arrays of {_named(sorted(f'{method} on {name}' for name, method in gone))} are "
            "damaged and not kept; the command that made them makes them again out of the store"
        )


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def _made(score: Score) -> tuple[object, ...]:
    subject = score.subject
    return subject.config, subject.seed, subject.model_numbers, score.models, score.oracle_models


def _written(folder: Path, name: RowName, row: NewRow, old: Kept | None) -> Kept:
    """Write the arrays of a row. Of the very same models, numbers are kept that were measured before and not now.

    Models of other settings may be the same, as those that were rewound to one epoch are: their records are others.
    """
    if row.arrays is None:
        return Kept(list(row.scores), list(row.curve))
    file, arrays = arrays_file(folder, *name), dict(row.arrays())
    scores, curve = list(row.scores), list(row.curve)
    again = bool(old and old.stands_on and old.scores[0].subject.config == row.scores[0].subject.config)
    if old and again and _same(mapped(file, "margins"), arrays["margins"]):
        arrays = {each: mapped(file, each) for each in names_in(file)} | arrays
        scores, curve = _with_others(scores, old.scores), _with_others(curve, old.curve)
    digest = write_arrays(file, arrays)
    stamped = [[replace(score, stands_on=digest) for score in each] for each in (scores, curve)]
    return Kept(stamped[0], stamped[1], digest)


def _same(one: ndarray, other: ndarray) -> bool:
    return one.shape == other.shape and all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def _with_others(scores: list[Score], old: Sequence[Score]) -> list[Score]:
    def number(score: Score) -> tuple[object, ...]:
        return score.split, score.metric, score.aggregate, score.epoch

    known = {number(score) for score in scores}
    return [*scores, *(score for score in old if number(score) not in known)]


def _keep_references(folder: Path, found: Contents, new: Addition) -> None:
    """Write the reference of the new rows, and those of others that are not what ``run.json`` says, or are not said."""
    for name in dict.fromkeys([new.forget.name, *(name for name, _ in found.rows)]):
        file = arrays_file(folder, name, REFERENCE)
        path = file.relative_to(folder).as_posix()
        if name != new.forget.name and (path in found.references or not file.exists()):
            continue
        mine = name == new.forget.name
        oracles = new.oracles if mine else next(iter(found.of(name).values())).scores[0].oracle_models
        try:
            forget = new.forget if mine else new.suite.forget_sets[name]
            found.references[path] = write_reference(folder, new.suite, forget, oracles)
        except ExpungeError:
            if mine:
                raise
            file.unlink()
            warn(f"{file} was damaged and is removed, and the store has nothing to make it of; the records stay")


def _ranks(folder: Path, found: Contents, new: Addition) -> list[Score]:
    """The ranks among all rows on a forget set: those of the new rows where no other has one, else computed anew."""
    rows = found.of(new.forget.name)
    ranked = rankable({method: row.scores for method, row in rows.items()})
    names = {score.metric for score in [*new.ranks, *found.ranks.get(new.forget.name, [])]}
    if not set(ranked) - new.rows.keys() and (new.ranks or not names):
        by_stand = {method: row.stands_on for method, row in rows.items()}
        return [replace(score, stands_on=by_stand[score.subject.method]) for score in new.ranks]
    return _compared(folder, rows, new.suite, new.forget, [metric for metric in METRICS if metric in names])


def _compared(
    folder: Path, rows: Mapping[str, Kept], suite: Suite, forget: ForgetSet, metrics: Sequence[str]
) -> list[Score]:
    """How all rows on a forget set that have arrays stand to each other."""
    ranked = rankable({method: row.scores for method, row in rows.items() if row.stands_on})
    if not ranked or not metrics:
        return []
    first = rows[ranked[0]].scores[0]
    with one_thread():
        margins = {method: mapped(arrays_file(folder, forget.name, method), "margins") for method in in_order(ranked)}
        compared = {method: kept_row(suite, forget, rows[method].scores, each) for method, each in margins.items()}
        scores = compare(compared, reference_of(suite, forget, first.models, first.oracle_models), metrics)
    return [replace(score, stands_on=rows[score.subject.method].stands_on) for score in scores]


def _rank_others_again(folder: Path, found: Contents, new: Addition) -> None:
    """Compute the ranks anew of other forget sets that lost a row, or some of their ranks."""
    for name in found.stale - {new.forget.name}:
        names = {score.metric for score in found.ranks.pop(name, [])}
        try:
            forget = new.suite.forget_sets[name]
            metrics = [metric for metric in METRICS if metric in names]
            found.ranks[name] = _compared(folder, found.of(name), new.suite, forget, metrics)
        except ExpungeError as error:
            warn(f"{folder}: a row on {name} is gone, and the others have no ranks any more: {error}")


def _tell(found: Contents, new: Addition) -> None:
    """What ``run.json`` says of the new rows."""
    run, name = found.run, new.forget.name
    run.date = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"  # a file's own date is that of its copy
    run.suite, run.suite_digest, run.versions, run.hardware = new.suite.name, new.suite.digest, versions(), hardware()
    run.forget_sets[name] = SetInfo(
        size=len(new.forget),
        retain=len(new.suite.columns(new.forget)["retain"]),
        test=len(new.suite.columns(new.forget)["test"]),
        description=new.forget.made,
    )
    run.rows.setdefault(name, {}).update(dict.fromkeys(new.rows, new.command))
    run.seconds_of[new.command] = new.seconds
    run.methods |= {method: _card(method, row.scores[0].subject.tuning) for method, row in new.rows.items()}


def _card(name: str, tuning: str) -> MethodInfo:
    try:
        method = row_of(name)
    except ValueError:  # margins made elsewhere: no row of the table
        return MethodInfo(source="margins made elsewhere", tuning=tuning)
    return MethodInfo(source=method.source, needs=list(method.needed), tuning=tuning)
