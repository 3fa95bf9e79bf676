"""The matrix attack x method x defence: several attacks at once, each against the same methods and defences.

A cell is what ``expunge attack NAME`` plays, kept under the same key: what the one has played the other does not play
again. What cannot be, as an attack on a log against a method that keeps none, is a cell that says why.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from expunge.attacks import ATTACKS
from expunge.attacks.attack import Attack, Place
from expunge.attacks.attack_folder import MATRIX, NAME, prepare
from expunge.attacks.defences import DEFENCES
from expunge.attacks.lab.arms import ARMS, Played
from expunge.attacks.lab.frame import Entry, play_all, records_of, write
from expunge.attacks.lab.records import DEFENCE, LEFT, SUCCESS
from expunge.attacks.lab.settings import Lab, require_lab
from expunge.engine import Watch, Workers, silent
from expunge.errors import BadSetting, UnknownName, lookup
from expunge.records import Score, Setting
from expunge.suites.suite import Suite

# One attack for each goal, and of those on availability one that sees the model and one that does not; methods that
# approximate, by one step and by several, and two that take back or train anew what a record met; defences that look at
# bytes, at the gradients of records, at the update of a request and at what its removal costs. Those that tell less or
# serve otherwise have every attack played anew, which takes as long again.
TELLING = ("malicious-requests", "over-unlearning", "unlearn-and-burn", "deletion-inference", "hidden-poison")
SERVING = ("first-order", "second-order", "gradient-ascent", "fine-tune", "amnesiac", "sisa")
LOOKING = ("membership", "isolated-medoids", "update-norm", "validation-gate")
CAN_BE = "attack.can-be"  # False in records of what nobody can play


@dataclass(frozen=True, eq=False)
class Row:
    """An attack with what of its matrix can be played, and why the rest cannot: methods by label, defences by name."""

    entry: Entry
    without_methods: Mapping[str, str] = field(default_factory=dict)
    without_defences: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _NotAsked:
    """The request of a cell that is not played."""

    name: str = "not-asked"
    sha256: str = hashlib.sha256(b"").hexdigest()


def run_matrix(
    suite: Suite, attacks: Mapping[str, Lab], out: Path, *, workers: Workers = 1, watch: Watch = silent
) -> list[Score]:
    """Play attacks, by name, with their settings, on a suite; what was finished before comes from the store.

    Each is played against every method of its settings and looked at by every defence of them. Files, written at the
    end: ``scores.jsonl``, ``requests-ATTACK-METHOD.npz`` and ``run.json``, as an attack of its own leaves them.
    """
    rows = [row_of(name, suite, config) for name, config in attacks.items()]
    prepare(out, MATRIX)
    outcomes = play_all(suite, [row.entry for row in rows], workers=workers, watch=watch)
    scores: list[Score] = []
    played: dict[str, Played] = {}
    for row, outcome in zip(rows, outcomes, strict=True):
        order = [each.label for each in attacks[row.entry.name].methods]
        own = [*records_of(suite, row.entry, outcome), *_unplayed(suite, row)]
        scores += sorted(own, key=lambda score: order.index(score.subject.method))
        played |= {f"{row.entry.name}-{label}": each for label, each in outcome.played.items()}
    write(out, MATRIX, suite, played, scores)
    return scores


def require_in_matrix(name: str) -> Attack:
    """The row of an attack of the lab; another name is refused."""
    row = lookup("attack", name, ATTACKS)
    if row.play is None:
        raise BadSetting(f"attack {name!r} has a run of its own, beside the matrix: expunge attack {name} SUITE")
    return row


def row_of(name: str, suite: Suite, config: Lab) -> Row:
    """What can be played of an attack on a suite, before any work; a BadSetting where nothing can be."""
    row = require_in_matrix(name)
    require_lab(suite, config)
    alone = replace(config, defences=())
    methods = {each.label: _refused(name, suite, replace(alone, methods=(each,))) for each in config.methods}
    possible = tuple(each for each in config.methods if not methods[each.label])
    if not possible:
        first = next(iter(methods.values()))
        raise BadSetting(f"attack {name!r}: {first.replace('--set ', f'--set {name}.')}")
    alone = replace(alone, methods=possible)
    defences = {each: _refused(name, suite, replace(alone, defences=(each,))) for each in config.defences}
    looking = tuple(each for each in config.defences if not defences[each])
    return Row(
        Entry(name, row, replace(alone, defences=looking)),
        {label: why for label, why in methods.items() if why},
        {each: why for each, why in defences.items() if why},
    )


def _refused(name: str, suite: Suite, config: Lab) -> str:
    """Why an attack cannot be played with these settings; "" where it can."""
    try:
        ATTACKS[name].check(suite, config)
    except (BadSetting, UnknownName) as error:
        return str(error)
    return ""


def _unplayed(suite: Suite, row: Row) -> list[Score]:
    """Records of what cannot be: no numbers, and why."""
    entry = row.entry
    facts: dict[str, Setting] = {NAME: entry.name, **entry.config.facts, CAN_BE: False}
    place = Place(suite, _NotAsked(), facts, entry.config.models)
    methods = [
        place.score(label, "test", SUCCESS, arm, None, module=entry.row.module, reason=_in_short(why))
        for label, why in row.without_methods.items()
        for arm in ARMS
    ]
    defences = [
        place.score(
            attacked.label,
            "test",
            LEFT,
            defence,
            None,
            module=DEFENCES[defence].module,
            facts={DEFENCE: defence},
            reason=_in_short(why),
        )
        for attacked in entry.config.methods
        for defence, why in row.without_defences.items()
    ]
    return [*methods, *defences]


def _in_short(why: str) -> str:
    """A refusal without what it advises: in a matrix the other cells are the advice.

    >>> _in_short("'sisa' knows no rounds; choose another --method")
    "'sisa' knows no rounds"
    """
    return why.rpartition("; ")[0] or why
