"""The command: each one parses, calls one function, writes, prints."""

import os
import signal
import sys
import warnings
from pathlib import Path
from typing import Annotated, Any

import typer

from expunge.errors import BadSetting, ExpungeError
from expunge.records import Score
from expunge.terminal import (
    ProgressLine,
    duration,
    in_words,
    print_checks,
    print_json,
    print_line,
    print_ported,
    print_scores,
    print_search,
    say,
)

# Commands import what they need: torch takes a second, which --help need not wait for.
OK, USER_ERROR, FAILED_ROWS, INTERRUPTED = 0, 2, 3, 130
INTERRUPTED_SAYS = "expunge: interrupted; what was finished is kept, run the same command again to go on"


class _Commands(typer.core.TyperGroup):
    """The commands, whose errors end in one line and whose number is the exit code."""

    def invoke(self, ctx: Any) -> Any:
        try:
            code = super().invoke(ctx)
        except ExpungeError as error:
            say(f"expunge: {error}")
            code = USER_ERROR
        except KeyboardInterrupt:
            say(INTERRUPTED_SAYS)
            code = INTERRUPTED
        raise typer.Exit(code)


app = typer.Typer(
    name="expunge",
    cls=_Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
Suite = Annotated[str, typer.Argument(help="Name of a suite, or file.py:function.")]
ForgetSets = Annotated[list[str] | None, typer.Option("--forget-set", help="Of this forget set only; repeat.")]
Published = Annotated[str, typer.Option(help="The suite that the margins belong to.")]
Classic = Annotated[bool, typer.Option("--classic", help="Also print UA, RA, TA, MIA-efficacy, gaps and tug-of-war.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else on standard output.")]
Prune = Annotated[
    str | None, typer.Option(help="Of its sparse models: METHOD:SPARSITY with omp, imp or synflow, as omp:0.95.")
]
Workers = Annotated[int | None, typer.Option(help="Processes, one thread each; default: one a core.")]
Cluster = Annotated[
    str | None, typer.Option(help="A Dask scheduler, as tcp://HOST:PORT, whose workers see the same store.")
]


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"expunge {version('expunge')}")
        raise typer.Exit(OK)


