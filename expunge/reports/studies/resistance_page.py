"""``results/cheats.md``: which cheats win, by which score, and what the bench says of each."""

from collections.abc import Sequence

from expunge.reports.readings import MARKS
from expunge.reports.studies.cheats import CHEATS
from expunge.reports.studies.markdown import Markdown, code, grid
from expunge.reports.studies.resistance import BEST, FEW, METHODS, MODELS, SETS, Judged
from expunge.reports.studies.rulers import RULERS
from expunge.reports.summaries import FLOOR, NOTHING
from expunge.reports.tables.formats import whole_percent

INTRODUCTION = f"""\
# Which cheats win?

Margins that nobody should win with, {MODELS} models against {MODELS} oracles of `digits`, on
{", ".join(f"`{name}`" for name in SETS)}, beside the {BEST} honest methods that close the most of the gap there. Each
is put before every candidate of the [study of distances](metrics.md), as a single score, and before the bench, which
reads a row by several numbers and refuses or doubts what cannot be a method. A cheat that is "on forget alone" has
untouched margins everywhere else; one that is refused has no numbers at all.

Made by `expunge study cheats`.
"""


def resistance_page(found: Sequence[Judged], methods: Sequence[Judged]) -> str:
    """The page, out of what was found of each row, and of the cheats that are methods."""
    sets = [_judged(found, name) for name in SETS]
    return "\n".join([INTRODUCTION, _verdict(found), _by_score(found), _methods(methods), *sets])


def _methods(found: Sequence[Judged]) -> str:
    lines = [
        [
            each.forget_set,
            code(each.name),
            METHODS.get(each.name, _why(each.name)),
            "" if each.closed is None else whole_percent(each.closed),
            f"{100 * each.numbers['cost']:.0f} %" if "cost" in each.numbers else "",
            f"{MARKS[each.reading]} {each.reading}",  # type: ignore[index]
            each.told,
        ]
        for each in found
    ]
    head = ["forget set", "method", "what it does", "gap closed", "cost", "reads", "why"]
    text = (
        f"Functions of a user's own, {FEW} models; whatever is returned, what is scored are its weights in the suite's "
        "network.\n\n"
    )
    return "## Cheats that are methods\n\n" + text + grid(head, lines) + "\n"


def _verdict(found: Sequence[Judged]) -> str:
    cheats = [each for each in found if not each.honest]
    won = [each for each in cheats if each.wins and _closed(each) > _best_closed(found, each.forget_set)]
    refused, doubted = (sum(each.reading == how for each in cheats) for how in ("failed", "doubted"))
    better = [f"{each.name} ({each.forget_set})" for each in cheats if each.wins]
    return f"""\
## Verdict

Of {len(cheats)} cheats the bench refuses {refused} and doubts {doubted}. Above the best honest method stand
{len(won) or "none"}{": " + _names(won) if won else ""}. Read as better than doing nothing, without an alarm:
{"; ".join(better) or "none"}.

What no score can catch: margins that were made of oracles which somebody trained for it. Margins that are handed in
have no rank and are UNVERIFIED, always; as a method, it is retraining, and costs what retraining costs. A bias or a
temperature on the output is doubted as such; with enough else beside it, it is read as what it does.
"""


def _by_score(found: Sequence[Judged]) -> str:
    """Of every single score: which cheats it puts above the best honest method."""
    lines = []
    for ruler in RULERS:
        above = []
        for name in SETS:
            best = min(each.numbers[ruler] for each in found if _is_method(each) and each.forget_set == name)
            above += [each for each in _cheats(found, name) if each.numbers[ruler] < best]
        lines.append([ruler, f"{len(above)}", _names(above)])
    won = [each for name in SETS for each in _cheats(found, name) if each.wins]
    above = [each for each in won if _closed(each) > _best_closed(found, each.forget_set)]
    lines.append(["the bench: gap closed, readings, alarms", f"{len(above)}", _names(above)])
    head = ["score", f"of {sum(not each.honest for each in found)} cheats above the best honest method", "which"]
    return "## By each score alone\n\n" + grid(head, lines) + "\n"


def _names(rows: Sequence[Judged]) -> str:
    """Each cheat once, and on how many of the sets, where not on all."""
    names = list(dict.fromkeys(each.name for each in rows))
    counts = {name: sum(each.name == name for each in rows) for name in names}
    return "; ".join(name if counts[name] == len(SETS) else f"{name} ({counts[name]} of {len(SETS)})" for name in names)


def _judged(found: Sequence[Judged], forget_set: str) -> str:
    lines = []
    for each in (row for row in found if row.forget_set == forget_set):
        mark = MARKS[each.reading]  # type: ignore[index]
        closed = "" if each.closed is None else whole_percent(each.closed)
        name = code(each.name) if each.honest else each.name
        numbers = [f"{min(each.numbers[ruler], 999):.2f}" for ruler in ("Wasserstein-1", "KLoM P95", "KLoM mean")]
        lines.append([name, _why(each.name), *numbers, closed, f"{mark} {each.reading}", each.told])
    head = ["row", "what it is", "distance", "KLoM P95", "KLoM mean", "gap closed", "reads", "why"]
    return f"## {Markdown(code(forget_set))}\n\n" + grid(head, lines) + "\n"


def _why(name: str) -> str:
    cheat = CHEATS.get(name.removesuffix(", on forget alone"))
    if cheat is None:
        return {FLOOR: "held-out oracles", NOTHING: "nothing done"}.get(name, "an honest method")
    return cheat.why + (" (with the oracles' margins)" if cheat.theft else "")


def _is_method(row: Judged) -> bool:
    return row.honest and row.name not in (FLOOR, NOTHING)


def _cheats(found: Sequence[Judged], forget_set: str) -> list[Judged]:
    return [each for each in found if each.forget_set == forget_set and not each.honest]


def _closed(row: Judged) -> float:
    return row.closed or 0.0


def _best_closed(found: Sequence[Judged], forget_set: str) -> float:
    return max(_closed(each) for each in found if _is_method(each) and each.forget_set == forget_set and each.wins)
