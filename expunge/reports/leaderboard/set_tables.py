"""The tables of one forget set in ``results/``."""

from expunge.records import LIKELY
from expunge.reports.boards import Board, Line
from expunge.reports.leaderboard.standings import BOUND, is_bound
from expunge.reports.studies.markdown import code, escaped, grid, unbroken
from expunge.reports.summaries import FLOOR, Interval
from expunge.reports.tables import formats
from expunge.reports.tables.scores import NO_HEADROOM

CLASSIC = {"ua": "UA, %", "ra": "RA, %", "ta": "TA, %", "mia-efficacy": "MIA-efficacy, %"}


def set_tables(suite: str, board: Board) -> str:
    """The tables of one forget set."""
    first = board.lines[0].row
    heads = [
        "method", "group", "rank", "gap closed", "distance on forget", "drift on retain", "drift on test", "KLoM",
        "differ", "accuracy on test", "cost",
    ]  # fmt: skip
    place = f"{escaped(suite)}, {escaped(board.forget_set)}"
    most = formats.at_most(line.row.budget for line in board.lines)
    settings = f", settings for {most}" if most else ""
    lines = [f"### {place}", "", f"{first.models} models against {first.oracle_models} oracles{settings}.", ""]
    if board.no_headroom:
        lines += [f"{NO_HEADROOM[0].upper()}{NO_HEADROOM[1:]}.", ""]
    lines.append(grid(heads, [_line(line) for line in board.lines]))
    if any(map(board.has, CLASSIC)):
        timed = board.has("run-time")
        heads = ["method", *CLASSIC.values(), "average gap, %", "ToW", *(["seconds a model"] if timed else [])]
        lines += ["", grid(heads, [_classic(line, timed) for line in board.lines])]
    causes = [
        f"- {code(line.row.method)}: {escaped(line.cause.removeprefix(LIKELY))}." for line in board.lines if line.cause
    ]
    return "\n".join([*lines, *(["", "Why these break the model, likely:", "", *causes] if causes else [])])


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
    rank = BOUND if is_bound(row.method) and row.method != FLOOR else _places(row.rank)
    share = [
        f"{formats.percent(each.value)}%" if each else ""
        for each in (row.distinguishable("forget"), row.accuracy("test"))
    ]
    cost = "" if row.cost is None else f"{row.cost:.1%}{f' >{formats.narrow(row.budget)}' if row.dear else ''}"
    return [code(row.method), *map(unbroken, [f"{row.group or ''}", rank, *numbers, *share, cost])]


def _classic(line: Line, timed: bool) -> list[str]:
    row = line.row
    average, tow, time = (row.classic(name) for name in ("average-gap", "tow", "run-time"))
    cells = [_gap(row.classic(name), row.classic(name, "gap")) for name in CLASSIC]
    cells += [
        f"{written(cell.value)} of {written(cell.oracle)}: {between(cell)}" if cell else ""
        for cell, written, between in (
            (average, formats.percent, formats.percent_between),
            (tow, formats.nats, formats.between),
            *([(time, formats.seconds, formats.seconds_between)] if timed else []),
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
