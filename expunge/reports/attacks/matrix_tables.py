"""The matrix in the terminal: a table for each attack, what serving costs, and a legend."""

from collections.abc import Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from expunge.attacks.lab.arms import HONEST, NO_REQUEST, ORACLE, UNPERTURBED
from expunge.records import Score
from expunge.reports.attacks.findings import Findings, Victims
from expunge.reports.attacks.matrix import (
    MARKS,
    UNTOLD,
    Cell,
    Matrix,
    by_chance,
    read_matrix,
    reasons_of,
    span_of_alarms,
    unusual_controls,
)
from expunge.reports.attacks.words import OF_DEFENCES
from expunge.reports.summaries import Interval
from expunge.reports.tables import formats

SHORT = {NO_REQUEST: "n", HONEST: "h", UNPERTURBED: "u", ORACLE: "o"}  # controls, where there is no room
LEGEND = (
    "attack: its success, in % where it is a share; control: that of the strongest of n, no request, h, an honest "
    "request of the same size, u, the attack's records unperturbed, o, retraining without them; lost: points of test "
    "accuracy; behind that what each defence leaves of the attack. false alarms: honest requests that a defence "
    "suspects, or records where it filters, in %; seconds: what it takes for one request. Intervals, all controls and "
    "what each cell costs: the page."
)


def render_matrix(scores: Sequence[Score]) -> list[Table | Text]:
    """A table for each attack, what serving costs, the legend; for 80 columns and more."""
    matrix = read_matrix(scores)
    cells = list(matrix.cells())
    parts: list[Table | Text] = [
        _table(matrix, found, [cell for cell in cells if cell.attack == found.name]) for found in matrix.attacks
    ]
    parts += [
        _costs(matrix, cells),
        Text("\n".join(f"{mark} {words}" for mark, words in MARKS.items())),
        Text(f"{LEGEND}\n{OF_DEFENCES}\n{by_chance(cells)}"),
    ]
    return [piece for part in parts for piece in (part, Text())][:-1]  # a blank line between any two


def _table(matrix: Matrix, found: Findings, cells: Sequence[Cell]) -> Table:
    table = _empty(f"{found.name}, {found.models} victims of {found.suite}")
    table.add_column("method", no_wrap=True)
    for name in ("attack", "control", "lost"):
        table.add_column(name, justify="right", no_wrap=True)
    for name in matrix.defences:
        table.add_column(_folded(name), justify="right", no_wrap=True)
    for victims in found.victims:
        own = [cell for cell in cells if cell.method == victims.method]
        lost = formats.signed(formats.value(victims.lost.get("attack"))).removeprefix("+")
        left = [_marked(found, cell) for cell in own]
        table.add_row(formats.on_lines(victims.method), left[0], _strongest(found, victims), lost, *left[1:])
    if matrix.defences:
        table.add_section()
        table.add_row("false alarms", "", "", "", *(_alarms(cells, name) for name in matrix.defences))
        table.add_row("seconds", "", "", "", *(_seconds(cells, name) for name in matrix.defences))
    beneath = f"success: {found.success.what}; compared with: {found.success.against}"
    table.caption = Text("\n".join([beneath, *unusual_controls(found), *reasons_of(cells)]), style="default")
    return table


def _folded(name: str) -> str:
    """A name in lines, broken at its hyphens."""
    return name.replace("-", "\n")


def _marked(found: Findings, cell: Cell) -> str:
    return UNTOLD if cell.success is None else f"{cell.mark} {_level(found, cell.success)}"


def _level(found: Findings, success: Interval) -> str:
    """A success without its interval, as the attack's unit has it."""
    return f"{100 * success.value:.0f}" if found.success.share else f"{success.value:.2f}"


def _strongest(found: Findings, victims: Victims) -> str:
    name = victims.strongest
    success = victims.arms[name].success if name else None
    return UNTOLD if success is None else f"{_level(found, success)} {SHORT[name]}"


def _alarms(cells: Sequence[Cell], name: str) -> str:
    return span_of_alarms([cell for cell in cells if cell.defence == name], "–") or UNTOLD


def _seconds(cells: Sequence[Cell], name: str) -> str:
    known = [cell.seconds for cell in cells if cell.defence == name and cell.seconds is not None]
    return formats.seconds(max(known)) if known else UNTOLD


def _costs(matrix: Matrix, cells: Sequence[Cell]) -> Table:
    """What it costs to serve each attack's request, as a share of one retraining."""
    table = _empty("cost of serving the attack's request, in shares of a retraining")
    table.add_column("method", no_wrap=True)
    for found in matrix.attacks:
        table.add_column(_folded(found.name), justify="right", no_wrap=True)
    costs = {(cell.attack, cell.method): cell.cost for cell in cells if not cell.defence}
    for method in matrix.methods:
        own = (formats.compute(costs.get((found.name, method))) for found in matrix.attacks)
        table.add_row(formats.on_lines(method), *own)
    return table


def _empty(title: str) -> Table:
    return Table(
        title=Text(title, style="bold"),
        title_justify="left",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        show_edge=False,
    )
