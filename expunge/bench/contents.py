"""What a folder of results has, row by row, and what can stand beside it; and how it is written again.

A row is kept where its records have their checksums and its arrays are those that they stand on: so a folder that was
left half written still gives its sound rows.
"""

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from expunge.bench.folder import ARRAYS, CURVE, SCORES, RowName, arrays_file
from expunge.bench.ranks import is_comparison
from expunge.bench.run_info import ATTACK, RUN, RunInfo, read_run, write_run
from expunge.errors import BadSetting, StoreError
from expunge.files import sha256_of
from expunge.methods import METHODS
from expunge.records import SCHEMA, Score, read_each, write_scores


@dataclass(frozen=True, eq=False)
class Kept:
    """A row that a folder has: ``stands_on`` is the SHA-256 of its arrays, "" where none are there."""

    scores: list[Score]
    curve: list[Score] = field(default_factory=list)
    stands_on: str = ""


@dataclass(eq=False)
class Contents:
    """What a folder has, and will be written again: rows, ranks by forget set, references by their path."""

    rows: dict[RowName, Kept] = field(default_factory=dict)
    ranks: dict[str, list[Score]] = field(default_factory=dict)
    references: dict[str, str] = field(default_factory=dict)
    run: RunInfo = field(default_factory=RunInfo)
    lost: set[RowName] = field(default_factory=set)  # rows that cannot be believed
    stale: set[str] = field(default_factory=set)  # forget sets whose ranks are not those of all their rows
    loose: list[Score] = field(default_factory=list)  # points of curves of no such row

    def has(self, name: RowName, scores: Sequence[Score]) -> bool:
        """Whether this very row is there."""
        return name in self.rows and self.rows[name].scores == list(scores)

    def of(self, forget_set: str) -> dict[str, Kept]:
        """The rows on a forget set, by method."""
        return {method: row for (name, method), row in self.rows.items() if name == forget_set}


def contents_of(folder: Path) -> Contents:
    """What there is to keep in a folder; StoreError only where its files cannot be read at all."""
    found, places = Contents(), (folder / SCORES, folder / CURVE)
    lines, curve = (read_each(file) if file.exists() else [] for file in places)
    with contextlib.suppress(StoreError):  # damaged, it is written anew, out of the rows
        found.run = read_run(folder / RUN)
    found.lost = _beside_damage(lines) | _beside_damage(curve)
    rows, found.ranks = by_row(filter(None, lines))
    points_of, _ = by_row(filter(None, curve))
    for name, own in rows.items():
        digest, stands = _sha256_or_nothing(arrays_file(folder, *name)), {score.stands_on for score in own}
        if len(stands) > 1 or (digest and stands - {"", digest}):
            found.lost.add(name)
        if name not in found.lost:
            points = [each for each in points_of.pop(name, []) if each.stands_on in stands]
            found.rows[name] = Kept(own, points, digest if stands == {digest} else "")
    found.stale = set(found.ranks) if None in lines else {name for name, _ in found.lost}
    found.loose = [score for each in points_of.values() for score in each]
    for path, told in (found.run.files or {}).items():
        if path.startswith(f"{ARRAYS}/") and _sha256_or_nothing(folder / path) == told:
            found.references[path] = told
    return found


def by_row(scores: Iterable[Score]) -> tuple[dict[RowName, list[Score]], dict[str, list[Score]]]:
    """The records of each row, and the ranks of each forget set."""
    rows: dict[RowName, list[Score]] = {}
    ranks: dict[str, list[Score]] = {}
    for score in scores:
        if is_comparison(score):
            ranks.setdefault(score.subject.forget_set, []).append(score)
        else:
            rows.setdefault(_name(score), []).append(score)
    return rows, ranks


def _name(score: Score) -> RowName:
    return score.subject.forget_set, score.subject.method


def _sha256_or_nothing(file: Path) -> str:
    try:
        return sha256_of(file)
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise StoreError(f"{file} cannot be read: {error.strerror or error}") from None


