"""The command that tells which threats there are to unlearning, and what was measured of each."""

from typing import Annotated

import typer
from rich.table import Table

from expunge.cli.application import OK, Reader, app
from expunge.cli.options import AsJson
from expunge.printed_tables import print_table
from expunge.terminal import out, print_json, print_line, print_text

_KEY = 14  # columns


@app.command(cls=Reader, epilog="Example: expunge threats preconditioned")
def threats(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[FAMILY|NAME]",
            help="A family (model-discrepancy, knowledge-dependency, direct, preconditioned, side-effects, beyond), a "
            "threat, or an attack; without it, all in short.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """List the threats to unlearning of a survey: the attack that plays each, what was measured, and the defences."""
    from expunge.reports.threats.rows import chosen, facts
    from expunge.reports.threats.tables import in_full, overview

    found = chosen(name)
    if as_json:
        print_json([facts(key, row) for key, row in found.items()])
    elif name is None:
        for part in overview(found):
            print_table(part) if isinstance(part, Table) else out.print(part)
    else:
        for place, (key, row) in enumerate(found.items()):
            if place:
                print_line("")
            for label, told in in_full(key, row):
                print_text(f"{label:<{_KEY}} {told}", hang=_KEY + 1)
    return OK
