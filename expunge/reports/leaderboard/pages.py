"""The leaderboard: ``results/`` holds the records of benches, one file a row, and its pages are made of them alone."""

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from expunge.errors import UserError
from expunge.methods import METHODS
from expunge.methods.certified import CERTIFIED
from expunge.methods.needs import HALVES
from expunge.methods.tuned import shipped
from expunge.outside import read_text
from expunge.records import SPLITS, Score
from expunge.reports.boards import Board, Line, boards
from expunge.reports.leaderboard.records import read_records
from expunge.reports.readings import LEGEND, MARKS, NEARER, RULES, Reading
from expunge.reports.studies.markdown import code, escaped, grid
from expunge.reports.summaries import FLOOR, NOTHING, Interval
from expunge.reports.tables import formats
from expunge.suites import SUITES, load_suite
from expunge.suites.forget_set import FORGET_KINDS

FRONT = "digits"  # the suite that a README shows, where it has results; else the first
TOP, COLUMNS = 10, 4  # rows and kinds that it shows
BOUND = "uses retraining"
SPOILT: tuple[Reading, ...] = ("breaks the model", "doubted")
WORST_FIRST: tuple[Reading, ...] = (
    *SPOILT, "failed", "cannot tell", "moves away", "does nothing", "partly forgets", "forgets, drifts", "forgets",
    "floor",
)  # fmt: skip
BEGIN, END = "<!-- leaderboard: made by `expunge leaderboard`, not by hand -->", "<!-- end of leaderboard -->"
_BLOCK = re.compile(f"{re.escape(BEGIN)}.*?{re.escape(END)}", re.DOTALL)
CLASSIC = {"ua": "UA, %", "ra": "RA, %", "ta": "TA, %", "mia-efficacy": "MIA-efficacy, %"}
INTRODUCTION = """\
# Results

`distance`: Wasserstein-1 between the margins of unlearned models and of oracles, in standard deviations of the oracles,
mean over the examples of a split; `gap closed`: the share of the way on forget from doing nothing (`identity`, 0 %) to
the floor (`oracle`, held-out oracles, 100 %); `drift`: how much farther than the floor a method lies on retain and
test, where nothing should change. `KLoM`: its 95th percentile over the forget examples, in nats, the number of
published tables; marked * it is saturated, and says how wide models spread, not how far they are. `differ`: the share
of forget examples told apart from the oracles, false discoveries held at 5 %. Brackets and ± are 95 % intervals. Cost
in shares of one retraining; what serves many requests is not in it: the 1,000 models on halves of the data that
`dm-direct`, `dmm` and `rum` read, the logged training of `amnesiac`, the shards of `sisa`.

A rank is one plus the number of methods significantly better on that forget set by the distance, mean over forget,
retain and test, in paired differences over the same models, Holm-corrected; "1 to 7" are the places that the data leave
open, and ties are ties. Methods of one group cannot be told from the nearest of them; a group stands in brackets. No
rank have methods that do not surely close any of the gap there, that break the model, that are doubted, and those that
use retrained models. The mean gap closed is over the forget sets with headroom, where a method has a number on all; who
breaks the model, fails or is doubted anywhere stands below all others.

Classic scores: the mean over models, then the oracles' and the gap between them with its 95 % interval; average gap
and ToW stand beside those of held-out oracles, seconds beside those of one retraining, with the interval. On a class
forget set TA and MIA-efficacy are of all test examples, those of the class included.

Made by `expunge leaderboard`. Every file here holds all that is needed to get its numbers again."""


@dataclass(frozen=True)
class Standing:
    """One method over all forget sets of a suite."""

    method: str
    closed: float | None  # mean share of the gap closed, of the forget sets with headroom; None where a row is missing
    drift: float | None  # mean of the drifts on retain and test, in sd of the oracles
    nearer: int  # forget sets on which it reads better than doing nothing
    note: str  # why it stands below others

    @property
    def place(self) -> tuple[bool, float, str]:
        return bool(self.note), math.inf if self.closed is None else -self.closed, self.method


