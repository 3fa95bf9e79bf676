"""Commands that verify proofs of unlearning."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from expunge.cli.application import FAILED_ROWS, OK, Command
from expunge.cli.options import AsJson, Suite, Workers, load, place_of_work
from expunge.cli.verify import verify
from expunge.errors import BadSetting
from expunge.printed_tables import print_table
from expunge.terminal import ProgressLine, print_json, print_line, print_text

if TYPE_CHECKING:  # a command imports what it needs: torch takes a second, which --help need not wait for
    from rich.table import Table

    from expunge.audits.proofs.verification import Choice, Verified

HANG = 13  # what an outcome and a space take
Folder = Annotated[Path, typer.Argument(help="Folder of the bundle.")]
OfSuite = Annotated[str, typer.Option(help="The suite of the training, as the verifier has it.")]
Removed = Annotated[str, typer.Option("--forget-set", help="What was to be removed; '' for an original training.")]
Steps = Annotated[str, typer.Option(help="Segments to replay: all, worst:N of each epoch, or random:N.")]
Length = Annotated[int, typer.Option("--segment", help="Length of a replayed segment, in recorded states.")]
Eps = Annotated[float | None, typer.Option(help="Largest error that passes; default: from this machine's noise.")]
Stated = Annotated[bool, typer.Option("--stated", help="Take rates and sizes of batches as the bundle states them.")]
BeaconFile = Annotated[Path | None, typer.Option("--beacon", help="The nonce, as you kept it when you issued it.")]
BookFile = Annotated[Path | None, typer.Option("--book", help="Your book of nonces, which lists this one.")]
InMode = Annotated[bool, typer.Option("--deterministic", help="Require a recording in torch's deterministic mode.")]
Deployed = Annotated[Path | None, typer.Option(help="The model in use, a .safetensors of its state dict.")]
Original = Annotated[Path | None, typer.Option(help="Bundle of the training before the removal.")]
Out = Annotated[Path | None, typer.Option("--out", help="Also write the verdict to this file, as JSON.")]
DemoOut = Annotated[Path, typer.Option("--out", help="Folder for the page and the bundles; it must be new or empty.")]


@verify.command(cls=Command, epilog="Example: expunge verify proof out/bundle --suite digits --forget-set random-10")
def proof(
    bundle: Folder,
    suite: OfSuite = "digits",
    forget_set: Removed = "random-10",
    steps: Steps = "all",
    segment: Length = 1,
    eps: Eps = None,
    stated: Stated = False,
    beacon: BeaconFile = None,
    book: BookFile = None,
    deterministic: InMode = False,
    deployed: Deployed = None,
    original: Original = None,
    out: Out = None,
    as_json: AsJson = False,
) -> int:
    """Replay a proof of unlearning, and judge it.

    PASS, FAIL or INCONCLUSIVE, with reasons, and what that does not show. The exit code of a PASS is 0, of others 3.
    """
    from expunge.audits.proofs.beacon import read_beacon
    from expunge.audits.proofs.book import read_book
    from expunge.audits.proofs.deployed import read_model
    from expunge.audits.proofs.verification import Policy
    from expunge.audits.proofs.verification import verify as decide
    from expunge.verdicts import write_verdicts

    loaded, (choice, count) = load(suite, None), _choice(steps)
    policy = Policy(
        steps=choice,
        count=count,
        segment=segment,
        eps=eps,
        stated=stated,
        beacon=read_beacon(beacon) if beacon else None,
        book=read_book(book) if book else None,
        deterministic=deterministic,
    )
    forget = loaded.forget_set(forget_set) if forget_set else None
    model = read_model(deployed) if deployed else None
    found = decide(bundle, loaded, forget, policy, deployed=model, original=original)
    if out:
        write_verdicts(out, [found.verdict])
    _tell(found, as_json)
    return OK if found.verdict.outcome == "PASS" else FAILED_ROWS


@verify.command(cls=Command, epilog="Example: expunge verify demo --out out/verify-demo")
def demo(out: DemoOut = Path("out/verify-demo")) -> int:
    """Play provider, owner and auditor, and explain it on a page.

    Half a minute. Bundles, nonce and book of nonces stay beside the page; what was stopped is begun anew.
    """
    from expunge.audits.proofs.demo import PARTS, play
    from expunge.audits.proofs.unfinished import Unfinished
    from expunge.reports.proofs.demo_page import write_demo

    suite, folder = load("digits", None), Unfinished.begin(out, PARTS, "a demonstration")
    with ProgressLine("verify demo", whole=True) as watch:
        played = play(suite, suite.forget_set("random-10"), out, watch)
    for act in played.acts:
        print_text(f"{act.found.verdict.outcome:<12} {act.name}: the provider {act.provider}", HANG)
    page = write_demo(played, out / "demo.html")
    folder.finish()
    print_line(f"page: {page}; it says how to verify each bundle by hand")
    return OK


@verify.command(cls=Command, epilog="Example: expunge verify matrix digits --forget-set memorised-50")
def matrix(
    suite: Suite = "digits",
    forget_set: Annotated[
        str, typer.Option(help="The forget set that every provider is asked to remove.")
    ] = "memorised-50",
    repetitions: Annotated[int, typer.Option(help="Repetitions of each provider; take fewer to try it out.")] = 20,
    out: Annotated[Path, typer.Option(help="Folder for the page, and for its numbers as JSON.")] = Path(
        "out/verification"
    ),
    workers: Workers = None,
) -> int:
    """Play every provider against every verifier: who passes whom.

    Seven ways to make a proof, nine ways to check it, and what each model still holds. Half an hour on 2 cores; what
    was done is kept in the store.
    """
    from expunge.reports.proofs.matrix_page import write_matrix
    from expunge.reports.proofs.matrix_table import passes_table
    from expunge.reports.studies.entries import read_entries

    loaded = load(suite, None)
    with ProgressLine("verify matrix") as watch:
        page = write_matrix(
            loaded, loaded.forget_set(forget_set), repetitions, out, place_of_work(workers, None), watch
        )
    if found := read_entries(page.with_suffix(".json")):
        print_table(passes_table(found["rows"]))
    print_line(f"page: {page}")
    return OK


def _choice(text: str) -> "tuple[Choice, int]":
    name, _, number = text.partition(":")
    if text == "all":
        return "all", 1
    if name not in ("worst", "random") or not number.isdecimal() or not 0 < int(number) < 1_000_000_000:
        raise BadSetting(f"--steps {text!r}: expected all, worst:N or random:N")
    return ("worst" if name == "worst" else "random"), int(number)


def _tell(found: "Verified", as_json: bool) -> None:
    """The verdict, its reasons, the worst steps, and what it does not show."""
    from expunge.verdicts import as_json as as_values

    if as_json:
        worst = [{"after": start, "to": end, **errors} for start, end, errors in found.worst_steps()]
        print_json({**as_values(found.verdict), "worst steps": worst})
        return
    print_line(found.verdict.outcome)
    for each in sorted(found.findings, key=lambda each: ["FAIL", "INCONCLUSIVE", "PASS"].index(each.outcome)):
        print_text(f"  {each.outcome:<12} {each.check}: {each.reason}", HANG + 2)
    print_table(_table(found))
    print_text(f"{found.verdict.outcome} shows {found.verdict.shows}.", 2)
    print_text(f"It does not show {found.verdict.shows_not}.", 2)


def _table(found: "Verified") -> "Table":
    """The worst steps, and what is noise here."""
    from rich import box
    from rich.table import Table

    from expunge.audits.proofs.judging import steps_of
    from expunge.audits.proofs.replay import GROUPS

    title = "largest errors, in L2"
    table = Table("step", title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    for name in ("weights", *GROUPS[1:]):
        table.add_column(name, justify="right", no_wrap=True)
    for start, end, errors in found.worst_steps():
        table.add_row(steps_of((start, end)), *(f"{errors[name]:.2e}" for name in GROUPS))
    table.add_row("noise here", *(f"{found.noise.floor[name]:.2e}" for name in GROUPS), style="dim")
    return table
