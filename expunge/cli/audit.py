"""The command that asks what unlearned models still hold."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from expunge.cli.application import FAILED_ROWS, OK, Command, app
from expunge.cli.options import (
    AsJson,
    Budget,
    Cluster,
    Models,
    Oracles,
    Prune,
    Seed,
    Settings,
    Suite,
    Tuning,
    Workers,
    load,
    place_of_work,
    settings_of,
    share_of,
)
from expunge.errors import BadSetting
from expunge.printed_tables import print_table
from expunge.terminal import ProgressLine, print_json_text, print_text, say, say_text

if TYPE_CHECKING:  # a command imports what it needs: torch takes a second, which --help need not wait for
    from rich.table import Table

    from expunge.audits.run import AuditedRow
    from expunge.records import Score

COLUMNS = {
    "auc": "AUC",
    "auc-by-example": "by example",
    "tpr-1%": "TPR 1 %",
    "tpr-0.1%": "TPR 0.1 %",
    "over-tpr-1%": "over 1 %",
}
UNTOLD = {"over-tpr-0.1%"}  # in the records alone
LEGEND = (
    "AUC: the chance that an unlearned model speaks of an example as of one that it has seen, more than an oracle "
    "does: at 0.5 they cannot be told apart, below it the set was forgotten too well. TPR: share found, in %, at 1 % "
    "and 0.1 % of false alarms; over: of what was forgotten too well. ±: half of a 95 % interval over models. "
    "auc-test: of forget examples against test examples, where oracles too lie off 0.5. completeness: how far "
    "forgotten, 0 to 1, and its distance from oracles' (gap). Each audit in full: expunge info NAME."
)
RECORDS, VERDICTS = "audit.jsonl", "verdicts.jsonl"


@app.command(cls=Command, epilog="Example: expunge audit digits memorised-50 --method scrub --models 20")
def audit(
    suite: Suite,
    forget_set: Annotated[str, typer.Argument(help="Name of one of its forget sets.")],
    method: Annotated[
        list[str] | None,
        typer.Option(help="A method, file.py:function, identity or oracle; repeat."),
    ] = None,
    audit_: Annotated[
        list[str] | None,
        typer.Option("--audit", help="Name of an audit, or all; repeat; default: those that train no models."),
    ] = None,
    set_: Settings = None,
    models: Models = None,
    oracles: Oracles = None,
    tuning: Tuning = "tuned",
    budget: Budget = "15%",
    seed: Seed = 0,
    prune: Prune = None,
    out_: Annotated[Path | None, typer.Option("--out", help="Also write records and verdicts to this folder.")] = None,
    workers: Workers = None,
    cluster: Cluster = None,
    as_json: AsJson = False,
) -> int:
    """Attack unlearned models to see what they still hold of a forget set.

    Each attack stands beside what oracles get: one that does as well on oracles finds nothing. The exit code is 3 if a
    method failed.
    """
    from expunge.audits.run import run_audits
    from expunge.bench.folder import prepare

    if not method:
        raise BadSetting("name what is audited: --method METHOD, or --method identity to see what there is to find")
    loaded, where = load(suite, prune), place_of_work(workers, cluster)
    if out_:
        prepare(out_)
    with ProgressLine("audit") as watch:
        rows = run_audits(
            loaded,
            forget_set,
            method,
            models=min(100, loaded.models // 2) if models is None else models,
            oracles=oracles,
            audits=audit_ or None,
            settings=settings_of(set_ or [], method),
            tuning=tuning,
            budget=share_of(budget),
            seed=seed,
            workers=where,
            watch=watch,
        )
    if out_:
        _write(out_, forget_set, rows)
    _tell(rows, as_json)
    return FAILED_ROWS if any(row.failed for row in rows) else OK


def _write(folder: Path, forget_set: str, rows: "list[AuditedRow]") -> None:
    """Records, verdicts, and of every method the AUC of each example by each attack."""
    from expunge.bench.folder import arrays_file, write_arrays
    from expunge.records import write_scores
    from expunge.verdicts import write_verdicts

    write_scores(folder / RECORDS, [score for row in rows for score in row.scores])
    write_verdicts(folder / VERDICTS, [row.verdict for row in rows if row.verdict])
    for row in rows:
        arrays = {name: each.examples for name, each in row.found.items() if each.examples is not None}
        if arrays:
            write_arrays(arrays_file(folder, forget_set, f"audit-{row.method}"), arrays)
    say(f"records: {folder / RECORDS}, verdicts: {folder / VERDICTS}, AUC of each example: {folder / 'arrays'}")


def _tell(rows: "list[AuditedRow]", as_json: bool) -> None:
    """Tables and verdicts for people; or all records, with what could not be told on standard error."""
    from expunge.records import to_json

    if as_json:
        print_json_text("[" + ",\n ".join(to_json(score) for row in rows for score in row.scores) + "]")
    for row in rows:
        _tell_row(row, as_json)
    if not as_json and any(row.found for row in rows):
        print_text(LEGEND)


def _tell_row(row: "AuditedRow", as_json: bool) -> None:
    tell = say_text if as_json else print_text
    if row.failed:
        tell(f"{row.method}: failed: {row.failed}")
        return
    if not as_json:
        print_table(_table(row))
        for line in _other_numbers(row):
            print_text(line, 2)
    for line in _what_lacks(row):
        say_text(line, 2)
    if row.verdict and row.found:
        tell(f"{row.method}: {row.verdict.outcome}, which shows: {row.verdict.shows}", 2)
        first, *others = row.verdict.reasons
        tell(f"  {first}" + (f"; and {len(others)} more" if others else ""), 2)
        tell(f"  It does not show {row.verdict.shows_not}.", 2)


def _what_lacks(row: "AuditedRow") -> list[str]:
    """What was not done, or not told, and why; one line for what has one reason."""
    lines = [f"{name}: not done, {why}" for name, why in row.lacking.items()]
    for name, each in row.found.items():
        for why in dict.fromkeys(one.reason for one in each.unscored):
            lacking = ", ".join(one.aggregate for one in each.unscored if one.reason == why)
            lines.append(f"{name}: unscored {lacking}: {why}")
    return lines


def _table(row: "AuditedRow") -> "Table":
    """A line for each audit, and below it what held-out oracles get."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    subject = next((score.subject for score in row.scores), None)
    what = f" on {subject.forget_set} of {subject.suite}" if subject else ""
    table = Table(
        title=Text(f"what {row.method} leaves{what}", style="bold"),
        title_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        show_edge=False,
    )
    table.add_column("audit")
    for name in COLUMNS.values():
        table.add_column(name, justify="right", no_wrap=True)
    for name, each in row.found.items():
        found = {score.aggregate: score for score in each.scores}
        if not found.keys() & COLUMNS.keys():
            continue
        table.add_row(name, *(_number(found.get(aggregate)) for aggregate in COLUMNS))
        table.add_row("  oracles", *(_of_oracles(found.get(aggregate)) for aggregate in COLUMNS), style="dim")
    return table


def _number(score: "Score | None") -> str:
    """An AUC as it is, a TPR in per cent, with half the width of the interval."""
    if score is None or score.value is None or score.low is None or score.high is None:
        return "–"
    scale, decimals = (100, 1) if "tpr" in score.aggregate else (1, 3)
    return f"{scale * score.value:.{decimals}f} ±{scale * (score.high - score.low) / 2:.{decimals}f}"


def _of_oracles(score: "Score | None") -> str:
    if score is None or score.oracle is None:
        return ""
    return f"{100 * score.oracle:.1f}" if "tpr" in score.aggregate else f"{score.oracle:.3f}"


def _other_numbers(row: "AuditedRow") -> list[str]:
    """What the table has no column for."""
    return [
        f"{name}: {score.aggregate} {score.value:.3f} [{score.low:.3f}, {score.high:.3f}]"
        + (f", oracles {score.oracle:.3f}" if score.oracle is not None else "")
        for name, each in row.found.items()
        for score in each.scores
        if score.aggregate not in COLUMNS.keys() | UNTOLD
    ]