def standings(found: Sequence[Board]) -> list[Standing]:
    """All methods of a suite by their mean gap closed, those that broke or failed anywhere last; oracles are none."""
    for board in found:
        _require_one_bench(board)
    lines = [{line.row.method: line for line in board.lines} for board in found]
    names = dict.fromkeys(name for some in lines for name in some if name != FLOOR)
    rows = {name: [(some.get(name), board) for some, board in zip(lines, found, strict=True)] for name in names}
    return sorted((_standing(name, each) for name, each in rows.items()), key=lambda each: each.place)


def _standing(name: str, places: Sequence[tuple[Line | None, Board]]) -> Standing:
    scored = [line for line, _ in places if line and not line.row.failed]
    nearer = sum(line.reading in NEARER for line in scored)
    if len(scored) < len(places):
        return Standing(name, None, None, nearer, f"scored on {len(scored)} of {len(places)} forget sets")
    closed = [line.row.closed.value for line in scored if line.row.closed]
    drifts = [each.value for line in scored for split in SPLITS[1:] if (each := line.row.drift(split))]
    spoilt = [f"{why} on {count} of {len(places)}" for why in SPOILT if (count := _count(scored, why))]
    note = BOUND if _is_bound(name) else "; ".join(spoilt)
    return Standing(name, _mean(closed), _mean(drifts), nearer, note)


def _count(lines: Sequence[Line], reading: Reading) -> int:
    return sum(line.reading == reading for line in lines)


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _is_bound(name: str) -> bool:
    """Whether it is shown for comparison, without a rank, for it uses retrained models."""
    return name in METHODS and not METHODS[name].ranked


def _require_one_bench(board: Board) -> None:
    """Ranks of different benches count different methods, and must not stand in one table."""
    ranks = [line.row.rank for line in board.lines if line.row.rank]
    worst = max((rank.high or 0 for rank in ranks), default=0)
    if worst != len(ranks):
        raise UserError(
            f"forget set {board.forget_set}: {len(ranks)} rows have ranks that go to {worst:.0f}, so they are of "
            "different benches; bench all methods together, and remove the files of others"
        )


def results_page(results: Path) -> str:
    """``results/README.md``: of each suite who stands where over all forget sets, then each forget set."""
    parts = [INTRODUCTION]
    for suite, scores in read_records(results).items():
        found = boards(scores)
        parts += [f"## {escaped(suite)}", _overall(found, standings(found)), _legend(found), _rules(found), LEGEND]
        parts += [*_of_before(suite, scores), *_settings(scores), *_found_nothing(suite, scores)]
        parts += [_no_better(found), *_moves_nothing(found)]
        parts += _from_scratch(found)
        parts += [_board(suite, board) for board in found]
    return "\n\n".join(parts) + "\n"


def front_block(results: Path) -> str:
    """What a README shows: the methods that forget most over the first four kinds of forget sets, and at which cost."""
    records = read_records(results)
    suite = FRONT if FRONT in records else next(iter(records))
    found = boards(records[suite])
    for board in found:
        _require_one_bench(board)
    kinds = dict(list(by_kind(found).items())[:COLUMNS])
    names = dict.fromkeys(line.row.method for board in found for line in board.lines)
    ranked = [name for name in names if name not in (FLOOR, NOTHING) and not _is_bound(name)]
    cells = {name: {kind: _cell(name, some) for kind, some in kinds.items()} for name in ranked}
    order = sorted(ranked, key=lambda name: (-sum(each.worth for each in cells[name].values()), name))
    lines = [[code(name), *(each.text for each in cells[name].values())] for name in order[:TOP]]
    first = found[0].lines[0].row
    budgets = {line.row.budget for board in found for line in board.lines if line.row.budget}
    most = (
        f", settings for at most {' or '.join(map(formats.compute, sorted(budgets)))} of a retraining"
        if budgets
        else ""
    )
    title = (
        f"{code(suite)}, {first.models} models against {first.oracle_models} oracles{most}: the first {len(lines)} of "
        f"{len(ranked)} methods. Which share of the way from doing nothing (0 %) to a model that never saw the data "
        "(100 %) each goes on the examples to be forgotten, and at which share of a retraining:"
    )
    seen = {cell.mark for name in order[:TOP] for cell in cells[name].values()}
    legend = ", ".join(f"{MARKS[reading]} {reading}" for reading in RULES if MARKS[reading] in seen)
    none = [kind for kind in kinds if not any(cells[name][kind].forgets for name in ranked)]
    whole = f"No method at this price forgets wholly (●) of the kind {', '.join(none)}." if none else ""
    parts = [title, grid(["method", *kinds], lines), f"{legend}.", whole, _unranked(names), _unpriced(order[:TOP])]
    return "\n\n".join(filter(None, parts))


