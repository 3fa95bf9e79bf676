"""The command that scores margins that were made elsewhere."""

from pathlib import Path
from typing import Annotated

import typer

from expunge.cli.application import Command, app
from expunge.cli.options import AsJson, Classic, Metrics, Prune, Suite, exit_code, load
from expunge.cli.printing import print_scores, sizes_of
from expunge.terminal import ProgressLine, say


@app.command(cls=Command, epilog="Example: expunge score digits random-50 margins.npy --name my-method")
def score(
    suite: Suite,
    forget_set: Annotated[str, typer.Argument(help="Name of one of its forget sets.")],
    margins: Annotated[
        Path,
        typer.Argument(
            help="A .npy of shape (models, examples), 2 models or more, or a folder with one .npy per model."
        ),
    ],
    name: Annotated[str, typer.Option(help="Name of the row.")] = "yours",
    metric: Metrics = None,
    prune: Prune = None,
    out_: Annotated[Path | None, typer.Option("--out", help="Also write records and report to this folder.")] = None,
    classic: Classic = False,
    as_json: AsJson = False,
) -> int:
    """Score margins that were made elsewhere.

    One row per model; one column per example, all train examples in order, then all test examples.
    """
    from expunge.bench.external_margins import score_margins

    loaded, wanted = load(suite, prune), metric or ()
    with ProgressLine("score") as watch:
        scores = score_margins(
            loaded, forget_set, margins, name=name, out=out_, classic=classic, metrics=wanted, watch=watch, say=say
        )
    if out_:
        from expunge.reports import report as write_report

        say(f"report: {write_report(out_)}")
    print_scores(scores, as_json, classic=classic, metrics=metric or (), sizes=sizes_of(loaded, [forget_set]))
    return exit_code(scores)
