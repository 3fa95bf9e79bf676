"""The command that scores methods against oracles."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from expunge.cli.application import Command, app
from expunge.cli.options import (
    AsJson,
    Budget,
    Classic,
    Cluster,
    Metrics,
    Models,
    Oracles,
    Prune,
    Seed,
    Settings,
    SettingsFiles,
    Suite,
    Timeout,
    Tuning,
    Workers,
    exit_code,
    load,
    place_of_work,
    settings_of,
    share_of,
)
from expunge.cli.printing import print_decided, print_scores, sizes_of
from expunge.terminal import ProgressLine, duration, say

if TYPE_CHECKING:
    from expunge.bench.plan import BenchPlan
    from expunge.bench.until_decided import Decided
    from expunge.records import Score

Methods = Annotated[
    list[str] | None,
    typer.Option(
        "--method", help="A method, or file.py:function; repeat; all, the default: those that have what they need."
    ),
]
UntilDecided = Annotated[
    bool,
    typer.Option(
        "--until-decided", help="Add models in rounds, up to --models, until every two ranked rows are told apart."
    ),
]
KeepWeights = Annotated[
    bool, typer.Option("--keep-weights", help="Keep the weights of the unlearned models in the store.")
]


@app.command(
    cls=Command, epilog="Example: expunge bench digits --method scrub --set scrub.lr=0.02 --forget-set random-50"
)
def bench(
    suite: Suite = "digits",
    method: Methods = None,
    set_: Settings = None,
    settings: SettingsFiles = None,
    forget_set: Annotated[list[str] | None, typer.Option(help="A forget set; repeat for more; default: all.")] = None,
    models: Models = None,
    oracles: Oracles = None,
    until_decided: UntilDecided = False,
    tuning: Tuning = "tuned",
    budget: Budget = "15%",
    metric: Metrics = None,
    seed: Seed = 0,
    prune: Prune = None,
    out_: Annotated[Path, typer.Option("--out", help="Folder for records, arrays and report.")] = Path("out"),
    workers: Workers = None,
    cluster: Cluster = None,
    classic: Classic = False,
    keep_weights: KeepWeights = False,
    timeout: Timeout = None,
    as_json: AsJson = False,
) -> int:
    """Score unlearning methods against oracles; write a report."""
    from expunge.bench.plan import plan_bench
    from expunge.methods.settings_files import read_settings
    from expunge.metrics import default_metrics
    from expunge.reports import report as write_report

    loaded, where = load(suite, prune), place_of_work(workers, cluster)
    filed = read_settings(settings or [], method)
    plan = plan_bench(
        loaded,
        method or None,
        forget_set,
        models=min(100, loaded.models // 2) if models is None else models,
        oracles=oracles,
        settings=filed.under(settings_of(set_ or [], method)),
        searches=filed.searches,
        tuning=tuning,
        budget=share_of(budget),
        seed=seed,
        metrics=list(dict.fromkeys([*default_metrics(classic=classic), *(metric or [])])),
        keep_weights=keep_weights,
        timeout=timeout,
    )
    scores, decided = (_decide if until_decided else _score)(plan, out_, where, as_json)
    pages = [write_report(folder) for folder in (decided.tables if decided else [out_])]
    sizes = sizes_of(loaded, [forget.name for forget in plan.forget_sets])
    print_scores(scores, as_json, classic=classic, metrics=metric or (), sizes=sizes)
    if decided:
        print_decided(decided, as_json)
    say(f"records: {out_ / 'scores.jsonl'}, report: {pages[0]}")
    return exit_code(scores)


def _score(plan: "BenchPlan", out: Path, where: int | str, _: bool) -> "tuple[list[Score], None]":
    from expunge.bench.run import require_place, run_bench

    require_place(plan, out)
    _foretell(plan, where)
    with ProgressLine("bench", whole=True) as watch:
        return run_bench(plan, out, workers=where, watch=watch, command=_typed()), None


def _decide(plan: "BenchPlan", out: Path, where: int | str, of_all: bool) -> "tuple[list[Score], Decided]":
    """In rounds; the scores are those of rows that ran on among themselves too, or not."""
    from expunge.bench.until_decided import require_a_place, run_until_decided

    require_a_place(plan, out)
    _foretell(plan, where)
    with ProgressLine("bench") as watch:
        decided = run_until_decided(plan, out, workers=where, watch=watch, command=_typed())
    return decided.all_scores if of_all else decided.scores, decided


def _typed() -> str:
    """The command, as it was typed."""
    return " ".join(["expunge", *sys.argv[1:]])


def _foretell(plan: "BenchPlan", where: int | str) -> None:
    """Say which settings are taken, whether so few models tell much, and how long it will take."""
    from expunge.methods.tuned import in_words, kind_in_words
    from expunge.reports.readings import FEW

    tuned = [(task.name, task.tuning) for task in plan.tasks if task.tuning]
    if tuned:  # anchors and methods of one's own have none
        say(in_words(tuned))
    if any(label.startswith("tuned") for _, label in tuned):
        for forget in plan.forget_sets:
            if line := kind_in_words(forget):
                say(line)
    if plan.models <= FEW:
        say(f"with {plan.models} models the floor lies so high that only large effects can be told; take 50 or 100")
    say(_estimate(plan, plan.seconds(where)))


def _estimate(plan: "BenchPlan", seconds: float) -> str:
    sets = len(plan.forget_sets)
    size = f"{len(plan.tasks) // sets} methods on {sets} forget set{'s' if sets > 1 else ''}, about {duration(seconds)}"
    if not plan.untimed:
        return size
    first = plan.tasks[0].chunks(range(plan.models))[0]
    return (
        f"{size} and what {', '.join(plan.untimed)} takes: not known before {len(first)} models of it are done, which "
        "the time left then goes by"
    )
