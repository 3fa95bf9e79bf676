"""The leaderboard: ``results/`` holds the records of benches, one file a row, and its pages are made of them alone."""

import math
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from expunge.methods import METHODS
from expunge.methods.needs import HALVES
from expunge.methods.tuned import shipped, tuned_as
from expunge.records import SPLITS, Score
from expunge.reports.boards import Board, boards
from expunge.reports.leaderboard.notes import predicted, uncertified
from expunge.reports.leaderboard.records import read_records
from expunge.reports.leaderboard.set_tables import set_tables
from expunge.reports.leaderboard.standings import Standing, standings
from expunge.reports.readings import LEGEND, MARKS, NEARER, RULES
from expunge.reports.studies.markdown import code, escaped, grid, unbroken
from expunge.reports.summaries import FLOOR, NOTHING
from expunge.reports.tables import formats
from expunge.suites import SUITES, load_suite

_READ_HALVES = sorted(code(name) for name, method in METHODS.items() if HALVES in method.needs)
INTRODUCTION = f"""\
# Results

`distance`: Wasserstein-1 between the margins of unlearned models and of oracles, in standard deviations of the oracles,
mean over the examples of a split; `gap closed`: the share of the way on forget from doing nothing (`identity`, 0 %) to
the floor (`oracle`, held-out oracles, 100 %); `drift`: how much farther than the floor a method lies on retain and
test, where nothing should change. `KLoM`: its 95th percentile over the forget examples, in nats, the number of
published tables; marked * it is saturated, and says how wide models spread, not how far they are. `differ`: the share
of forget examples told apart from the oracles, false discoveries held at 5 %. Brackets and ± are 95 % intervals. Cost
in shares of one retraining; what serves many requests is not in it: the 1,000 models on halves of the data that
{", ".join(_READ_HALVES[:-1])} and {_READ_HALVES[-1]} read, the logged training of `amnesiac`, the shards of `sisa`.

A rank is one plus the number of methods significantly better on that forget set by the distance, mean over forget,
retain and test, in paired differences over the same models, Holm-corrected; "1 to 7" are the places that the data leave
open, and ties are ties. Methods of one group cannot be told from the nearest of them; a group stands in brackets. No
rank have methods that do not surely close any of the gap there, that break the model, that are doubted, and those that
use retrained models. The mean gap closed is over the forget sets with headroom, where a method has a number on all; who
breaks the model, fails, is doubted or costs over a tenth more than the budget (↑) anywhere stands below all others.

Classic scores: the mean over models, then the oracles' and the gap between them with its 95 % interval; average gap
and ToW stand beside those of held-out oracles, seconds, where they were measured, beside those of one retraining, with
the interval. On a class forget set TA and MIA-efficacy are of all test examples, those of the class included.

Made by `expunge leaderboard`. Every file here holds all that is needed to get its numbers again."""


def results_page(results: Path) -> str:
    """``results/README.md``: of each suite who stands where over all forget sets, then each forget set."""
    parts = [INTRODUCTION]
    for suite, scores in read_records(results).items():
        found = boards(scores)
        parts += [f"## {escaped(suite)}", _overall(found, standings(found)), _legend(found), _rules(found), LEGEND]
        parts += [*_of_before(suite, scores), *_settings(scores), *_found_nothing(suite, scores)]
        parts += [_no_better(found), *_moves_nothing(found)]
        names = list(dict.fromkeys(line.row.method for board in found for line in board.lines))
        parts += [*_from_scratch(found), *predicted(names), *uncertified(suite, names)]
        parts += [set_tables(suite, board) for board in found]
    return "\n\n".join(parts) + "\n"


def _overall(found: Sequence[Board], shown: Sequence[Standing], *, groups: bool = True) -> str:
    """A line for each method: mean gap closed and drift, and on each forget set what it reads, and its group."""
    lines = []
    for each in shown:
        closed = "" if each.closed is None else formats.whole_percent(each.closed)
        drift = "" if each.drift is None else formats.nats(each.drift)
        nearer = each.note or f"{each.nearer} of {len(found)}"
        cells = [closed, drift, nearer, *(_on(each.method, board, groups) for board in found)]
        lines.append([code(each.method), *map(unbroken, cells)])
    names = [board.forget_set for board in found]
    return grid(["method", "mean gap closed", "mean drift", "forgets some on", *names], lines)


def _legend(found: Sequence[Board], *, groups: bool = True) -> str:
    seen = {line.reading for board in found for line in board.lines}
    marks = ", ".join(f"{MARKS[name]} {name}" for name in RULES if name in seen)
    brackets = (
        ", and the group in brackets" if groups and any(line.row.group for b in found for line in b.lines) else ""
    )
    return f"Share of the gap closed on forget{brackets}; – where there is no headroom. What it reads: {marks}."


def _of_before(name: str, scores: Sequence[Score]) -> list[str]:
    """The forget sets that are of other examples today than when they were scored; of a suite that is in the table."""
    if name not in SUITES:
        return []
    today = load_suite(name).forget_sets
    scored = {score.subject.forget_set: score.subject.forget_digest for score in scores if score.subject.forget_digest}
    other = [escaped(each) for each, digest in scored.items() if each in today and today[each].sha256 != digest]
    what = "Scored before these forget sets were made anew, of other examples than those of the same name today"
    return [f"{what}: {', '.join(other)}."] if other else []


