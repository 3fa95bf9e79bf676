"""Commands on certificates of unlearning: check what one claims, keep the budget of a sequence of requests."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from expunge.cli.application import FAILED_ROWS, OK, Command, app
from expunge.cli.options import AsJson
from expunge.errors import BadSetting
from expunge.terminal import print_json, print_line, say

if TYPE_CHECKING:  # a command imports what it needs: torch takes a second, which --help need not wait for
    from expunge.audits.certificates.certificate import Certificate
    from expunge.audits.certificates.ledger import Ledger

METHOD = "method"  # the command that the name of a method stands for


class Certify(typer.core.TyperGroup):
    """A group whose first word may be the name of a method: where no command is called so, ``method`` is meant."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if METHOD in self.commands and args[0] not in self.commands and not args[0].startswith("-"):
            args = [METHOD, *args]
        return super().resolve_command(ctx, args)


certify = typer.Typer(
    name="certify", cls=Certify, no_args_is_help=True, help="Certificates of unlearning, and what a sequence costs."
)
app.add_typer(certify, rich_help_panel=None)


@certify.command(cls=Command, epilog="Example: expunge certify check certificates.jsonl")
def check(
    file: Annotated[Path, typer.Argument(help="Certificates, one a line.")],
    as_json: AsJson = False,
) -> int:
    """Compute certificates again from their constants.

    The exit code is 0 where all follow and are CERTIFIED; 3 where one does not follow, is VACUOUS or NOT CERTIFIED.
    """
    from expunge.audits.certificates.checking import check as faults_of
    from expunge.audits.certificates.record import as_record, read_certificates

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
    from expunge.audits.certificates.ledger import begin, read_ledger, serve
    from expunge.audits.certificates.record import read_certificates

    if (epsilon is None) != (delta is None):
        raise BadSetting("a new ledger has a budget of both, --epsilon and --delta; give both")
    if (request is None) != (certificate is None):
        raise BadSetting("a request is served with its certificate; give --request and --certificate, or neither")
    if epsilon is not None and delta is not None:
        begin(file, epsilon, delta)
    if request is not None and certificate is not None:
        ledger = serve(file, request, read_certificates(certificate))
    else:
        ledger = read_ledger(file)
    _tell_ledger(ledger, as_json)
    return OK


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
        print_line(f"  {reason}")
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


def _tell_ledger(ledger: "Ledger", as_json: bool) -> None:
    from expunge.methods.bounds.theorem import THEOREMS

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
