"""The matrix attack x verifier on a terminal: who passes whom."""

from collections.abc import Sequence
from typing import Any

from rich import box
from rich.table import Table


def passes_table(entries: Sequence[dict[str, Any]]) -> Table:
    """A line for each provider: the share of its proofs that each verifier lets pass, in per cent."""
    proven = [each for each in entries if "passes" in each]
    table = Table(
        "provider",
        title="proofs that pass, in %",
        title_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        show_edge=False,
    )
    for verifier in proven[0]["passes"]:
        table.add_column(verifier, justify="right", min_width=8)
    for each in proven:
        table.add_row(each["attack"], *(f"{100 * share[0]:.0f}" for share in each["passes"].values()))
    return table