def _settings(scores: Sequence[Score]) -> list[str]:
    """Where the settings of the rows come from."""
    tuned = {score.subject.method: score.subject.tuning for score in scores if score.subject.tuning}
    searched = {name for name, how in tuned.items() if how.startswith("tuned")}
    defaults = [code(name) for name, how in tuned.items() if how.startswith("default")]
    by_hand = [
        f"{code(name)} ({escaped(each)})" for name, how in tuned.items() if (each := how.partition("; set: ")[2])
    ]
    most = formats.at_most(score.subject.budget for score in scores)
    if not searched:
        told = ["Here settings are the defaults of each method, not those of a search."]
    else:
        told = [
            "Settings are those that a search (`expunge tune`) found on models, forget sets and oracles of its "
            f"own{f', for {most}' if most else ''}."
        ]
        if most:
            told.append(
                "Where nothing so cheap came nearer to the oracles than doing nothing, the cheapest that did is shown, "
                "or where none did the nearest of all. A cost over a tenth more than the budget has that beside it, "
                "or ↑."
            )
        told += [f"The defaults, for want of a search: {', '.join(defaults)}."] if defaults else []
    return [" ".join([*told, *([f"Set by hand: {', '.join(by_hand)}."] if by_hand else [])])]


def _no_better(found: Sequence[Board]) -> str:
    """Which methods surely bring the forget examples nearer to the oracles on no forget set without breaking it."""
    lines = [line for board in found for line in board.lines if line.row.method not in (FLOOR, NOTHING)]
    better = {line.row.method for line in lines if line.reading in NEARER}
    others = dict.fromkeys(code(line.row.method) for line in lines if line.row.method not in better)
    return (
        "On no forget set do these surely close any of the gap, unless they "
        f"break the model there: {', '.join(others) or 'none'}."
    )


def _moves_nothing(found: Sequence[Board]) -> list[str]:
    """Which rows are the models as they came, to the last bit of their weights or but for rounding."""
    places = defaultdict(list)
    for board in found:
        rows = {line.row.method: line.row for line in board.lines}
        for name in rows.keys() - {NOTHING} if NOTHING in rows else ():
            pairs = [(rows[name].distance(split), rows[NOTHING].distance(split)) for split in SPLITS]
            if all(one and other and math.isclose(one.value, other.value, rel_tol=1e-5) for one, other in pairs):
                places[name].append(board.forget_set)
    told = [f"{code(method)} on {', '.join(map(escaped, names))}" for method, names in sorted(places.items())]
    what = f"With their settings these move nothing, and have the scores of `{NOTHING}`"
    return [f"{what}: {'; '.join(told)}."] if told else []


def _found_nothing(suite: str, scores: Sequence[Score]) -> list[str]:
    """The methods among them whose search, for a kind of these forget sets, came nowhere nearer than doing nothing."""
    benched = {score.subject.method for score in scores if score.subject.tuning.startswith("tuned")} & METHODS.keys()
    served = {tuned_as(score.subject.forget_kind) for score in scores}
    kinds = defaultdict(list)
    for search in (each for name in sorted(benched) for each in shipped(name) if each.suite == suite):
        if search.kind in served and search.frontier and search.frontier[-1].objective >= search.untouched.objective:
            kinds[search.method].append(search.kind)
    names = [f"{code(method)} ({', '.join(found)})" for method, found in kinds.items()]
    told = "In the search no setting brought these nearer to the oracles, over forget, retain and test together, than"
    return [f"{told} doing nothing, for the kinds in brackets: {', '.join(names)}."] if names else []


def _rules(found: Sequence[Board]) -> str:
    """What the readings that stand in the tables mean."""
    seen = {line.reading for board in found for line in board.lines}
    return "\n".join(f"- {MARKS[name]} *{name}*: {rule}." for name, rule in RULES.items() if name in seen)


def _from_scratch(found: Sequence[Board]) -> list[str]:
    """Which methods train models from their first weights, or need models that were, and what that costs."""
    costs: dict[str, list[float]] = defaultdict(list)
    for row in (line.row for board in found for line in board.lines):
        if row.method in METHODS and METHODS[row.method].from_scratch and row.cost is not None:
            costs[row.method].append(row.cost)
    told = [f"{code(name)} {sum(each) / len(each):.1%}" for name, each in costs.items()]
    what = "Training from scratch, or given retrained models, with the cost in shares of one retraining"
    return [f"{what}: {', '.join(told)}."] if told else []


def _on(method: str, board: Board, groups: bool) -> str:
    line = next((line for line in board.lines if line.row.method == method), None)
    if line is None:
        return ""
    if line.row.failed:
        return "failed"
    group = f" (#{line.row.group})" if groups and line.row.group else ""
    dear = f" {formats.DEAR}" if line.row.dear else ""
    return f"{MARKS[line.reading]} {formats.whole_percent(formats.value(line.row.closed))}{dear}{group}"
