"""Commands that show what was scored: of one folder, and of all that were collected."""

from pathlib import Path
from typing import Annotated

import typer

from expunge.cli.application import OK, USER_ERROR, Reader, app
from expunge.cli.options import AsJson
from expunge.cli.printing import print_lab, print_matrix, print_scores, print_usability, say_what_lacks
from expunge.terminal import print_json, print_line


@app.command(cls=Reader, epilog="Example: expunge report out")
def report(
    folder: Annotated[Path, typer.Argument(help="The --out folder of a bench or of an attack.")],
    classic: Annotated[bool, typer.Option("--classic", help="Also print classic scores.")] = False,
    metric: Annotated[
        list[str] | None, typer.Option(help="Also print this metric, if the records have it; repeat.")
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Write report.html again from the records of a bench or an attack, and print the tables."""
    from expunge.bench.folder import missing_arrays
    from expunge.bench.run_info import RUN, read_run
    from expunge.errors import lookup
    from expunge.metrics import METRICS
    from expunge.records import read_scores
    from expunge.reports import report as write_report
    from expunge.reports.attacks import is_matrix, is_of_lab, report_attack, report_matrix
    from expunge.reports.usability import is_usability, report_usability

    for name in metric or ():
        lookup("metric", name, METRICS)
    records = folder / "scores.jsonl"
    scores = read_scores(records) if records.is_file() else []
    of_attack, of_lab, of_matrix = is_usability(scores), is_of_lab(scores), is_matrix(scores)
    of_one = report_attack if of_lab else report_usability if of_attack else write_report
    write = report_matrix if of_matrix else of_one
    page = write(folder)
    say_what_lacks(scores)
    run = read_run(folder / RUN)
    code = USER_ERROR if missing_arrays(folder, scores, run) else OK
    if as_json:
        print_json({"report": str(page)})
    elif of_attack or of_lab:
        (print_matrix if of_matrix else print_lab if of_lab else print_usability)(scores, as_json)
        print_line(str(page))
    else:
        print_scores(scores, as_json, classic=classic, metrics=metric or (), sizes=run.sizes)
        print_line(str(page))
    return code


@app.command(cls=Reader, epilog="Example: expunge leaderboard results --add out --readme README.md")
def leaderboard(
    results: Annotated[Path, typer.Argument(help="Folder of records, SUITE/FORGET_SET/METHOD.json.")],
    add: Annotated[
        list[Path] | None,
        typer.Option(help="First add all rows of this --out folder of a bench; repeat."),
    ] = None,
    readme: Annotated[
        Path | None, typer.Option(help="Also write the top of the table between the markers in this file.")
    ] = None,
) -> int:
    """Rank methods over all forget sets of a folder of results.

    It rewrites the folder's README.md, which ranks the methods over all forget sets and on each one.
    """
    from expunge.files import write_file
    from expunge.reports.leaderboard.front import front_block, read_page, with_block
    from expunge.reports.leaderboard.pages import results_page
    from expunge.reports.leaderboard.records import collect

    text = read_page(readme) if readme else ""
    for out in add or []:
        say_what_lacks(collect(out, results))
    page = results / "README.md"
    write_file(page, results_page(results))
    if readme:
        write_file(readme, with_block(text, front_block(results)))
    for path in (page, readme):
        if path:
            print_line(str(path))
    return OK
