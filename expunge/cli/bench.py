"""Commands that score, tune, and show what was scored."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from expunge.cli.application import FAILED_ROWS, OK, USER_ERROR, Command, app
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
from expunge.cli.printing import (
    print_decided,
    print_lab,
    print_matrix,
    print_scores,
    print_search,
    print_usability,
    say_what_lacks,
    sizes_of,
)
from expunge.terminal import ProgressLine, duration, print_json, print_line, say

if TYPE_CHECKING:
    from expunge.bench.plan import BenchPlan
    from expunge.bench.until_decided import Decided
    from expunge.records import Score


@app.command(
    cls=Command, epilog="Example: expunge bench digits --method scrub --set scrub.lr=0.02 --forget-set random-50"
)
def bench(
    suite: Suite = "digits",
    method: Annotated[
        list[str] | None,
        typer.Option(help="A method, or file.py:function; repeat; all, the default: those that have what they need."),
    ] = None,
    set_: Settings = None,
    settings: SettingsFiles = None,
    forget_set: Annotated[list[str] | None, typer.Option(help="A forget set; repeat for more; default: all.")] = None,
    models: Models = None,
    oracles: Oracles = None,
    until_decided: Annotated[
        bool,
        typer.Option(
            "--until-decided", help="Add models in rounds, up to --models, until every two ranked rows are told apart."
        ),
    ] = False,
    tuning: Tuning = "tuned",
    budget: Budget = "15%",
    metric: Metrics = None,
    seed: Seed = 0,
    prune: Prune = None,
    out_: Annotated[Path, typer.Option("--out", help="Folder for records, arrays and report.")] = Path("out"),
    workers: Workers = None,
    cluster: Cluster = None,
    classic: Classic = False,
    keep_weights: Annotated[
        bool, typer.Option("--keep-weights", help="Keep the weights of the unlearned models in the store.")
    ] = False,
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
    loaded = load_suite(suite)
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
            workers=place_of_work(workers, cluster),
            watch=watch,
        )
    if out_:
        write_search(out_, found)
        say(f"record: {out_}, which a bench takes by --settings {out_}")
    print_json(asdict(found)) if as_json else print_search(found, suite)
    return OK if found.frontier else FAILED_ROWS


@app.command(cls=Command, epilog="Example: expunge score digits random-50 margins.npy --name my-method")
def score(
    suite: Suite,
    forget_set: Annotated[str, typer.Argument(help="Name of one of its forget sets.")],
    margins: Annotated[
        Path, typer.Argument(help="A .npy of (models, examples), 2 models or more, or a folder with one .npy a model.")
    ],
    name: Annotated[str, typer.Option(help="What to call the row.")] = "yours",
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


@app.command(cls=Command, epilog="Example: expunge report out")
def report(
    folder: Annotated[Path, typer.Argument(help="The --out folder of a bench or of an attack.")],
    classic: Annotated[bool, typer.Option("--classic", help="Also print classic scores.")] = False,
    metric: Annotated[list[str] | None, typer.Option(help="Also print this metric of the records; repeat.")] = None,
    as_json: AsJson = False,
) -> int:
    """Write report.html again from the records of a bench or an attack, and print their tables."""
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


@app.command(cls=Command, epilog="Example: expunge leaderboard results --add out --readme README.md")
def leaderboard(
    results: Annotated[Path, typer.Argument(help="Folder of records, SUITE/FORGET_SET/METHOD.json.")],
    add: Annotated[
        list[Path] | None,
        typer.Option(help="The --out folder of a bench to add first, with all rows that its forget sets have; repeat."),
    ] = None,
    readme: Annotated[
        Path | None, typer.Option(help="Also write the top of it between the markers in this file.")
    ] = None,
) -> int:
    """Rank methods over all forget sets of a folder of results.

    Writes README.md of the folder anew: who stands where, over all forget sets and on each.
    """
    from expunge.reports.leaderboard.pages import front_block, read_page, results_page, with_block
    from expunge.reports.leaderboard.records import collect
    from expunge.store import write_file

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


def _estimate(plan: "BenchPlan", seconds: float | None) -> str:
    sets = len(plan.forget_sets)
    size = f"{len(plan.tasks) // sets} methods on {sets} forget set{'s' if sets > 1 else ''}"
    return f"{size}, " + ("of unknown duration" if seconds is None else f"about {duration(seconds)}")
