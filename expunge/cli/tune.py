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
    kind: Annotated[str, typer.Option(help="Kind of the forget sets that the settings are for.")] = "random",
    trials: Annotated[int, typer.Option(help="How many settings are tried that do not fail.")] = 20,
    sampler: Annotated[str, typer.Option(help="random, or optuna where it is installed.")] = "random",
    seed: Annotated[int, typer.Option(help="Seed of the search: the same seed, the same trials.")] = 0,
    start: Annotated[str, typer.Option(help="A suite whose tuned settings are tried too, among the first.")] = "",
    models: Annotated[int | None, typer.Option(help="Pretrained models that are unlearned; default: 20.")] = None,
    oracles: Annotated[
        int | None, typer.Option(help="Oracles of the tuning set; default: half of what the suite has.")
    ] = None,
    limit: Annotated[str, typer.Option(help="Share of one retraining that a method may cost.")] = "100%",
    timeout: Timeout = None,
    out_: Annotated[Path | None, typer.Option("--out", help="File for the record of the search, JSON.")] = None,
    workers: Workers = None,
    cluster: Cluster = None,
    as_json: AsJson = False,
) -> int:
    """Search the settings of METHOD that come nearest to oracles, at every cost up to that of a retraining.

    It looks at no forget set, model or oracle that a bench of SUITE scores, and trains oracles of its own first, once.
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
