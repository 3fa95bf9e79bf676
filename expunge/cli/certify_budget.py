"""The budget of a sequence of requests, in a ledger."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from expunge.cli.application import OK, Command
from expunge.cli.certify import certify
from expunge.cli.options import AsJson
from expunge.errors import BadSetting
from expunge.terminal import print_json, print_line, say_text

if TYPE_CHECKING:  # a command imports what it needs, so that --help waits for nothing
    from expunge.certificates.ledger import Ledger


@certify.command(cls=Command, epilog="Example: expunge certify budget ledger.jsonl --epsilon 4 --delta 1e-4")
def budget(
    file: Annotated[Path, typer.Argument(help="The ledger; it is made where a budget is given.")],
    epsilon: Annotated[float | None, typer.Option(help="For a new ledger: epsilon of all requests together.")] = None,
    delta: Annotated[float | None, typer.Option(help="For a new ledger: delta of all requests together.")] = None,
    request: Annotated[str | None, typer.Option(help="Serve this request; each id is served once.")] = None,
    certificate: Annotated[Path | None, typer.Option(help="Certificates of the models after it.")] = None,
    as_json: AsJson = False,
) -> int:
    """Keep the budget of epsilon and delta over a sequence of requests.

    Costs are added up, which holds for whoever sees every model that is released. A request costs what the dearest of
    its certificates says.
    """
    from expunge.certificates.counted import lacking
    from expunge.certificates.ledger import begin, read_ledger, serve
    from expunge.certificates.record import read_certificates

    if (epsilon is None) != (delta is None):
        raise BadSetting("a new ledger has a budget of both, --epsilon and --delta; give both")
    if (request is None) != (certificate is None):
        raise BadSetting("a request is served with its certificate; give --request and --certificate, or neither")
    certificates = read_certificates(certificate) if certificate is not None else ()
    if epsilon is not None and delta is not None:
        begin(file, epsilon, delta)
    elif not file.exists():
        raise BadSetting(f"there is no ledger {file}: begin one with --epsilon and --delta, or name one that is there")
    ledger = read_ledger(file) if request is None else serve(file, request, certificates)
    for line in lacking(certificates):
        say_text(line)
    _tell_ledger(ledger, as_json)
    return OK


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
                "end": ledger.end,
            }
        )
        return
    for each in ledger.entries:
        print_line(f"{each.request}: epsilon {each.epsilon:g}, delta {each.delta:g}, by {each.theorem}")
    print_line(f"spent: epsilon {spent[0]:.6g} of {ledger.epsilon:g}, delta {spent[1]:.6g} of {ledger.delta:g}")
    print_line(f"left: epsilon {left[0]:.6g}, delta {left[1]:.6g}")
    for theorem in dict.fromkeys(each.theorem for each in ledger.entries):
        say_text(f"{theorem}, of later requests: {THEOREMS[theorem].sequential}")
    say_text(
        f"the ledger ends with {ledger.end}: keep that elsewhere, for lines taken off its end leave no other trace"
    )
