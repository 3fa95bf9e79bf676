"""Commands that tell what there is, where it comes from, and whether it is sound."""

from typing import Annotated

import typer

from expunge.cli.application import OK, USER_ERROR, Reader, app
from expunge.cli.options import AsJson
from expunge.cli.printing import in_words, print_checks
from expunge.terminal import print_json, print_line, print_text


@app.command("list", cls=Reader, epilog="Example: expunge list methods --json")
def list_(
    kind: Annotated[
        str | None, typer.Argument(help="suites, methods, metrics, audits, attacks, defences or forget-sets.")
    ] = None,
    as_json: AsJson = False,
) -> int:
    """List suites, methods, metrics, audits, attacks, defences or forget sets."""
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
            print_text(f"  {entry['name']:<{width}}  {entry['summary']}", hang=width + 4)
    return OK


@app.command(cls=Reader, epilog="Example: expunge info scrub")
def info(
    name: Annotated[
        str, typer.Argument(help="A method, suite, metric, audit, attack, defence or forget set; or readings.")
    ],
    as_json: AsJson = False,
) -> int:
    """Describe a method, suite, metric, audit, attack, defence or forget set.

    ``readings`` is the legend of a bench's tables, in full.
    """
    from expunge.reports.catalogue import describe

    facts = describe(name)
    if as_json:
        print_json(facts)
        return OK
    for key, value in facts.items():
        first, *more = in_words(value).split("\n")
        print_text(f"{key:<12} {first}", hang=13)
        for line in more:
            print_text(f"{'':<12} {line}", hang=13)
    return OK


@app.command(cls=Reader, epilog="Example: expunge cite scrub fine-tune")
def cite(
    names: Annotated[
        list[str] | None, typer.Argument(help="Methods, metrics, audits, attacks, defences; default: expunge.")
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Print the references of methods, metrics, audits, attacks and defences as BibTeX."""
    from expunge.reports.cards import cite as run

    found = {name or "expunge": run(name) for name in dict.fromkeys(names or [""])}
    print_json(found) if as_json else print_line("\n\n".join(found.values()))
    return OK


@app.command(cls=Reader, epilog="Example: expunge doctor")
def doctor(as_json: AsJson = False) -> int:
    """Check this installation: versions, files, store, speed."""
    from expunge.reports.doctor import examine

    checks = examine()
    print_checks(checks, as_json)
    return OK if all(each["ok"] for each in checks) else USER_ERROR
