"""The command that searches settings."""

from pathlib import Path
from typing import Annotated

import typer

from expunge.cli.application import FAILED_ROWS, OK, Command, app
from expunge.cli.options import AsJson, Cluster, Suite, Timeout, Workers, place_of_work, share_of
from expunge.cli.printing import print_search
from expunge.terminal import ProgressLine, print_json, say


@app.command(cls=Command, epilog="Example: expunge tune scrub digits --kind class --out scrub.json")
def tune(
    method: Annotated[str, typer.Argument(help="A method that has settings to search.")],
    suite: Suite = "digits",
    kind: Annotated[str, typer.Option(help="Kind of forget set to find settings for.")] = "random",
    trials: Annotated[int, typer.Option(help="Number of trials that count; failed ones are replaced.")] = 20,
    sampler: Annotated[str, typer.Option(help="random, or optuna where it is installed.")] = "random",
    seed: Annotated[int, typer.Option(help="Seed of the search; the same seed gives the same trials.")] = 0,
    start: Annotated[
        str, typer.Option(help="Also try, early on, what was found for this suite, within --limit or cheapest.")
    ] = "",
    models: Annotated[int | None, typer.Option(help="Number of pretrained models to unlearn; default: 20.")] = None,
    oracles: Annotated[
        int | None,
        typer.Option(
            help="Number of oracles of the tuning set, trained in whole chunks of the suite's; default: half of the "
            "suite's."
        ),
    ] = None,
    limit: Annotated[str, typer.Option(help="Largest share of one retraining that a trial may cost.")] = "100%",
    timeout: Timeout = None,
    out_: Annotated[
        Path | None, typer.Option("--out", help="File to write the record of the search to, as JSON.")
    ] = None,
    workers: Workers = None,
    cluster: Cluster = None,
    as_json: AsJson = False,
) -> int:
    """Search for the settings of METHOD that come nearest to the oracles, for every cost up to a retraining.

    The search looks at no forget set, model or oracle that a bench of SUITE scores. It first trains oracles of its own,
    once.
    """
    from dataclasses import asdict

    from expunge.methods import find_method
    from expunge.methods.searches import require_writable, write_search
    from expunge.suites import load_suite
    from expunge.tuning.search import tune as run

    find_method(method)
    loaded, where = load_suite(suite), place_of_work(workers, cluster)
    if out_:
        require_writable(out_)
    with ProgressLine("tune") as watch:
        found = run(
            method,
            loaded,
            kind=kind,
            trials=trials,
            sampler=sampler,
            seed=seed,
            start=start,
            models=models,
            oracles=oracles,
            limit=share_of(limit, "--limit"),
            timeout=timeout,
            workers=where,
            watch=watch,
            say=say,
        )
    if out_:
        write_search(out_, found)
        say(f"record: {out_}, which a bench takes by --settings {out_}")
    print_json(asdict(found)) if as_json else print_search(found, suite)
    return OK if found.frontier else FAILED_ROWS
