"""What a notebook shows: small HTML tables, in which a name is text and never markup."""

from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING

from expunge.suites.forget_set import ForgetSet, ForgetSets, Unmade

if TYPE_CHECKING:  # which shows itself by this module
    from expunge.suites.suite import Suite


def html_table(title: str, headings: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table as HTML, everything in it escaped; what is None is a dash.

    >>> html_table("sets", ["name"], [["<b>"], [None]])
    '<table><caption>sets</caption><tr><th>name</th></tr><tr><td>&lt;b&gt;</td></tr><tr><td>–</td></tr></table>'
    """
    head = "".join(f"<th>{escape(each)}</th>" for each in headings)
    lines = ("".join(f"<td>{escape('–' if cell is None else str(cell))}</td>" for cell in row) for row in rows)
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    return f"<table><caption>{escape(title)}</caption><tr>{head}</tr>{body}</table>"


def suite_as_html(suite: "Suite") -> str:
    """The forget sets of a suite, none of which is made for it."""
    train, test = suite.data.sizes
    title = f"{suite.name}: {train:,} training and {test:,} test examples, {suite.data.classes} classes, {suite.digest}"
    known = ForgetSets(suite.forget_sets)
    rows = [[name, *_facts(known.held(name))] for name in known]
    return html_table(title, ["forget set", "examples", "kind", "how it was made"], rows)


def _facts(held: object) -> list[object]:
    """Size, kind and making of a forget set; what is not known of one that is not made yet is None."""
    if isinstance(held, ForgetSet):
        return [len(held), held.kind or None, held.made]
    return [None, held.kind or None, held.made] if isinstance(held, Unmade) else [None, None, None]