def _unranked(names: Iterable[str]) -> str:
    """Why fewer methods are ranked than there are: some are for comparison, some were not benched."""
    every = [name for name, row in METHODS.items() if not row.anchor]
    bounds = [code(name) for name in every if name in names and _is_bound(name)]
    absent = [name for name in every if name not in names]
    why = [f"{' and '.join(bounds)} {'are' if bounds[1:] else 'is'} for comparison only"] if bounds else []
    if absent:
        kind = "certified methods" if set(absent) <= set(CERTIFIED) else "methods"
        why.append(f"{len(absent)} {kind} were not benched")
    others = len(bounds) + len(absent)
    return f"The other {others} of {len(every)} methods are not ranked: {', and '.join(why)}." if why else ""


def _unpriced(methods: Sequence[str]) -> str:
    """What the prices of these methods leave out."""
    halves = [code(name) for name in methods if name in METHODS and HALVES in METHODS[name].needs]
    if not halves:
        return ""
    return f"Prices leave out the models trained on random halves, which serve all requests: {', '.join(halves)}."


@dataclass(frozen=True)
class Cell:
    """One method on all forget sets of a kind: its usual mark, or that it is spoilt on one, and its mean share."""

    mark: str
    text: str
    worth: float  # the share, at most 1; -1 where it breaks a model, is doubted, dear, failed or was not scored

    @property
    def forgets(self) -> bool:
        """Whether it forgets wholly, at a cost within the budget."""
        return self.mark == MARKS["forgets"] and self.worth > 0


def by_kind(found: Sequence[Board]) -> dict[str, list[Board]]:
    """The forget sets by their kind, in the order of FORGET_KINDS; each by itself where one names no kind."""
    if not all(board.kind for board in found):
        return {board.forget_set: [board] for board in found}
    return {kind: some for kind in FORGET_KINDS if (some := [board for board in found if board.kind == kind])}


def _cell(method: str, found: Sequence[Board]) -> Cell:
    lines = [line for board in found for line in board.lines if line.row.method == method]
    if len(lines) < len(found):
        return Cell("", "", -1.0)
    if any(line.row.failed for line in lines):
        return Cell("", "failed", -1.0)
    readings = [line.reading for line in lines]
    usual = min(readings, key=lambda each: (each not in SPOILT, -readings.count(each), WORST_FIRST.index(each)))
    closed = _mean([line.row.closed.value for line in lines if line.row.closed])
    costs = [line.row.cost for line in lines if line.row.cost is not None]
    dear = any(line.row.dear for line in lines)
    price = f" at {formats.compute(max(costs))}{f' {formats.DEAR}' if dear else ''}" if costs else ""
    share = formats.ABSENT if closed is None else formats.whole_percent(closed)
    worth = -1.0 if usual in SPOILT or dear or closed is None else min(closed, 1.0)
    return Cell(MARKS[usual], f"{MARKS[usual]} {share}{price}", worth)


def read_page(file: Path) -> str:
    """The text of a page that has the two markers, once."""
    text = read_text(file, UserError)
    if len(_BLOCK.findall(text)) != 1:
        raise UserError(
            f"{file}: expected the markers {BEGIN!r} and {END!r} once, in this order, to write between them"
        )
    return text


def with_block(text: str, block: str) -> str:
    """``text`` with ``block`` between its two markers."""
    return _BLOCK.sub(lambda _: f"{BEGIN}\n\n{block}\n\n{END}", text)


