"""The command: each one parses, calls one function, writes, prints."""

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

from expunge.errors import BadSetting, ExpungeError
from expunge.records import Score, to_json

if TYPE_CHECKING:  # commands import what they need: torch takes a second, which --help need not wait for
    from expunge.engine import Watch

OK, USER_ERROR, FAILED_ROWS, INTERRUPTED = 0, 2, 3, 130
INTERRUPTED_SAYS = "expunge: interrupted; what was finished is kept, run the same command again to go on"


class _Commands(typer.core.TyperGroup):
    """The commands, whose errors end in one line and whose number is the exit code."""

    def invoke(self, ctx: Any) -> Any:
        try:
            code = super().invoke(ctx)
        except ExpungeError as error:
            _say(f"expunge: {error}")
            code = USER_ERROR
        except KeyboardInterrupt:
            _say(INTERRUPTED_SAYS)
            code = INTERRUPTED
        raise typer.Exit(code)


app = typer.Typer(
    name="expunge",
    cls=_Commands,
    help="Know whether a machine-learning model has really forgotten.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
out = Console()
err = Console(stderr=True)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else on standard output.")]
Workers = Annotated[int | None, typer.Option(help="Processes, one thread each; default: one a core.")]


def main() -> None:
    """Entry point."""
    try:
        app()
    except KeyboardInterrupt:  # before the command began
        _say(INTERRUPTED_SAYS)
        sys.exit(INTERRUPTED)


@app.command(epilog="Example: expunge bench digits --method scrub --set scrub.lr=0.02 --forget-set random-50")
def bench(
    suite: Annotated[str, typer.Argument(help="Name of a suite.")] = "digits",
    method: Annotated[list[str] | None, typer.Option(help="A method, or file.py:function; repeat for more.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="A setting, as METHOD.KEY=VALUE; repeat.")] = None,
    forget_set: Annotated[list[str] | None, typer.Option(help="A forget set; repeat for more; default: all.")] = None,
    models: Annotated[int, typer.Option(help="The first N pretrained models, against N oracles.")] = 100,
    seed: Annotated[int, typer.Option(help="Seed of the methods' own chance.")] = 0,
    out_: Annotated[Path, typer.Option("--out", help="Folder for records, arrays and report.")] = Path("out"),
    workers: Workers = None,
    as_json: AsJson = False,
) -> int:
    """Score unlearning methods against the oracles of SUITE: table, records, report."""
    from expunge.metrics.bench import bench as run
    from expunge.metrics.bench import estimate_seconds, plan_tasks
    from expunge.reports import report as write_report
    from expunge.suites import load_suite

    loaded, count = load_suite(suite), _count(workers)
    names = method or None
    settings = _settings(set_ or [])
    tasks = plan_tasks(loaded, names, forget_set, models=models, settings=settings, seed=seed)
    _say(_estimate(tasks, estimate_seconds(tasks, models, count)))
    with _progress("bench") as watch:
        scores = run(
            loaded,
            names,
            forget_set,
            models=models,
            settings=settings,
            seed=seed,
            out=out_,
            workers=count,
            watch=watch,
            command=" ".join(["expunge", *sys.argv[1:]]),
        )
    page = write_report(out_)
    _print_scores(scores, as_json)
    _say(f"records: {out_ / 'scores.jsonl'}, report: {page}")
    return _code(scores)


@app.command(epilog="Example: expunge score digits random-50 margins.npy --name my-method")
def score(
    suite: Annotated[str, typer.Argument(help="Name of a suite.")],
    forget_set: Annotated[str, typer.Argument(help="Name of one of its forget sets.")],
    margins: Annotated[Path, typer.Argument(help="A .npy of (models, examples), or a folder with one .npy a model.")],
    name: Annotated[str, typer.Option(help="What to call the row.")] = "yours",
    out_: Annotated[Path | None, typer.Option("--out", help="Also write records and report to this folder.")] = None,
    as_json: AsJson = False,
) -> int:
    """Score margins that were made elsewhere: all train examples in order, then all test examples."""
    from expunge.metrics import score_margins
    from expunge.suites import load_suite

    scores = score_margins(load_suite(suite), forget_set, margins, name=name, out=out_)
    if out_:
        from expunge.reports import report as write_report

        _say(f"report: {write_report(out_)}")
    _print_scores(scores, as_json)
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
        _print_json(found[kind] if kind else found)
        return OK
    for name, entries in found.items():
        out.print(f"{name}:", highlight=False)
        width = max(len(entry["name"]) for entry in entries)
        for entry in entries:
            out.print(f"  {entry['name']:<{width}}  {entry['summary']}", markup=False, highlight=False, soft_wrap=True)
    return OK


@app.command(epilog="Example: expunge info scrub")
def info(
    name: Annotated[str, typer.Argument(help="A method, suite, metric or forget set.")],
    as_json: AsJson = False,
) -> int:
    """Tell what is known of one method, suite, metric or forget set."""
    from expunge.reports.catalogue import describe

    facts = describe(name)
    if as_json:
        _print_json(facts)
        return OK
    for key, value in facts.items():
        shown = _one_line(value).replace("\n", "\n" + " " * 13)
        out.print(f"{key:<12} {shown}", markup=False, highlight=False, soft_wrap=True)
    return OK


@app.command(epilog="Example: expunge report out")
def report(
    folder: Annotated[Path, typer.Argument(help="The --out folder of a bench.")], as_json: AsJson = False
) -> int:
    """Write report.html again from the records of a bench."""
    from expunge.reports import report as write_report

    page = write_report(folder)
    _print_json({"report": str(page)}) if as_json else out.print(str(page), soft_wrap=True)
    return OK


@app.command(epilog="Example: EXPUNGE_STORE=/data/store expunge build digits --workers 2")
def build(
    suite: Annotated[str, typer.Argument(help="Name of a suite.")],
    forget_set: Annotated[list[str] | None, typer.Option(help="Oracles of this forget set only; repeat.")] = None,
    models: Annotated[
        int | None, typer.Option(help="Models of each ensemble; default: as many as are shipped.")
    ] = None,
    workers: Workers = None,
    as_json: AsJson = False,
) -> int:
    """Train all ensembles of SUITE into the store; run it again and it goes on where it stopped."""
    from expunge.metrics.rebuild import rebuild
    from expunge.suites import load_suite

    with _progress("build") as watch:
        rows = rebuild(load_suite(suite), forget_set, models=models, workers=_count(workers), watch=watch)
    if as_json:
        _print_json(rows)
        return OK
    for row in rows:
        out.print("  ".join(str(value) for value in row.values()), markup=False, highlight=False, soft_wrap=True)
    return OK


@app.command(epilog="Example: expunge doctor")
def doctor(as_json: AsJson = False) -> int:
    """Check this installation: versions, shipped files, store, speed."""
    from expunge.reports.doctor import examine

    checks = examine()
    if as_json:
        _print_json(checks)
    else:
        for check in checks:
            mark = "ok  " if check["ok"] else "FAIL"
            out.print(f"{mark}  {check['name']:<10} {check['found']}", markup=False, highlight=False, soft_wrap=True)
    return OK if all(check["ok"] for check in checks) else USER_ERROR


def _count(workers: int | None) -> int:
    from expunge.engine import default_workers

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
    return f"{size}, " + ("of unknown duration" if seconds is None else f"about {_duration(seconds)}")


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _print_scores(scores: list[Score], as_json: bool) -> None:
    from expunge.reports import render_tables

    if as_json:
        out.print("[" + ",\n ".join(map(to_json, scores)) + "]", markup=False, highlight=False, soft_wrap=True)
        return
    for table in render_tables(scores):
        out.print(table)


def _one_line(value: object) -> str:
    if isinstance(value, dict):
        return "\n".join(f"{key} = {each}" for key, each in value.items()) or "none"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "none"
    return str(value)


def _print_json(value: object) -> None:
    out.print(json.dumps(value, indent=1, allow_nan=False), markup=False, highlight=False, soft_wrap=True)


def _code(scores: list[Score]) -> int:
    return FAILED_ROWS if any(score.status == "failed" for score in scores) else OK


def _say(text: str) -> None:
    """A line for people, on standard error, so that standard output is the result alone."""
    err.print(text, markup=False, highlight=False, soft_wrap=True)


class _progress:
    """A watch that draws a bar on a terminal, and elsewhere prints a plain line every few seconds."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._started = self._printed = time.monotonic()
        columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        self._bar = Progress(*columns, TextColumn("left"), TimeRemainingColumn(), console=err, transient=True)
        self._task = self._bar.add_task(what, total=None)

    def __enter__(self) -> "Watch":
        if err.is_terminal:
            self._bar.start()
        return self._see

    def __exit__(self, *_: object) -> None:
        if err.is_terminal:
            self._bar.stop()

    def _see(self, done: int, total: int, label: str) -> None:
        if err.is_terminal:
            self._bar.update(self._task, completed=done, total=total, description=label)
            return
        now = time.monotonic()
        if done < total and now - self._printed < 5:
            return
        self._printed = now
        left = (now - self._started) / done * (total - done)
        _say(f"{self._what}: {done}/{total} done, {_duration(left)} left ({label})")
