"""Studies: questions about the measure itself, answered by measurement, as a page."""

from pathlib import Path
from typing import Annotated

import typer

from expunge.cli.application import OK, Command, app
from expunge.terminal import ProgressLine, print_line


@app.command(cls=Command, epilog="Example: expunge study metrics --out results")
def study(
    name: Annotated[
        str,
        typer.Argument(
            help="metrics: which distance orders and tells apart; cheats: what wins by which score; tuning: what "
            "searches for settings found."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder for the page, and for its numbers as JSON.")] = Path("out/studies"),
) -> int:
    """Study the measure itself, and write a page about it."""
    from expunge.errors import lookup
    from expunge.reports.studies.by_name import STUDIES

    chosen = lookup("study", name, STUDIES)
    with ProgressLine(f"study {name}") as watch:
        page = chosen(out, watch)
    print_line(f"page: {page}")
    return OK
