"""Are these models, or the oracles that they are compared with? A row that was made of oracles is refused."""

import contextlib
from collections.abc import Iterator

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from expunge.bench.alignment import spaced
from expunge.ensembles.plan import Plan
from expunge.ensembles.stored_margins import EnsembleMargins, read_margins
from expunge.errors import BadMargins, StoreError
from expunge.methods import METHODS
from expunge.metrics import Reference, Row
from expunge.metrics.oracle_copies import copies, differ, disguised, likeness, unexplained
from expunge.suites import Suite

SOME = 2000  # columns, evenly spaced, over which models are compared as wholes
WIDE = 1.2  # columns for each oracle, from which on an honest model cannot be a mixture of them
MIXED = 0.01  # of what no mixture explains of honest models: less is left of rounding alone
TOLD = "a method must not be given the oracles that it is compared with"


def require_independent(row: Row, reference: Reference) -> None:
    """Raise :class:`BadMargins` where models are oracles: a distance of 0 that nobody earned.

    Looked for are copies, copies in disguise, and mixtures, of the reference oracles, of the held-out ones, and of all
    others of the forget set that a store has. What honest models of the suite have in common is measured on them:
    oracles against each other and, where a store has them, pretrained models against the oracles. None of these is ever
    accused, nor are the methods of expunge, which see no oracle unless they are upper bounds and say so.
    """
    if not differ(reference.oracle.values[:, spaced(reference.oracle.values.shape[1], SOME)]):
        raise BadMargins(
            "the reference oracles are all alike, so nothing can be told from how models spread; an ensemble needs "
            "models that are trained from different seeds"
        )
    if row.margins.origin.kind != "unlearned" and row.method in METHODS:
        return
    oracles = dict(_oracles(reference))
    for what, each in oracles.items():
        _refuse_copies(row, what, each)
    if len(reference.oracle.values) >= 3:
        _refuse_disguises(row, reference, list(oracles.values()))
        _refuse_mixtures(row, reference, list(oracles.values()))


def unlearned_nothing(suite: Suite, margins: Float[ndarray, "models examples"]) -> Iterator[str]:
    """Says so where margins are, bit for bit, those of pretrained models that a store has, whatever their number."""
    some, known = spaced(margins.shape[1], SOME), dict[bytes, ndarray]()
    for first, last in _halves(suite):
        with contextlib.suppress(StoreError):
            pretrained = read_margins(Plan(suite, "pretrained"), first, last - first).values
            known |= {row[some].tobytes(): row for row in pretrained}
    same = [row for row in margins if np.array_equal(row, known.get(row[some].tobytes(), ()))]
    if len(same) == len(margins):
        yield "these are the margins of the suite's pretrained models, bit for bit: nothing was unlearned"
    elif same:
        yield (
            f"{len(same)} of {len(margins)} models have the margins of pretrained models of the suite, bit for bit: "
            "nothing was unlearned in them"
        )


def _halves(suite: Suite) -> tuple[tuple[int, int], ...]:
    """The numbers of models that rows may have, and of those that are held out."""
    half = suite.models // 2
    return (0, half), (half, suite.models)


def _oracles(reference: Reference) -> Iterator[tuple[str, ndarray]]:
    """The reference and the held-out oracles, and those between and beyond them that a store has."""
    known = {"reference": reference.oracle, "held-out": reference.held_out}
    yield from ((f"a {name} oracle", each.values) for name, each in known.items())
    numbers = {number for each in known.values() for number in each.origin.models}
    plan = Plan(reference.suite, "oracle", reference.forget)
    for first, last in _halves(reference.suite):
        rest = [number for number in range(first, last) if number not in numbers]
        if rest:
            with contextlib.suppress(StoreError):
                found = read_margins(plan, rest[0], last - rest[0])
                yield f"one of the suite's oracles {rest[0]} to {last - 1}", found.values


def _refuse_copies(row: Row, what: str, oracles: ndarray) -> None:
    for split, columns in row.columns.items():
        found = copies(row.margins.values, oracles, columns)
        if found.any():
            raise BadMargins(f"model {_first(row, found)} has the {split} margins of {what}; {TOLD}")


def _refuse_disguises(row: Row, reference: Reference, oracles: list[ndarray]) -> None:
    some = spaced(row.margins.values.shape[1], SOME)
    honest = list(_honest(reference, some))
    mine = row.margins.values[:, some]
    alike = np.concatenate([likeness(mine, each[:, some]) for each in oracles], axis=2)
    found = disguised(alike, *honest)
    if found.any():
        raise BadMargins(
            f"model {_first(row, found)} differs from the other models as one of the oracles does (r = "
            f"{alike[:, found].max():.4f} over examples, 1 for a copy in disguise, at most "
            f"{max(each.max() for each in honest):.4f} between honest models); {TOLD}"
        )


def _honest(reference: Reference, some: ndarray) -> Iterator[ndarray]:
    """How alike models of the suite are that are no copies of each other."""
    truth = reference.oracle.values[:, some]
    yield likeness(reference.held_out.values[:, some], truth)
    if (untouched := _untouched(reference)) is not None:
        yield likeness(untouched.values[:, some], truth)


def _refuse_mixtures(row: Row, reference: Reference, oracles: list[ndarray]) -> None:
    """Over all examples and over those to forget, where there are more of them than oracles."""
    whole = spaced(row.margins.values.shape[1], SOME)
    for columns in (whole, row.columns["forget"]):
        mixed = [each[:, columns] for each in oracles]
        if len(columns) < WIDE * sum(map(len, mixed)):
            mixed = mixed[:1]
        if len(columns) < WIDE * len(mixed[0]):
            continue
        honest = [np.median(unexplained(reference.held_out.values[:, columns], mixed[0]))]
        if (untouched := _untouched(reference)) is not None:
            honest.append(np.median(unexplained(untouched.values[:, columns], np.concatenate(mixed))))
        left = float(np.median(unexplained(row.margins.values[:, columns], np.concatenate(mixed))))
        if left < MIXED * min(honest):
            raise BadMargins(
                f"the models are mixtures of the oracles: {1 - left:.2%} of what sets them apart is theirs, and "
                f"{1 - min(honest):.2%} at most of honest models; {TOLD}"
            )


def _untouched(reference: Reference) -> EnsembleMargins | None:
    if reference.untouched is not None:
        return reference.untouched
    most = max(2, len(reference.oracle.values))
    with contextlib.suppress(StoreError):
        return read_margins(Plan(reference.suite, "pretrained"), 0, min(most, reference.suite.models))
    return None


def _first(row: Row, found: ndarray) -> int:
    return row.margins.origin.models[int(np.argmax(found))]
