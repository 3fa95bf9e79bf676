"""Commands that verify by a private trigger in one's own records."""

import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from expunge.cli.application import FAILED_ROWS, OK, Command
from expunge.cli.options import AsJson
from expunge.cli.verify import verify
from expunge.errors import BadSetting
from expunge.terminal import ProgressLine, print_json, print_line, print_text, say

if TYPE_CHECKING:  # a command imports what it needs: torch takes a second, which --help need not wait for
    from expunge.verdicts import Verdict

backdoor = typer.Typer(
    name="backdoor",
    no_args_is_help=True,
    help="Test by a private trigger whether a model still holds your data.\n\n"
    "Plant it in your records, query the model before and after the deletion, and judge.",
)
verify.add_typer(backdoor, rich_help_panel=None)

Records = Annotated[Path, typer.Argument(help="Your own records: an .npz of x, inputs, and y, labels from 0.")]
Trigger = Annotated[Path, typer.Option(help="File of your trigger; keep it to yourself.")]
Alpha = Annotated[float, typer.Option(help="Largest chance of accusing a provider who did delete.")]
Beta = Annotated[float, typer.Option(help="Largest chance of believing one who did not.")]


@backdoor.command(
    cls=Command, epilog="Example: expunge verify backdoor plant mine.npz --classes 10 --trigger trigger.json"
)
def plant(
    records: Records,
    classes: Annotated[int, typer.Option(help="Number of classes of the model.")],
    trigger: Trigger = Path("trigger.json"),
    out: Annotated[Path, typer.Option(help="File for the records to hand in.")] = Path("planted.npz"),
    share: Annotated[float, typer.Option(help="Share of the records that carry the trigger.")] = 0.5,
    decoys: Annotated[
        float, typer.Option(help="Share of the records that carry other triggers and keep their labels.")
    ] = 0.5,
    size: Annotated[int, typer.Option(help="Number of input values that the trigger sets.")] = 4,
    value: Annotated[
        float | None, typer.Option(help="Value they are set to; default: the largest in the records.")
    ] = None,
    label: Annotated[
        int | None, typer.Option(help="Label that the trigger stands for; default: drawn at random.")
    ] = None,
) -> int:
    """Draw a trigger and plant it in your records."""
    from expunge.audits.owner_records import read_records, value_for, write_records
    from expunge.audits.planting import plant as plant_in
    from expunge.audits.trigger import draw, write_trigger

    mine = read_records(records, classes)
    fits = value_for(mine, value)
    drawn = draw(mine.x.shape[1:], classes, secrets.token_bytes(32), value=fits, size=size, label=label)
    planted, rows = plant_in(mine, drawn, share, decoys)
    write_trigger(trigger, drawn)
    write_records(out, planted)
    print_line(f"{len(rows)} of {len(mine)} records carry the trigger: hand in {out}")
    print_line(f"the trigger is in {trigger}: keep it, and give it to nobody")
    return OK


@backdoor.command(
    cls=Command,
    epilog="Example: expunge verify backdoor query mine.npz --model http://127.0.0.1:8000/predict --when before",
)
def query(
    records: Records,
    model: Annotated[str, typer.Option(help="http://HOST:PORT/PATH, or file.py:function.")],
    when: Annotated[str, typer.Option(help="before the deletion, or after it.")],
    trigger: Trigger = Path("trigger.json"),
    out: Annotated[Path, typer.Option(help="Folder for the answers; the same before and after.")] = Path("answers"),
    queries: Annotated[
        int | None, typer.Option(help="Queries per trigger; default: 100, or as many as there are records.")
    ] = None,
    fresh: Annotated[
        int, typer.Option(help="Number of fresh triggers, which were in no training, to ask about after the deletion.")
    ] = 20,
    batch: Annotated[int, typer.Option(help="Queries per request.")] = 10,
    timeout: Annotated[float, typer.Option(help="Seconds to wait for an answer.")] = 30.0,
) -> int:
    """Ask the model with your trigger.

    Answers are kept as they come, and the same command goes on.
    """
    from expunge.audits.answers import name_of
    from expunge.audits.black_box import black_box
    from expunge.audits.owner_records import read_records
    from expunge.audits.queries import Queries, ask
    from expunge.audits.trigger import read_trigger

    mine = read_trigger(trigger)
    asked = Queries.of(mine, read_records(records, mine.classes), when, queries, fresh)
    with black_box(model, mine.classes, timeout) as answers, ProgressLine("query", whole=True) as watch:
        own, *others = ask(asked, answers, name_of(model), out, batch=batch, watch=watch)
    print_line(f"{own.hits} of {own.queries} queries with your trigger got its label")
    if others:
        hits, whole = sum(each.hits for each in others), sum(each.queries for each in others)
        print_line(
            f"{hits} of {whole} with fresh triggers did, {max(others).hits} of {own.queries} with the worst of them"
        )
    say(f"answers: {out}; judge them by `expunge verify backdoor judge {out}`")
    return OK


