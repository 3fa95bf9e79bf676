"""How many models a question needs, before they are trained."""

from pathlib import Path
from typing import Annotated

import typer

from expunge.cli.application import OK, Reader, app
from expunge.cli.options import AsJson, ForgetSets, Prune, Suite, load
from expunge.cli.printing import print_enough
from expunge.terminal import print_json


@app.command(cls=Reader, epilog="Example: expunge plan digits --gap 5% --forget-set subclass-50")
def plan(
    suite: Suite,
    gap: Annotated[
        str,
        typer.Option(
            help="The gap to see: 0.2, in sd of the oracles, or 5%, of the way from doing nothing to the floor."
        ),
    ],
    forget_set: ForgetSets = None,
    cost: Annotated[str, typer.Option(help="Cost of unlearning one model, as a share of one retraining.")] = "15%",
    methods: Annotated[int, typer.Option(help="Number of methods that share the oracles.")] = 2,
    bench: Annotated[
        Path | None, typer.Option(help="Measure on the methods of this --out folder how much pairing helps.")
    ] = None,
    prune: Prune = None,
    as_json: AsJson = False,
) -> int:
    """Say how many models and oracles it takes to see a gap.

    The gap is between two methods, or between a method and the oracle; the power is 95 % at the 5 % level.
    """
    from dataclasses import asdict

    from expunge.bench.enough import Gap, models_needed, number_or_share

    wanted = Gap.parse(gap)
    share, _ = number_or_share(cost, "a cost", "15%")
    found = models_needed(load(suite, prune), wanted, forget_set, cost=share, methods=methods, bench=bench)
    print_json([asdict(each) for each in found]) if as_json else print_enough(found, share, methods, bench)
    return OK
