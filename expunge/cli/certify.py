"""Commands on certified unlearning: run and try a method, check what is claimed, keep the budget of requests."""

from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from expunge.cli.application import FAILED_ROWS, OK, Command, app
from expunge.cli.options import AsJson, Seed, Settings, Suite, Workers, by_suite, load, place_of_work, settings_of
from expunge.errors import BadSetting
from expunge.terminal import ProgressLine, print_json, print_line, say

if TYPE_CHECKING:  # a command imports what it needs: torch takes a second, which --help need not wait for
    from expunge.audits.certification import Certification
    from expunge.certificates.certificate import Certificate
    from expunge.certificates.ledger import Ledger

METHOD = "method"  # the command that the name of a method stands for
CERTIFICATES, MEASURED = "certificates.jsonl", "certification.json"
PAGE_SUITES = ("tabular", "tabular-mlp", "digits")
MODELS = 200  # of each arm


class Certify(typer.core.TyperGroup):
    """A group whose first word may be the name of a method: where no command is called so, ``method`` is meant."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        word = args[0]
        if METHOD in self.commands and not word.startswith("-") and not get_close_matches(word, self.commands):
            args = [METHOD, *args]  # else it is a command, or one that was mistyped
        return super().resolve_command(ctx, args)


certify = typer.Typer(
    name="certify",
    cls=Certify,
    no_args_is_help=True,
    help="Certified unlearning: expunge certify METHOD SUITE FORGET_SET runs a method and tries its claim.",
)
app.add_typer(certify, rich_help_panel=None)


@certify.command(
    METHOD,
    cls=Command,
    short_help="Certify a method, and try to refute its claim.",
    epilog="Example: expunge certify output-perturbation tabular random-10 --planted",
)
def try_method(
    name: Annotated[
        str,
        typer.Argument(
            help="A certified method, as certified-newton; a wrong name is told them all.", metavar="METHOD"
        ),
    ],
    suite: Suite,
    forget_set: Annotated[str, typer.Argument(help="Name of one of its forget sets.")],
    epsilon: Annotated[float | None, typer.Option(help="To be certified; default: the method's own, 1.")] = None,
    delta: Annotated[float | None, typer.Option(help="Beside it; default: the method's own, 1e-5.")] = None,
    set_: Settings = None,
    models: Annotated[int, typer.Option(help="Of each arm: half choose what to look at, half count it.")] = MODELS,
    planted: Annotated[bool, typer.Option("--planted", help="Plant faults too, to see the checks find them.")] = False,
    seed: Seed = 0,
    out_: Annotated[Path, typer.Option("--out", help="Folder for certificates.jsonl and certification.json.")] = Path(
        "out/certify"
    ),
    workers: Workers = None,
    as_json: AsJson = False,
) -> int:
    """Certify a method on a forget set, and try to refute what it claims.

    Trains models as the theorem asks, on all data and on what is kept; unlearns, adds the noise, writes a certificate
    for each model, and sets a lower bound on epsilon, measured, beside the one that is claimed. The exit code is 0
    where all are CERTIFIED and nothing speaks against them, else 3.
    """
    from expunge.audits.certification import measure
    from expunge.methods.certified import guarantee_of

    guarantee_of(name)  # a wrong name is told before a suite is loaded
    settings = {**settings_of(set_ or []).get(name, {})}
    settings |= {key: value for key, value in (("epsilon", epsilon), ("delta", delta)) if value is not None}
    with ProgressLine(f"certify {name}") as watch:
        found = measure(
            name,
            load(suite, None),
            forget_set,
            models=models,
            settings=settings,
            seed=seed,
            planted=planted,
            workers=place_of_work(workers, None),
            watch=watch,
        )
    _keep(found, out_)
    if as_json:
        print_json(found.as_json())
    else:
        _tell_tried(found)
        say(f"certificates: {out_ / CERTIFICATES}, what was measured: {out_ / MEASURED}")
    certified = all(each.verdict == "CERTIFIED" for each in found.certificates)
    against = any(each.word == "REFUTED" for each in found.tried.values()) or any(found.checks.values())
    return OK if certified and not against else FAILED_ROWS


@certify.command(
    cls=Command,
    short_help="Set claims beside what is measured, for all methods.",
    epilog="Example: expunge certify page --suite tabular --suite digits --models 200 --models digits=25",
)
def page(
    suite: Annotated[
        list[str] | None, typer.Option(help="A suite; repeat; default: tabular, tabular-mlp and digits.")
    ] = None,
    method: Annotated[list[str] | None, typer.Option(help="A certified method; repeat; default: all.")] = None,
    forget_set: Annotated[str, typer.Option(help="What is to be forgotten, on every suite.")] = "random-10",
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="A setting, as METHOD.KEY=VALUE or SUITE:METHOD.KEY=VALUE; repeat."),
    ] = None,
    models: Annotated[
        list[str] | None, typer.Option(help="Of each arm, as N or, on one suite, SUITE=N; repeat; default: 200.")
    ] = None,
    out_: Annotated[Path, typer.Option("--out", help="Folder for certificates.md and certificates.json.")] = Path(
        "out/certify"
    ),
    workers: Workers = None,
) -> int:
    """Set claims beside measurements: all certified methods on suites, with planted faults.

    What was done is kept in the store. All claims of the page are judged together.
    """
    from expunge.audits.refutation.arms import require_models
    from expunge.methods.certified import CERTIFIED, guarantee_of
    from expunge.reports.certification.entries import Missing
    from expunge.reports.certification.page import Place, run_page, write_page

    names = list(method or CERTIFIED)
    for each in names:
        guarantee_of(each)
    suites = suite or list(PAGE_SUITES)
    counts, settings = by_suite(suites, models or [], "="), by_suite(suites, set_ or [], ":")
    places = [Place(load(each, None), forget_set, _count(counts[each]), settings_of(settings[each])) for each in suites]
    for place in places:
        require_models(place.models)
        place.suite.forget_set(forget_set)
    with ProgressLine("certify page") as watch:
        found = run_page(places, names, workers=place_of_work(workers, None), watch=watch)
    print_line(f"page: {write_page(found, out_)}")
    left = [each for each in found if isinstance(each, Missing)]
    for row in left:
        say(f"{row.method} on {row.suite}, {row.word}: {row.reason}")
    return FAILED_ROWS if any(each.word == "failed" for each in left) else OK


@certify.command(cls=Command, epilog="Example: expunge certify check certificates.jsonl")
def check(
    file: Annotated[Path, typer.Argument(help="Certificates, one a line.")],
    as_json: AsJson = False,
) -> int:
    """Compute certificates again from their constants.

    The exit code is 0 where all follow and are CERTIFIED; 3 where one does not follow, is VACUOUS or NOT CERTIFIED.
    """
    from expunge.certificates.checking import check as faults_of
    from expunge.certificates.record import as_record, read_certificates

    found = [(each, faults_of(each)) for each in read_certificates(file)]
    if as_json:
        print_json([{**as_record(each), "faults": list(faults)} for each, faults in found])
    else:
        for each, faults in found:
            _tell(each, faults)
        say("A certificate that follows from its constants is as true as they are: nobody asked the models.")
    good = all(each.verdict == "CERTIFIED" and not faults for each, faults in found)
    return OK if good else FAILED_ROWS


@certify.command(cls=Command, epilog="Example: expunge certify budget ledger.jsonl --epsilon 4 --delta 1e-4")
def budget(
    file: Annotated[Path, typer.Argument(help="The ledger; it is made where a budget is given.")],
    epsilon: Annotated[float | None, typer.Option(help="Of a new ledger: epsilon of all requests together.")] = None,
    delta: Annotated[float | None, typer.Option(help="Of a new ledger: delta of all requests together.")] = None,
    request: Annotated[str | None, typer.Option(help="Serve this request; each id is served once.")] = None,
    certificate: Annotated[Path | None, typer.Option(help="Certificates of the models after it.")] = None,
    as_json: AsJson = False,
) -> int:
    """Keep a budget: serve requests, say what is left.

    Costs are added up, which holds for whoever sees every model that is released.
    """
    from expunge.certificates.ledger import begin, read_ledger, serve
    from expunge.certificates.record import read_certificates

    if (epsilon is None) != (delta is None):
        raise BadSetting("a new ledger has a budget of both, --epsilon and --delta; give both")
    if (request is None) != (certificate is None):
        raise BadSetting("a request is served with its certificate; give --request and --certificate, or neither")
    if epsilon is not None and delta is not None:
        begin(file, epsilon, delta)
    elif not file.exists():
        raise BadSetting(f"there is no ledger {file}: begin one with --epsilon and --delta, or name one that is there")
    if request is not None and certificate is not None:
        ledger = serve(file, request, read_certificates(certificate))
    else:
        ledger = read_ledger(file)
    _tell_ledger(ledger, as_json)
    return OK


def _count(given: list[str]) -> int:
    """The last number of models that is given of a suite."""
    if wrong := [each for each in given if not each.isdecimal()]:
        raise BadSetting(f"--models {wrong[0]!r}: expected N, or SUITE=N of a suite that is on the page")
    return int(given[-1]) if given else MODELS


def _tell(certificate: "Certificate", faults: tuple[str, ...]) -> None:
    """The word, the numbers, every constant and condition with its standing, and what does not follow."""
    subject, claim = certificate.subject, certificate.claim
    print_line(
        f"{'DOES NOT FOLLOW' if faults else certificate.verdict}: {subject.method} on {subject.suite}, "
        f"{subject.forget_set}, model {certificate.model}, request {claim.request}"
    )
    for fault in faults:
        print_line(f"  does not follow  {fault}")
    for reason in certificate.reasons:
        print_line(f"  {f'{certificate.verdict} is told: ' if faults else ''}{reason}")
    epsilon = "none" if certificate.epsilon is None else f"{certificate.epsilon:.6g}"
    print_line(f"  epsilon {epsilon} at delta {claim.delta:g}, sigma {claim.sigma:.6g}; theorem {claim.theorem}")
    if claim.shift is not None:
        formula = "" if certificate.formula in (None, claim.shift) else f" (by the formula {certificate.formula:.6g})"
        print_line(f"  Delta {claim.shift:.6g}{formula}")
    for name, constant in claim.constants.items():
        print_line(f"  {name} = {constant.value:.6g}  {constant.standing}  {constant.why}")
    for name, condition in certificate.conditions.items():
        print_line(f"  {name}: {condition.stands}  {condition.why}")
    for note in claim.notes:
        print_line(f"  note: {note}")


def _keep(found: "Certification", folder: Path) -> None:
    """The certificates, one a line, and the whole record beside them."""
    import json

    from expunge.certificates.record import write_certificates
    from expunge.store import write_file

    folder.mkdir(parents=True, exist_ok=True)
    write_certificates(folder / CERTIFICATES, found.certificates)
    write_file(folder / MEASURED, json.dumps(found.as_json(), indent=1) + "\n")


def _tell_tried(found: "Certification") -> None:
    """The certificate, what was measured beside its epsilon, utility, checks and planted faults."""
    _tell(found.certificate, ())
    for name, tried in found.tried.items():
        print_line(f"measured, in {name}: {tried.word}. {tried.reason}")
    for name, fault in found.checks.items():
        print_line(f"check of {name}: {fault or 'passes'}")
    for kept in found.utility:
        far = "" if kept.distance is None else f", distance {kept.distance:.2f}"
        print_line(
            f"{kept.stage}, {kept.split}: accuracy {100 * kept.accuracy.value:.1f} % "
            f"[{100 * kept.accuracy.low:.1f}, {100 * kept.accuracy.high:.1f}]{far}"
        )
    print_line(f"cost: {100 * found.cost:.3g} % of a retraining, {found.seconds:.3g} s a model")
    for each in found.planted:
        print_line(f"planted, {each.fault}: {each.outcome} by {each.check}; {each.reason}")
    for note in found.notes:
        print_line(f"note: {note}")


def _tell_ledger(ledger: "Ledger", as_json: bool) -> None:
    from expunge.certificates.theorems.theorem import THEOREMS

    spent, left = ledger.spent, ledger.left
    if as_json:
        print_json(
            {
                "budget": {"epsilon": ledger.epsilon, "delta": ledger.delta},
                "spent": {"epsilon": spent[0], "delta": spent[1]},
                "left": {"epsilon": left[0], "delta": left[1]},
                "requests": [each.model_dump(mode="json") for each in ledger.entries],
            }
        )
        return
    for each in ledger.entries:
        print_line(f"{each.request}: epsilon {each.epsilon:g}, delta {each.delta:g}, by {each.theorem}")
    print_line(f"spent: epsilon {spent[0]:.6g} of {ledger.epsilon:g}, delta {spent[1]:.6g} of {ledger.delta:g}")
    print_line(f"left: epsilon {left[0]:.6g}, delta {left[1]:.6g}")
    for theorem in dict.fromkeys(each.theorem for each in ledger.entries):
        say(f"{theorem}, of later requests: {THEOREMS[theorem].sequential}")
