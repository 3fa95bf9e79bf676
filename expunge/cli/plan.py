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
        str, typer.Option(help="What is to be told: 0.2, in sd of the oracles, or 5%, of the gap to doing nothing.")
    ],
    forget_set: ForgetSets = None,
    cost: Annotated[str, typer.Option(help="Of unlearning one model, as a share of one retraining.")] = "15%",
    methods: Annotated[int, typer.Option(help="So many methods share the oracles.")] = 2,
    bench: Annotated[
        Path | None, typer.Option(help="The --out folder of a bench, whose methods say what pairing leaves.")
    ] = None,
    prune: Prune = None,
    as_json: AsJson = False,
) -> int:
    """Say how many models and oracles tell a gap.

    With 95 % power at the 5 % level, two methods apart, and a method from the oracle.
    """
    from dataclasses import asdict

    from expunge.bench.enough import Gap, models_needed, number_or_share

    wanted = Gap.parse(gap)
    share, _ = number_or_share(cost, "a cost", "15%")
    found = models_needed(load(suite, prune), wanted, forget_set, cost=share, methods=methods, bench=bench)
    print_json([asdict(each) for each in found]) if as_json else print_enough(found, share, methods, bench)
    return OK