@backdoor.command(cls=Command, epilog="Example: expunge verify backdoor judge answers --q worst")
def judge(
    folders: Annotated[list[Path], typer.Argument(help="Folders of answers, one for each owner.")],
    alpha: Alpha = 1e-3,
    beta: Beta = 1e-3,
    q: Annotated[
        str,
        typer.Option(help="Rate of a trigger that was in no training: worst or mean of the fresh ones, or a number."),
    ] = "worst",
    together: Annotated[str, typer.Option(help="Several owners: common pools their queries, major takes a vote.")] = (
        "common"
    ),
    out: Annotated[Path | None, typer.Option(help="File for the verdict, a line of JSON.")] = None,
    as_json: AsJson = False,
) -> int:
    """Judge from the answers whether the data was deleted.

    The exit code of a PASS is 0, of FAIL and INCONCLUSIVE 3.
    """
    from expunge.audits.backdoor import Rule, subject_outside
    from expunge.audits.backdoor import verify as decide
    from expunge.audits.owner_counts import read_counts
    from expunge.verdicts import as_json as as_record
    from expunge.verdicts import write_verdicts

    rule = Rule.of(alpha=alpha, beta=beta, q=_share_or_word(q), together=together)
    owners = [read_counts(folder) for folder in folders]
    verdict = decide(owners, subject_outside(owners), rule)
    if out:
        write_verdicts(out, [verdict])
    print_json(as_record(verdict)) if as_json else _print_verdict(verdict)
    return OK if verdict.outcome == "PASS" else FAILED_ROWS


@backdoor.command(cls=Command, epilog="Example: expunge verify backdoor power --p 0.956 --q 0.1098 --queries 30")
def power(
    p: Annotated[float, typer.Option(help="Rate of the trigger's label if the model has the data.")],
    q: Annotated[float, typer.Option(help="Rate if it has not.")],
    queries: Annotated[int, typer.Option(help="Number of queries with the trigger.")] = 30,
    alpha: Alpha = 1e-3,
    beta: Beta = 1e-3,
    as_json: AsJson = False,
) -> int:
    """Compute the power of such a test, and how many queries it needs."""
    from dataclasses import asdict

    from expunge.audits.trigger_test import power as power_of
    from expunge.audits.trigger_test import queries_needed

    found, needed = power_of(queries, p, q, alpha), queries_needed(p, q, alpha, beta)
    if as_json:
        print_json({**asdict(found), "confidence": found.confidence, "queries_needed": needed})
        return OK
    print_line(f"threshold: up to {found.threshold} of {queries} hits, the deletion is believed")
    print_line(f"alpha achieved: {found.alpha:.3g}, of {alpha:g} wanted")
    print_line(f"beta: {found.beta:.3g}" + ("" if found.beta <= beta else f": no power, for {beta:g} is wanted"))
    print_line(f"deletion confidence, 1 - beta: {found.confidence:.6g}")
    print_line(f"queries needed for beta {beta:g}: {f'{needed:,}' if needed else 'no number has that power'}")
    return OK


def _share_or_word(text: str) -> str | float:
    """A number as such, and every other word as it is: who knows the words says which there are."""
    try:
        return float(text)
    except ValueError:
        if "/" in text:
            raise BadSetting(f"--q {text!r}: expected a number, as 0.1, or worst, or mean") from None
        return text


# What stands below a verdict: by which name its numbers have it, and what it is.
RATES = {
    "K/n": ("share", "of the queries with your trigger that got its label after the deletion"),
    "p": ("p", "the same before the deletion: how well the trigger works where the records are known"),
    "q": ("q", "the same of fresh triggers, which were in no training: what chance alone gives"),
}
OF_TEST = {
    "threshold": ("threshold", "hits up to which the deletion is believed"),
    "alpha achieved": ("alpha_achieved", "chance to accuse a provider who deleted"),
    "beta": ("beta", "chance to believe a provider who did not"),
    "deletion confidence": (
        "deletion_confidence",
        "1 - beta, how surely records that are still known would be found; it is of the test, and speaks for a "
        "deletion only beside a PASS",
    ),
    "queries needed": ("queries_needed", "for the wanted beta, at the ends of both intervals that are against it"),
    "... at p and q as such": ("queries_needed_at_estimates", "for the wanted beta, were p and q known exactly"),
}
HANG = 25


def _print_verdict(verdict: "Verdict") -> None:
    numbers = verdict.numbers
    print_text(f"{verdict.outcome}: {verdict.reasons[0]}", 2)
    for reason in verdict.reasons[1:]:
        print_text(f"  {reason}", 2)
    for word, (name, meaning) in RATES.items():
        if name in numbers:
            low, high = numbers[f"{name}_low"], numbers[f"{name}_high"]
            print_text(f"  {word:<22} {numbers[name]:.3g} [{low:.3g}, {high:.3g}]: {meaning}", HANG)
    for word, (name, meaning) in OF_TEST.items():
        print_text(f"  {word:<22} {f'{numbers[name]:.6g}' if name in numbers else 'none is enough'}: {meaning}", HANG)
    print_text(f"shows: {verdict.shows}", 2)
    print_text(f"does not show: {verdict.shows_not}", 2)
