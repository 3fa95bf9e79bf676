"""The tables of an opened run, in the format that a paper wants."""

from collections.abc import Sequence

from expunge.bench.opened import Run
from expunge.errors import BadSetting, lookup
from expunge.reports.papers.flat_records import to_csv
from expunge.reports.papers.labels import labelled
from expunge.reports.papers.markup import APART, NONE, SMALL, to_latex, to_markdown
from expunge.reports.papers.paper_tables import paper_tables

INTERVALS = {name: name for name in (SMALL, APART, NONE)}
FORMATS = {"markdown": to_markdown, "latex": to_latex, "csv": None}


def table_of(
    run: Run, form: str = "markdown", intervals: str = SMALL, forget_set: str | None = None, labels: Sequence[str] = ()
) -> str:
    """One table for each forget set, or for one: "markdown", "latex", or "csv", which holds every record in full.

    ``labels`` are ``METHOD=NAME``, what a row is called; records keep their names.
    """
    write = lookup("format", form, FORMATS)
    lookup("place for --intervals", intervals, INTERVALS)
    chosen = run.scores if forget_set is None else list(run.forget_set(forget_set).scores)
    if write is None:
        if labels:
            raise BadSetting("expected no --label beside csv, whose records keep their names; take markdown or latex")
        return to_csv(chosen)
    return write(paper_tables(chosen, run.folder.run, labelled(run, labels)), intervals)
