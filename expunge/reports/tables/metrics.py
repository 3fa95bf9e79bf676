"""Any metrics of the table by name, one line a number: what the other tables have no column for."""

from collections.abc import Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from expunge.records import Score
from expunge.reports.tables import formats


def render_metrics(scores: Sequence[Score], names: Sequence[str]) -> list[Table]:
    """One table per forget set with the numbers of the metrics ``names``; absent where nothing was told."""
    wanted = [score for score in scores if score.metric in names and score.value is not None]
    sets = dict.fromkeys(score.subject.forget_set for score in scores)
    return [_table(name, [score for score in wanted if score.subject.forget_set == name]) for name in sets]


def _table(forget_set: str, scores: Sequence[Score]) -> Table:
    table = Table(
        title=Text(f"{forget_set}: {'metrics' if scores else 'nothing told by these metrics'}", style="bold"),
        title_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        show_edge=False,
    )
    table.add_column("method", overflow="fold")
    table.add_column("metric", overflow="fold")
    table.add_column("split")
    for name in ("value", "95 % interval", "oracles"):
        table.add_column(name, justify="right", no_wrap=True)
    for score in scores:
        table.add_row(
            score.subject.method,
            f"{score.metric} {score.aggregate}",
            score.split,
            _number(score.value),
            f"[{_number(score.low)}, {_number(score.high)}]",
            _number(score.oracle),
        )
    return table


def _number(value: float | None) -> str:
    """
    >>> _number(0.123456), _number(None)
    ('0.1235', '–')
    """
    return formats.ABSENT if value is None else f"{value:.4g}"
