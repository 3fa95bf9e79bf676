"""A usability attack in the terminal: what removal costs, who notices, and answers in words."""

from collections.abc import Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from expunge.attacks.controls import INFLUENTIAL, MEMORISED, RANDOM
from expunge.attacks.removal import ATTACK, RETRAINING
from expunge.records import Score
from expunge.reports.summaries import Interval
from expunge.reports.tables import formats
from expunge.reports.usability.answers import answers
from expunge.reports.usability.findings import REQUESTS, TITLES, Findings, Seen, Served, read_findings

SHORT = {ATTACK: "the attack's", RANDOM: "random", INFLUENTIAL: "most\ninfluential", MEMORISED: "most\nmemorised"}
LEGEND = (
    "Points: of test accuracy, lost by the removal; [95 % interval over models], paired model by model but for "
    "retraining. random: mean over the draws. Last column: what the attack's records cost more; its interval is where "
    "one more random draw would lie, so * (it differs from 0 at 5 %, Holm-corrected over the methods) says that the "
    "attack stands out among random sets. retraining is exact removal: what it loses, the data was worth. "
    "influential: whose presence raises the mean test margin most; memorised: whose own margin gains most from being "
    "trained on; – where a suite has no models on random halves to measure that. dedicated: the attack's records are a "
    "batch of their own in every epoch, and so is each control; isolated: so, and without momentum.",
    "AUROC: how often, in %, the attack's request looks more suspicious than an honest one of the same size; 50 by "
    "guessing, far below 50 where it looks too ordinary.",
)


def render_usability(scores: Sequence[Score]) -> list[Table | Text]:
    """A table for each batching, those of forgetting and of the defences, and the answers; for 80 columns and more."""
    found = read_findings(scores)
    tables = [
        *(_served_table(found, batching) for batching in found.served),
        *(_rounds_table(found, batching) for batching in found.rounds),
        _forgetting_table(found),
        _defence_table(found.seen),
    ]
    legend = LEGEND if found.seen else LEGEND[:-1]
    parts: list[Table | Text] = [*(table for table in tables if table.row_count), *(Text(line) for line in legend)]
    parts += [Text.assemble((question, "bold"), "\n", answer) for question, answer in answers(found)]
    return [piece for part in parts for piece in (part, Text())][:-1]  # a blank line between any two


def _empty(title: str) -> Table:
    return Table(
        title=Text(title, style="bold"),
        title_justify="left",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        padding=0,
        show_edge=False,
    )


def _served_table(found: Findings, batching: str) -> Table:
    share = f"{100 * found.share:.1f} % of the data, in {100 * found.met.get(batching, 0):.0f} % of the updates"
    table = _empty(
        f"{batching} batches, {found.models} models: points lost by removing {found.records} records, {share}"
    )
    table.add_column("method", overflow="fold", min_width=15)
    for request in REQUESTS:
        table.add_column(SHORT[request], justify="right", no_wrap=True, min_width=11)
    table.add_column("attack −\nrandom", justify="right", no_wrap=True, min_width=11)
    rows = found.served[batching]
    for row in rows:
        table.add_row(*_served_cells(row), end_section=row.method == RETRAINING)
    failed = [f"{row.method} failed: {row.reason}" for row in rows if row.reason]
    table.caption = Text("\n".join(failed), style="default") if failed else None
    return table


def _served_cells(row: Served) -> list[Text]:
    more = row.excess.get("random")
    mark = "*" if row.differs and row.method != RETRAINING else ""
    cells = [_points(row.drops.get(request)) for request in REQUESTS]
    return [Text(row.method), *cells, _points(more, mark)]


def _points(cell: Interval | None, mark: str = "") -> Text:
    """Percentage points above, their interval below."""
    if cell is None:
        return Text(formats.ABSENT)
    return Text(f"{lost(cell.value)}{mark}\n{lost_between(cell)}")


def lost(value: float) -> str:
    """Percentage points.

    >>> lost(0.205), lost(-0.0004)
    ('20.5', '0.0')
    """
    return f"{round(100 * value, 1) + 0.0:.1f}".replace("-", "−")


def lost_between(cell: Interval, comma: str = ",") -> str:
    """The interval of :func:`lost`; a page has room for a space behind the ``comma``, a terminal has not.

    >>> lost_between(Interval(0.01, -0.005, 0.025))
    '[−0.5,2.5]'
    """
    return "" if cell.low is None or cell.high is None else f"[{lost(cell.low)}{comma}{lost(cell.high)}]"


def _rounds_table(found: Findings, batching: str) -> Table:
    table = _empty(f"{batching} batches: test accuracy, %, after each round")
    table.add_column("method, records", min_width=30)
    requests = found.rounds[batching]
    for number in range(max(len(cells) for methods in requests.values() for cells in methods.values())):
        table.add_column(str(number + 1), justify="right", no_wrap=True)
    for method in dict.fromkeys(method for methods in requests.values() for method in methods):
        for request, methods in requests.items():
            accuracies = [f"{100 * cell.value:.1f}" for cell in methods.get(method, ())]
            table.add_row(f"{method}, {TITLES[request]}", *accuracies)
    return table


def _forgetting_table(found: Findings) -> Table:
    table = _empty("what there is to forget, and steps of ascent until it is forgotten as by retraining")
    table.add_column("batches, records", min_width=27)
    for name, width in (("loss, nats\nvictims", 10), ("\noracles", 8), ("steps\n(median)", 15), ("points\nlost", 15)):
        table.add_column(name, justify="right", no_wrap=True, min_width=width)
    for batching, requests in found.forgetting.items():
        for request, each in requests.items():
            losses = [f"{cell.value:.2g}" for cell in (each.victims, each.oracles)]
            points = f"{lost(each.lost.value)} {lost_between(each.lost)}"
            table.add_row(f"{batching}, {TITLES[request]}", *losses, steps_in_words(each.steps), points)
    late = [
        f"{batching}, {TITLES[request]}: {each.late}"
        for batching, requests in found.forgetting.items()
        for request, each in requests.items()
        if each.late
    ]
    table.caption = Text("\n".join(late), style="default") if late else None
    return table


def steps_in_words(cell: Interval) -> str:
    """Steps with their interval.

    >>> steps_in_words(Interval(47.2, 26.0, 68.4))
    '47 [26, 68]'
    """
    between = "" if cell.low is None or cell.high is None else f" [{cell.low:.0f}, {cell.high:.0f}]"
    return f"{cell.value:.0f}{between}"


def _defence_table(seen: Sequence[Seen]) -> Table:
    table = _empty("who notices, by requests and by records: AUROC, and % caught at 1 % of false alarms")
    table.add_column("defence", min_width=22)
    for name in ("request\nAUROC", "\ncaught", "record\nAUROC", "\ncaught"):
        table.add_column(name, justify="right", no_wrap=True, min_width=13)
    for each in seen:
        cells = [cell for pair in (each.requests, each.records) for cell in (pair or (None, None))]
        table.add_row(each.name, *(Text(whole_percent(cell)) for cell in cells))
    return table


def whole_percent(cell: Interval | None) -> str:
    """A share in whole per cent, with its interval.

    >>> whole_percent(Interval(0.884, 0.829, 0.938)), whole_percent(None)
    ('88 [83, 94]', '–')
    """
    if cell is None:
        return formats.ABSENT
    between = "" if cell.low is None or cell.high is None else f" [{100 * cell.low:.0f}, {100 * cell.high:.0f}]"
    return f"{100 * cell.value:.0f}{between}"
