"""The page of certified methods: claims beside what is measured, on several suites."""

from pathlib import Path
from typing import Annotated

import typer

from expunge.cli.application import FAILED_ROWS, OK, Command
from expunge.cli.certify import MODELS, certify, settings_for
from expunge.cli.options import Workers, by_suite, load, place_of_work
from expunge.errors import BadSetting
from expunge.terminal import ProgressLine, print_line, say_text

PAGE_SUITES = ("tabular", "tabular-mlp", "digits")


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
    forget_set: Annotated[str, typer.Option(help="The forget set, on every suite.")] = "random-10",
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="A setting, as METHOD.KEY=VALUE or SUITE:METHOD.KEY=VALUE; repeat."),
    ] = None,
    models: Annotated[
        list[str] | None, typer.Option(help="Models in each arm: N, or SUITE=N for one suite; repeat; default: 200.")
    ] = None,
    out_: Annotated[Path, typer.Option("--out", help="Folder for certificates.md and certificates.json.")] = Path(
        "out/certify"
    ),
    workers: Workers = None,
) -> int:
    """Set claims beside measurements: all certified methods on suites, with planted faults.

    What was done is kept in the store. All claims of the page are judged together. The exit code is 3 where a method
    failed, else 0, whatever was found; the last line says how many claims could be tested.
    """
    from expunge.audits.refutation.arms import require_models
    from expunge.methods.certified import CERTIFIED, guarantee_of
    from expunge.reports.certification.entries import Missing
    from expunge.reports.certification.page import Place, run_page, tests_of, write_page

    names = list(method or CERTIFIED)
    for each in names:
        guarantee_of(each)
    suites = suite or list(PAGE_SUITES)
    counts, settings = by_suite(suites, models or [], "="), by_suite(suites, set_ or [], ":")
    places = [
        Place(load(each, None), forget_set, _count(counts[each]), settings_for(names, settings[each]))
        for each in suites
    ]
    for place in places:
        require_models(place.models)
        place.suite.forget_set(forget_set)
    with ProgressLine("certify page") as watch:
        found = run_page(places, names, workers=place_of_work(workers, None), watch=watch)
    print_line(f"page: {write_page(found, out_)}")
    left = [each for each in found if isinstance(each, Missing)]
    for row in left:
        say_text(f"{row.method} on {row.suite}, {row.word}: {row.reason}")
    print_line(tests_of(found))
    return FAILED_ROWS if any(each.word == "failed" for each in left) else OK


def _count(given: list[str]) -> int:
    """The last number of models that is given of a suite."""
    if wrong := [each for each in given if not each.isdecimal()]:
        raise BadSetting(f"--models {wrong[0]!r}: expected N, or SUITE=N of a suite that is on the page")
    return int(given[-1]) if given else MODELS
