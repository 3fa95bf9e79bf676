"""Commands that make of a folder of results what goes into a paper: comparisons, tables, figures."""

from pathlib import Path
from typing import Annotated

import typer

from expunge.cli.application import OK, Reader, app
from expunge.cli.options import AsJson
from expunge.errors import BadSetting
from expunge.printed_tables import print_table
from expunge.terminal import print_json, print_line, print_text, say

Run = Annotated[Path, typer.Argument(help="The --out folder of a bench.")]
OfSet = Annotated[str | None, typer.Option("--forget-set", help="Only this forget set; default: all.")]
Format = Annotated[str, typer.Option("--format", help="Format of the pictures: svg, pdf, png or html.")]
Width = Annotated[
    int,
    typer.Option(
        help="Width of the pictures, labels included; a PNG has twice as many pixels. Small maps are narrower."
    ),
]
Labels = Annotated[
    list[str] | None, typer.Option("--label", help="Name of a row, as METHOD=NAME; repeat. The records keep theirs.")
]


@app.command(cls=Reader, epilog="Example: expunge compare out scrub salun --forget-set class-3")
def compare(
    run: Run,
    first: Annotated[str | None, typer.Argument(help="A method that has a row.")] = None,
    second: Annotated[str | None, typer.Argument(help="Another method.")] = None,
    all_: Annotated[bool, typer.Option("--all", help="Compare every pair of methods, with Holm's correction.")] = False,
    forget_set: OfSet = None,
    examples: Annotated[
        int, typer.Option(help="Number of examples to show per split, those on which the methods differ most.")
    ] = 3,
    out_: Annotated[Path | None, typer.Option("--out", help="With --all: folder for pictures of the pairs.")] = None,
    format_: Format = "svg",
    width: Width = 700,
    as_json: AsJson = False,
) -> int:
    """Say which of two methods is nearer to the oracles, by how much, and on which examples.

    It gives paired differences over the same models, with 95 % intervals, on forget, retain and test, and their mean.
    """
    from expunge.bench.comparisons import compare_all, compare_on
    from expunge.bench.opened import open_run
    from expunge.reports.papers.comparison_tables import as_values, render_comparison, render_matrix
    from expunge.reports.papers.labels import row_named
    from expunge.reports.papers.pair_maps import draw_pairs
    from expunge.reports.papers.pictures import require_drawable, require_folder

    named = [name for name in (first, second) if name is not None]
    _require_methods(named, all_, out_)
    if out_:
        require_drawable(format_, width)
        require_folder(out_)
    opened = open_run(run)
    named = [row_named(opened, name) for name in named]
    chosen = [opened.forget_set(forget_set)] if forget_set else list(opened.forget_sets.values())
    if all_:
        matrices = [compare_all(each) for each in chosen]
        for file in draw_pairs(matrices, out_, format_, width) if out_ else ():
            say(f"picture: {file}")
        values, parts = as_values(matrices), [part for each in matrices for part in render_matrix(each)]
    else:
        found = [compare_on(each, *named, examples=examples) for each in opened.sets_with(named, chosen)]
        values, parts = as_values(found), [part for each in found for part in render_comparison(each)]
    if as_json:
        print_json(values)
        return OK
    for part in parts:
        print_text(part) if isinstance(part, str) else print_table(part)
    return OK


def _require_methods(named: list[str], all_: bool, out: Path | None) -> None:
    if len(named) != (0 if all_ else 2):
        wanted = "no method beside --all" if all_ else "two methods, or --all"
        raise BadSetting(f"expected {wanted}, got {', '.join(named) or 'none'}")
    if out and not all_:
        raise BadSetting("expected --out beside --all, whose pairs it draws, got it beside two methods")


@app.command(cls=Reader, epilog="Example: expunge table out --format latex --forget-set class-3 --out class-3.tex")
def table(
    run: Run,
    format_: Annotated[str, typer.Option("--format", help="markdown, csv or latex.")] = "markdown",
    intervals: Annotated[str, typer.Option(help="How to give intervals: small (print), columns or none.")] = "small",
    forget_set: OfSet = None,
    label: Labels = None,
    out_: Annotated[Path | None, typer.Option("--out", help="File to write to; default: standard output.")] = None,
) -> int:
    """Write the tables of a bench for a paper: Markdown, LaTeX with booktabs, or every record as CSV.

    The best row, and the rows that cannot be told apart from it, are marked. The caption has the number of models,
    the budget, the suite's digest and the version.
    """
    from expunge.bench.opened import open_run
    from expunge.reports.page.html import write_page
    from expunge.reports.papers.tables import table_of

    if out_ and out_.suffix in (".pdf", ".png", ".svg", ".html"):
        raise BadSetting(f"--out {out_}: a table is text; expected a file such as {out_.with_suffix('.tex')}")
    text = table_of(open_run(run), format_, intervals, forget_set, label or ())
    if out_:
        write_page(out_, text)
        say(f"table: {out_}")
    else:
        print_line(text.removesuffix("\n"))
    return OK


@app.command(cls=Reader, epilog="Example: expunge figures out --forget-set class-3 --example 1339 --format pdf")
def figures(
    run: Run,
    format_: Format = "svg",
    out_: Annotated[Path, typer.Option("--out", help="Folder for the figures.")] = Path("figures"),
    width: Width = 700,
    forget_set: OfSet = None,
    example: Annotated[
        list[int] | None, typer.Option(help="Draw the margins of this example, numbered train then test; repeat.")
    ] = None,
    method: Annotated[
        list[str] | None, typer.Option(help="Draw the margins under this method; repeat; default: the nearest method.")
    ] = None,
    label: Labels = None,
) -> int:
    """Draw the plots of a report as files: quality against compute, margins of examples, methods by forget sets."""
    from expunge.bench.opened import open_run
    from expunge.reports.papers.figures import Wanted, draw_figures
    from expunge.reports.papers.pictures import require_drawable, require_folder

    require_drawable(format_, width)
    require_folder(out_)
    wanted = Wanted(forget_set, example or (), method or (), label or ())
    for file in draw_figures(open_run(run), out_, format_, width, wanted):
        print_line(str(file))
    return OK
