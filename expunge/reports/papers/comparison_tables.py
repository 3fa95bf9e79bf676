"""Two methods side by side in the terminal, the examples on which they differ most, and the matrix of all pairs."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from expunge.bench.comparisons import Comparison, PairMatrix
from expunge.metrics.calibration import Difference
from expunge.reports.tables import formats

TOLD, UNIT = "*", "sd of the oracles"
PICKED = "The examples are picked by what they show, so their differences overstate what fresh models would show."


def render_comparison(found: Comparison) -> list[Table | str]:
    """The differences of each split and of their mean; then the examples, where some were asked for."""
    examples: list[Table | str] = [_examples(found), PICKED] if found.examples else []
    return [_differences(found), *_notes(found), *examples]


def _differences(found: Comparison) -> Table:
    table = _table(f"{found.forget_set}: distance of {found.first} less that of {found.second}, {UNIT}")
    table.add_column("split")
    for name in ("difference", "95 % interval", "p"):
        table.add_column(name, justify="right", no_wrap=True)
    for split, each in found.splits.items():
        table.add_row(split, *_cells(each))
    table.add_section()
    table.add_row("mean of the three, as in ranks", *_cells(found.mean))
    return table


def _notes(found: Comparison) -> list[str]:
    how = "paired" if found.paired else "not paired, for the two share no models"
    sizes = f"{found.models} models against {found.oracle_models} oracles, {how}"
    return [in_words(found), f"{sizes}; each p is of one test, corrected for no number of them."]


def in_words(found: Comparison) -> str:
    """Who is nearer, in a sentence."""
    p = p_value(found.mean.p_value)
    told = f"p {p}" if p.startswith("<") else f"p = {p}"
    if not found.nearer:
        return f"{found.first} and {found.second} cannot be told apart over the three splits ({told})."
    return f"{found.nearer} is nearer to the oracles over the three splits ({told})."


def _cells(each: Difference) -> list[str]:
    return [signed(each.value), f"[{signed(each.low)}, {signed(each.high)}]", p_value(each.p_value)]


def _examples(found: Comparison) -> Table:
    table = _table(f"{found.forget_set}: the examples on which they differ most")
    for name in ("split", "example", "label", found.first, found.second, "difference"):
        table.add_column(name, justify="left" if name == "split" else "right", overflow="fold")
    for each in found.examples:
        label = formats.ABSENT if each.label is None else str(each.label)
        numbers = formats.nats(each.first), formats.nats(each.second), signed(each.difference)
        table.add_row(each.split, str(each.example), label, *numbers)
    return table


def render_matrix(found: PairMatrix) -> list[Table | str]:
    """Each method of a row less that of a column, mean over the splits; those that are told apart are marked."""
    table = _table(f"{found.forget_set}: differences of the distance, mean over the splits, {UNIT}")
    table.add_column("method")
    for number, _ in enumerate(found.methods, start=1):
        table.add_column(str(number), justify="right", no_wrap=True)
    for number, row in enumerate(found.methods, start=1):
        table.add_row(f"{number} {row}", *(matrix_cell(found, row, column) for column in found.methods))
    legend = (
        "The method of the row less that of the column: below 0 the row is nearer to the oracles. "
        f"{TOLD} told apart at 5 %, paired, Holm-corrected for {len(found.pairs)} pairs; "
        f"{found.models} models against {found.oracle_models} oracles."
    )
    return [table, legend, *(f"Left out: {name}, {why}." for name, why in found.left_out.items())]


def matrix_cell(found: PairMatrix, row: str, column: str) -> str:
    """The difference of two methods, marked where they are told apart."""
    if row == column:
        return ""
    pair = found.pair(row, column)
    value = pair.mean.value if pair.first == row else -pair.mean.value
    return signed(value) + (TOLD if pair.nearer else "")


def _table(title: str) -> Table:
    return Table(
        title=Text(title, style="bold"),
        title_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        show_edge=False,
    )


def signed(value: float) -> str:
    """A difference with its sign.

    >>> signed(0.1234), signed(-0.001), signed(12.3)
    ('+0.12', '−0.001', '+12.30')
    """
    text = f"{value:+.2f}" if abs(value) >= 0.01 else f"{value:+.1g}"
    return text.replace("-", "−") if value else "0"


def p_value(p: float) -> str:
    """
    >>> p_value(0.04321), p_value(0.00001), p_value(1.0)
    ('0.043', '< 0.001', '1.000')
    """
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def as_values(found: Sequence[Comparison | PairMatrix]) -> list[dict[str, Any]]:
    """The same as plain values for JSON, with every digit."""
    return [asdict(each) | ({"nearer": each.nearer} if isinstance(each, Comparison) else {}) for each in found]