def _overall(found: Sequence[Board], shown: Sequence[Standing], *, groups: bool = True) -> str:
    """A line for each method: mean gap closed and drift, and on each forget set what it reads, and its group."""
    lines = []
    for each in shown:
        closed = "" if each.closed is None else formats.whole_percent(each.closed)
        drift = "" if each.drift is None else formats.nats(each.drift)
        nearer = each.note or f"{each.nearer} of {len(found)}"
        lines.append([code(each.method), closed, drift, nearer, *(_on(each.method, board, groups) for board in found)])
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
    if not searched:
        told = ["Here settings are the defaults of each method, not those of a search."]
    else:
        told = [
            "Settings are those that a search (`expunge tune`) found on models, forget sets and oracles of its own, "
            "under one limit of cost for all methods that do not train from scratch."
        ]
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
    """The methods among them whose search came nowhere nearer to the oracles than doing nothing."""
    benched = {score.subject.method for score in scores if score.subject.tuning.startswith("tuned")} & METHODS.keys()
    kinds = defaultdict(list)
    for search in (search for name in sorted(benched) for search in shipped(name) if search.suite == suite):
        if search.frontier and search.frontier[-1].objective >= search.untouched.objective:
            kinds[search.method].append(search.kind)
    names = [f"{code(method)} ({', '.join(served)})" for method, served in kinds.items()]
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
    return f"{MARKS[line.reading]} {formats.whole_percent(formats.value(line.row.closed))}{group}"


def _board(suite: str, board: Board) -> str:
    """The tables of one forget set."""
    first = board.lines[0].row
    heads = [
        "method", "group", "rank", "gap closed", "distance on forget", "drift on retain", "drift on test", "KLoM",
        "differ", "accuracy on test", "cost",
    ]  # fmt: skip
    place = f"{escaped(suite)}, {escaped(board.forget_set)}"
    lines = [f"### {place} ({first.models} models against {first.oracle_models} oracles)", ""]
    lines.append(grid(heads, [_line(line) for line in board.lines]))
    if any(line.row.classic(name) for line in board.lines for name in CLASSIC):
        heads = ["method", *CLASSIC.values(), "average gap, %", "ToW", "seconds a model"]
        lines += ["", grid(heads, [_classic(line) for line in board.lines])]
    return "\n".join(lines)


def _line(line: Line) -> list[str]:
    row, klom = line.row, line.row.klom("forget")
    distances = [row.distance("forget"), row.drift("retain"), row.drift("test")]
    numbers = (
        ["failed"] * 5
        if row.failed
        else [
            f"{formats.whole_percent(formats.value(row.closed))} {formats.half_percent(row.closed)}".strip(),
            *(f"{formats.nats(formats.value(each))} {formats.half(each)}".strip() for each in distances),
            f"{formats.klom(formats.value(klom))} {formats.between(klom)}".strip(),
        ]
    )
    rank = BOUND if _is_bound(row.method) and row.method != FLOOR else _places(row.rank)
    share = [
        f"{formats.percent(each.value)}%" if each else ""
        for each in (row.distinguishable("forget"), row.accuracy("test"))
    ]
    cost = "" if row.cost is None else f"{row.cost:.1%}"
    return [code(row.method), f"{row.group or ''}", rank, *numbers, *share, cost]


def _classic(line: Line) -> list[str]:
    row = line.row
    average, tow, time = (row.classic(name) for name in ("average-gap", "tow", "run-time"))
    cells = [_gap(row.classic(name), row.classic(name, "gap")) for name in CLASSIC]
    cells += [
        f"{written(cell.value)} of {written(cell.oracle)}: {between(cell)}" if cell else ""
        for cell, written, between in (
            (average, formats.percent, formats.percent_between),
            (tow, formats.nats, formats.between),
            (time, formats.seconds, formats.seconds_between),
        )
    ]
    return [code(row.method), *cells]


def _gap(cell: Interval | None, gap: Interval | None) -> str:
    if cell is None or gap is None:
        return ""
    both = f"{formats.percent(cell.value)} of {formats.percent(cell.oracle)}"
    return f"{both}: {formats.signed(gap.value)} {formats.signed_between(gap)}"


def _places(rank: Interval | None) -> str:
    if rank is None or rank.high is None:
        return ""
    return f"{rank.value:.0f}" if rank.high == rank.value else f"{rank.value:.0f} to {rank.high:.0f}"