def _beside_damage(lines: Sequence[Score | None]) -> set[RowName]:
    """The rows that a damaged line may have been of: those before and after it. Ranks are computed anew anyway."""
    suspects = set()
    for order in (lines, lines[::-1]):
        last = None
        for score in order:
            if score is None and last is not None and not is_comparison(last):
                suspects.add(_name(last))
            last = score or last
    return suspects


@dataclass(frozen=True)
class Place:
    """Where rows are to stand: what all rows of a forget set must share."""

    forget_digest: str
    methods: frozenset[str]
    models: int
    oracles: int


def require_room(folder: Path, found: Contents, suite: tuple[str, str], places: Mapping[str, Place]) -> None:
    """Refuse, before any work, a folder whose rows cannot stand beside those to come, ``places`` by forget set."""
    if found.run.kind == ATTACK or any(_is_of_attack(row) for row in found.rows.values()):
        raise BadSetting(f"{folder} holds the records of an attack; give another --out")
    for (forget_set, method), row in found.rows.items():
        first = row.scores[0]
        if first.schema != SCHEMA:
            raise BadSetting(
                f"{folder} holds records of schema {first.schema}, beside which none of schema {SCHEMA} can stand; "
                "give another --out"
            )
        if first.subject.suite_digest != suite[1]:
            raise BadSetting(
                f"{folder} holds records of suite {first.subject.suite!r} ({first.subject.suite_digest}), not of "
                f"{suite[0]!r} ({suite[1]}); give another --out"
            )
        place = places.get(forget_set)
        if place is not None and method not in place.methods:
            _require_alike(folder, first, place)


def _require_alike(folder: Path, first: Score, place: Place) -> None:
    there = f"{folder} has a row of {first.subject.method!r} on {first.subject.forget_set!r}"
    if first.subject.forget_digest != place.forget_digest:
        raise BadSetting(f"{there}, a forget set of that name with other examples; give another --out")
    if (first.models, first.oracle_models) != (place.models, place.oracles):
        oracles = "" if first.models == first.oracle_models else f" --oracles {first.oracle_models}"
        all_of_them = " (`score` takes all oracles)" if first.models == place.models else ""
        raise BadSetting(
            f"{there} of {first.models} models against {first.oracle_models} oracles, which cannot stand beside rows "
            f"of {place.models} against {place.oracles}{all_of_them}; bench with --models {first.models}{oracles}, or "
            "give another --out"
        )


def _is_of_attack(row: Kept) -> bool:
    return any(key.startswith("attack.") for key in row.scores[0].subject.config)


def in_order(methods: Iterable[str]) -> list[str]:
    """Methods as their table has them, then the others by name: the order does not tell who came first."""
    places = {name: place for place, name in enumerate(METHODS)}
    return sorted(methods, key=lambda name: (places.get(name, len(places)), name))


def write_contents(folder: Path, found: Contents, sets: Sequence[str] = ()) -> None:
    """Write records, curve and, at last, ``run.json``; forget sets in the order of ``sets``, then as they came."""
    order = {name: place for place, name in enumerate(sets)}
    names = sorted(dict.fromkeys(name for name, _ in found.rows), key=lambda name: order.get(name, len(order)))
    rows = {name: [found.rows[name, method] for method in in_order(found.of(name))] for name in names}
    scores = [
        score
        for name in names
        for part in (*(row.scores for row in rows[name]), found.ranks.get(name, []))
        for score in part
    ]
    curve = [score for name in names for row in rows[name] for score in row.curve]
    files = {CURVE: write_scores(folder / CURVE, curve), SCORES: write_scores(folder / SCORES, scores)}
    run = found.run
    run.rows = {name: {m: run.rows.get(name, {}).get(m, "") for m in in_order(found.of(name))} for name in names}
    commands = list(dict.fromkeys(command for each in run.rows.values() for command in each.values()))
    run.seconds_of = {each: run.seconds_of[each] for each in commands if each in run.seconds_of}
    run.command, run.seconds = "\n".join(filter(None, commands)), sum(run.seconds_of.values()) or None
    write_run(folder, run, files | found.references)