@app.callback()
def _everywhere(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    """Know whether a machine-learning model has really forgotten."""


def main() -> None:
    """Entry point."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # of a batch system: ended as tidily as by Ctrl-C
    warnings.showwarning = lambda message, *_: say(f"expunge: {message}")  # one line, without where in the code
    try:
        app()
    except KeyboardInterrupt:  # before the command began
        say(INTERRUPTED_SAYS)
        sys.exit(INTERRUPTED)
    except BrokenPipeError:  # whoever read the output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains when it flushes
        sys.exit(OK)


@app.command(epilog="Example: expunge bench digits --method scrub --set scrub.lr=0.02 --forget-set random-50")
def bench(
    suite: Suite = "digits",
    method: Annotated[
        list[str] | None,
        typer.Option(help="A method, or file.py:function; repeat; all, the default: those that have what they need."),
    ] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="A setting, as METHOD.KEY=VALUE; repeat.")] = None,
    forget_set: Annotated[list[str] | None, typer.Option(help="A forget set; repeat for more; default: all.")] = None,
    models: Annotated[
        int | None,
        typer.Option(help="The first N pretrained models, against N oracles; default: 100, at most half of all."),
    ] = None,
    recipe: Annotated[
        str, typer.Option(help="Settings: tuned, those found for the suite where there are some, or default.")
    ] = "tuned",
    seed: Annotated[int, typer.Option(help="Seed of the methods' own chance.")] = 0,
    prune: Prune = None,
    out_: Annotated[Path, typer.Option("--out", help="Folder for records, arrays and report.")] = Path("out"),
    workers: Workers = None,
    cluster: Cluster = None,
    classic: Classic = False,
    as_json: AsJson = False,
) -> int:
    """Score unlearning methods against oracles; write a report."""
    from expunge.methods.recipes import in_words as recipes_in_words
    from expunge.metrics.bench import bench as run
    from expunge.metrics.bench import estimate_seconds, plan_tasks
    from expunge.reports import report as write_report
    from expunge.reports.rules import FEW

    loaded, where = _load(suite, prune), _where(workers, cluster)
    names = method or None
    models = min(100, loaded.models // 2) if models is None else models
    settings = _settings(set_ or [])
    tasks = plan_tasks(loaded, names, forget_set, models=models, settings=settings, recipe=recipe, seed=seed)
    recipes = {task.name: task.recipe for task in tasks if task.recipe}
    if recipes:  # anchors and methods of one's own have none
        say(recipes_in_words(loaded.name, recipes))
    if models <= FEW:
        say(f"with {models} models the floor lies near 4 nats or above, where little can be told; take 50 or 100")
    say(_estimate(tasks, estimate_seconds(tasks, models, where)))
    with ProgressLine("bench") as watch:
        scores = run(
            loaded,
            names,
            forget_set,
            models=models,
            settings=settings,
            recipe=recipe,
            seed=seed,
            out=out_,
            workers=where,
            watch=watch,
            command=" ".join(["expunge", *sys.argv[1:]]),
        )
    page = write_report(out_)
    print_scores(scores, as_json, classic=classic)
    say(f"records: {out_ / 'scores.jsonl'}, report: {page}")
    return _code(scores)


@app.command(epilog="Example: expunge tune scrub digits --budget 24 --out scrub.json")
def tune(
    method: Annotated[str, typer.Argument(help="A method that has settings to search.")],
    suite: Suite = "digits",
    budget: Annotated[int, typer.Option(help="How many settings are tried, the defaults among them.")] = 24,
    sampler: Annotated[str, typer.Option(help="random, or optuna where it is installed.")] = "random",
    seed: Annotated[int, typer.Option(help="Seed of the search: the same seed, the same trials.")] = 0,
    start: Annotated[str, typer.Option(help="A suite whose recipe is trial 1, after the defaults.")] = "",
    models: Annotated[int | None, typer.Option(help="Pretrained models that are unlearned; default: 20.")] = None,
    oracles: Annotated[
        int | None, typer.Option(help="Oracles of each tuning set; default: half of what the suite has.")
    ] = None,
    limit: Annotated[float, typer.Option(help="Share of one retraining that a method may cost.")] = 0.15,
    out_: Annotated[Path | None, typer.Option("--out", help="File for the record of the search, JSON.")] = None,
    workers: Workers = None,
    cluster: Cluster = None,
    as_json: AsJson = False,
) -> int:
    """Search the settings of METHOD that come nearest to oracles.

    It looks at no forget set, model or oracle that a bench of SUITE scores.
    """
    from dataclasses import asdict

    from expunge.methods import find_method
    from expunge.methods.recipes import require_writable, write_search
    from expunge.metrics.tuning import tune as run
    from expunge.suites import load_suite

    find_method(method)
    loaded = load_suite(suite)
    if out_:
        require_writable(out_)
    with ProgressLine("tune") as watch:
        found = run(
            method,
            loaded,
            budget=budget,
            sampler=sampler,
            seed=seed,
            start=start,
            models=models,
            oracles=oracles,
            limit=limit,
            workers=_where(workers, cluster),
            watch=watch,
        )
    if out_:
        write_search(out_, found)
        say(f"record: {out_}")
    print_json(asdict(found)) if as_json else print_search(found, suite)
    return OK if found.chosen else FAILED_ROWS


@app.command(epilog="Example: expunge score digits random-50 margins.npy --name my-method")
def score(
    suite: Suite,
    forget_set: Annotated[str, typer.Argument(help="Name of one of its forget sets.")],
    margins: Annotated[
        Path, typer.Argument(help="A .npy of (models, examples), 2 models or more, or a folder with one .npy a model.")
    ],
    name: Annotated[str, typer.Option(help="What to call the row.")] = "yours",
    prune: Prune = None,
    out_: Annotated[Path | None, typer.Option("--out", help="Also write records and report to this folder.")] = None,
    as_json: AsJson = False,
) -> int:
    """Score margins that were made elsewhere.

    One row per model; one column per example, all train examples in order, then all test examples.
    """
    from expunge.metrics import score_margins

    scores = score_margins(_load(suite, prune), forget_set, margins, name=name, out=out_)
    if out_:
        from expunge.reports import report as write_report

        say(f"report: {write_report(out_)}")
    print_scores(scores, as_json)
    return _code(scores)


@app.command("list", epilog="Example: expunge list methods --json")
def list_(
    kind: Annotated[str | None, typer.Argument(help="suites, methods, metrics or forget-sets; default: all.")] = None,
    as_json: AsJson = False,
) -> int:
    """List what there is."""
    from expunge.reports.catalogue import KINDS, catalogue

    kinds = [kind] if kind else list(KINDS)
    found = {name: catalogue(name) for name in kinds}
    if as_json:
        print_json(found[kind] if kind else found)
        return OK
    for name, entries in found.items():
        print_line(f"{name}:")
        width = max(len(entry["name"]) for entry in entries)
        for entry in entries:
            print_line(f"  {entry['name']:<{width}}  {entry['summary']}")
    return OK


@app.command(epilog="Example: expunge info scrub")
def info(
    name: Annotated[str, typer.Argument(help="A method, suite, metric or forget set.")],
    as_json: AsJson = False,
) -> int:
    """Tell what is known of a method, suite, metric or forget set."""
    from expunge.reports.catalogue import describe

    facts = describe(name)
    if as_json:
        print_json(facts)
        return OK
    for key, value in facts.items():
        shown = in_words(value).replace("\n", "\n" + " " * 13)
        print_line(f"{key:<12} {shown}")
    return OK


@app.command(epilog="Example: expunge cite scrub fine-tune")
def cite(
    names: Annotated[list[str] | None, typer.Argument(help="Methods or metrics; default: expunge itself.")] = None,
    as_json: AsJson = False,
) -> int:
    """Print the references of methods and metrics as BibTeX."""
    from expunge.reports.cards import cite as run

    found = {name or "expunge": run(name) for name in dict.fromkeys(names or [""])}
    print_json(found) if as_json else print_line("\n\n".join(found.values()))
    return OK


@app.command(epilog="Example: expunge report out")
def report(
    folder: Annotated[Path, typer.Argument(help="The --out folder of a bench.")],
    classic: Classic = False,
    as_json: AsJson = False,
) -> int:
    """Write report.html again from the records of a bench."""
    from expunge.records import read_scores
    from expunge.reports import report as write_report

    page = write_report(folder)
    if classic and not as_json:
        print_scores(read_scores(folder / "scores.jsonl"), as_json, classic=True)
    print_json({"report": str(page)}) if as_json else print_line(str(page))
    return OK


@app.command(epilog="Example: expunge leaderboard results --add out --readme README.md")
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
    from expunge.reports.leaderboard import collect, front_block, read_page, results_page, with_block

    text = read_page(readme) if readme else ""
    for out in add or []:
        collect(out, results)
    page = results / "README.md"
    page.write_text(results_page(results))
    if readme:
        readme.write_text(with_block(text, front_block(results)))
    for path in (page, readme):
        if path:
            print_line(str(path))
    return OK


@app.command(epilog="Example: EXPUNGE_STORE=/data/store expunge build digits --workers 2")
def build(
    suite: Suite,
    forget_set: Annotated[list[str] | None, typer.Option(help="Oracles of this forget set only; repeat.")] = None,
    models: Annotated[
        int | None,
        typer.Option(
            help="Models of each ensemble, in whole groups that train together; default: all. A bench of N needs half "
            "of the suite's number, and N more."
        ),
    ] = None,
    prune: Prune = None,
    for_: Annotated[list[str] | None, typer.Option("--for", help="Only what this method needs; repeat.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="Of --for, as METHOD.KEY=VALUE; repeat.")] = None,
    workers: Workers = None,
    cluster: Cluster = None,
    as_json: AsJson = False,
) -> int:
    """Train all ensembles of SUITE into the store.

    Run it again and it goes on where it stopped. With --for, only what a method needs beside them: the shards of sisa,
    the logs of amnesiac, for the settings that a bench takes.
    """
    from expunge.metrics.rebuild import rebuild

    where = _where(workers, cluster)
    with ProgressLine("build") as watch:
        rows = rebuild(
            _load(suite, prune),
            forget_set,
            methods=for_ or (),
            settings=_settings(set_ or []),
            models=models,
            workers=where,
            watch=watch,
            say=say,
        )
    if as_json:
        print_json(rows)
        return OK
    for row in rows:
        print_line("  ".join(str(value) for value in row.values()))
    return OK


@app.command(epilog="Example: expunge fetch cifar10-resnet9 --forget-set set-2")
def fetch(
    suite: Suite,
    forget_set: ForgetSets = None,
    repo: Annotated[str | None, typer.Option(help="OWNER/NAME at the hub; default: where they were published.")] = None,
    revision: Annotated[str, typer.Option(help="Branch, tag or commit of the repository.")] = "main",
    as_json: AsJson = False,
) -> int:
    """Bring published margins from the Hugging Face hub.

    They go into the store; so does a store that was pushed.
    """
    from expunge.ensembles.sharing import fetch as run
    from expunge.suites import load_suite

    print_ported(run(load_suite(suite), forget_set, repository=repo, revision=revision), as_json)
    return OK


@app.command("import", epilog="Example: expunge import EasyDUB-dataset --forget-set set-2")
def import_(
    folder: Annotated[Path, typer.Argument(help="A folder in EasyDUB's layout or that of KLOM-models.")],
    forget_set: ForgetSets = None,
    models: Annotated[int | None, typer.Option(help="The first N models of each ensemble; default: all.")] = None,
    suite: Published = "cifar10-resnet9",
    as_json: AsJson = False,
) -> int:
    """Bring published margins from a folder into the store."""
    from expunge.ensembles.published import find_publication, import_published

    print_ported(import_published(find_publication(suite), folder, forget_set, models=models), as_json)
    return OK


@app.command(epilog="Example: expunge export my-easydub --forget-set set-2")
def export(
    folder: Annotated[Path, typer.Argument(help="A new or an empty folder.")],
    forget_set: ForgetSets = None,
    models: Annotated[int | None, typer.Option(help="The first N models of each ensemble; default: all.")] = None,
    suite: Published = "cifar10-resnet9",
    as_json: AsJson = False,
) -> int:
    """Write margins of the store to a folder in EasyDUB's layout."""
    from expunge.ensembles.published import export_easydub, find_publication

    print_ported(export_easydub(find_publication(suite), folder, forget_set, models=models), as_json)
    return OK


@app.command(epilog="Example: expunge check EasyDUB-dataset")
def check(
    folder: Annotated[Path | None, typer.Argument(help="A folder in a published layout; default: the store.")] = None,
    suite: Annotated[str, typer.Option(help="Whose margins they are.")] = "cifar10-resnet9",
    as_json: AsJson = False,
) -> int:
    """Check margins that others made.

    Their shape, copies, outliers, the order of columns, and whether halves are exchangeable.
    """
    from dataclasses import asdict

    from expunge.metrics.soundness import check as run
    from expunge.suites import load_suite

    findings = [asdict(each) for each in run(load_suite(suite), folder)]
    print_checks(findings, as_json)
    return OK if all(each["ok"] for each in findings) else USER_ERROR


@app.command(epilog="Example: expunge push me/my-ensembles --suite fashion-mnist-10k")
def push(
    repo: Annotated[str, typer.Argument(help="OWNER/NAME of a data set at the hub; made where there is none.")],
    suite: Annotated[str, typer.Option(help="Whose ensembles are uploaded.")],
    private: Annotated[bool, typer.Option("--private", help="Make a new repository private.")] = False,
    as_json: AsJson = False,
) -> int:
    """Upload the finished ensembles of a suite to the hub."""
    from expunge.ensembles.sharing import push as run
    from expunge.suites import load_suite

    address = run(repo, load_suite(suite), private=private)
    print_json({"commit": address}) if as_json else print_line(address)
    return OK


@app.command(epilog="Example: expunge doctor")
def doctor(as_json: AsJson = False) -> int:
    """Check this installation: versions, files, store, speed."""
    from expunge.reports.doctor import examine

    checks = examine()
    print_checks(checks, as_json)
    return OK if all(each["ok"] for each in checks) else USER_ERROR


def _load(suite: str, prune: str | None) -> Any:
    """The suite of this name, or its sparse one."""
    from expunge.suites import load_suite

    loaded = load_suite(suite)
    return loaded if prune is None else loaded.pruned(prune)


def _where(workers: int | None, cluster: str | None) -> int | str:
    """How many local workers, or the address of a scheduler."""
    from expunge.engine import default_workers

    if cluster is not None:
        if workers is not None:
            raise BadSetting("give --workers for this machine or --cluster for another, not both")
        return cluster
    if workers is not None and workers < 1:
        raise BadSetting(f"expected at least 1 worker, got {workers}")
    return workers or default_workers()


def _settings(pairs: list[str]) -> dict[str, dict[str, object]]:
    """``METHOD.KEY=VALUE`` as nested tables, each value of the type that its setting wants."""
    from typing import get_type_hints

    from expunge.methods import find_method
    from expunge.methods.method import parse_setting

    settings: dict[str, dict[str, object]] = {}
    for pair in pairs:
        target, equals, text = pair.partition("=")
        name, dot, key = target.rpartition(".")
        if not (equals and dot and name and key):
            raise BadSetting(f"--set {pair!r}: expected METHOD.KEY=VALUE, for example scrub.lr=0.02")
        wanted = get_type_hints(find_method(name).config).get(key)
        settings.setdefault(name, {})[key] = parse_setting(text, wanted)
    return settings


def _estimate(tasks: list[Any], seconds: float | None) -> str:
    sets = len({task.forget.name for task in tasks})
    size = f"{len(tasks) // sets} methods on {sets} forget set{'s' if sets > 1 else ''}"
    return f"{size}, " + ("of unknown duration" if seconds is None else f"about {duration(seconds)}")


def _code(scores: list[Score]) -> int:
    return FAILED_ROWS if any(score.status == "failed" for score in scores) else OK
