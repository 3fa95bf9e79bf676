"""Tables of a paper as Markdown and as LaTeX with booktabs; what a name holds is never obeyed by either."""

from collections.abc import Callable, Sequence

from expunge.reports.papers.paper_tables import BEST, COLUMNS, LIKE_BEST, PaperLine, PaperTable

SMALL, APART, NONE = "small", "columns", "none"  # where intervals stand
PREAMBLE = "% needs \\usepackage{booktabs,graphicx}"
DAGGER = "†"


def to_markdown(tables: Sequence[PaperTable], intervals: str = SMALL) -> str:
    """A pipe table for each, with its caption below."""
    return "\n".join(_markdown(table, intervals) for table in tables)


def _markdown(table: PaperTable, intervals: str) -> str:
    head = ["method", *_headings(intervals), "reading"]
    ruler = ["---", *("---:" for _ in head[2:]), "---"]
    rows = [_markdown_cells(line, intervals) for line in table.lines]
    lines = [f"| {' | '.join(cells)} |" for cells in (head, ruler, *rows)]
    notes = [plain_markdown(each) for each in (table.caption, *table.notes)]
    return "\n".join([f"**{plain_markdown(table.forget_set)}**", "", *lines, "", "  \n".join(notes), ""])


def _markdown_cells(line: PaperLine, intervals: str) -> list[str]:
    name = plain_markdown(line.method)
    shown = {BEST: f"**{name}**", LIKE_BEST: f"{name} {DAGGER}"}.get(line.standing, name)
    numbers = _numbers(line, intervals, str, "{} <sub>{}</sub>")
    return [shown, *numbers, f"{line.mark} {line.reading}"]


def plain_markdown(text: str) -> str:
    """Text that Markdown and HTML show as it is.

    >>> plain_markdown("a|b <i> *c*")
    'a\\\\|b &lt;i&gt; \\\\*c\\\\*'
    """
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return "".join(f"\\{each}" if each in "\\`*_{}[]|~#$" else each for each in escaped)


def to_latex(tables: Sequence[PaperTable], intervals: str = SMALL) -> str:
    """A floating table for each, no wider than the text."""
    return "\n".join([PREAMBLE, *(_latex(table, intervals) for table in tables)])


def _latex(table: PaperTable, intervals: str) -> str:
    upper, lower = zip(*(_in_two_lines(each) for each in ["method", *_headings(intervals), "reading"]), strict=True)
    rows = [_latex_cells(line, intervals) for line in table.lines]
    notes = " ".join([plain_latex(table.caption), *map(plain_latex, table.notes)])
    return "\n".join(
        [
            "\\begin{table}[t]",
            "\\centering",
            f"\\caption{{{notes}}}",
            "\\smallskip",
            f"\\label{{tab:{_label(table.forget_set)}}}",
            "\\resizebox{\\ifdim\\width>\\linewidth\\linewidth\\else\\width\\fi}{!}{%",
            "\\setlength{\\tabcolsep}{3.5pt}%",
            f"\\begin{{tabular}}{{l{'r' * (len(lower) - 2)}l}}",
            "\\toprule",
            f"{' & '.join(upper)} \\\\",
            *(f"{' & '.join(cells)} \\\\{after}" for cells, after in _ruled(list(lower), rows, table)),
            "\\bottomrule",
            "\\end{tabular}}",
            "\\end{table}",
            "",
        ]
    )


def _ruled(head: list[str], rows: list[list[str]], table: PaperTable) -> list[tuple[list[str], str]]:
    """The lines of a table, and the rule that follows the head and the floor."""
    floors = [line.reading == "floor" for line in table.lines]
    return [
        (head, " \\midrule"),
        *((row, " \\midrule" if floor else "") for row, floor in zip(rows, floors, strict=True)),
    ]


def _latex_cells(line: PaperLine, intervals: str) -> list[str]:
    name = plain_latex(line.method)
    shown = {BEST: f"\\textbf{{{name}}}", LIKE_BEST: f"{name}$^\\dagger$"}.get(line.standing, name)
    numbers = _numbers(line, intervals, plain_latex, "{} {{\\scriptsize {}}}")
    return [shown, *numbers, plain_latex(line.reading)]


def _headings(intervals: str) -> list[str]:
    pairs = [[each.heading, "±"] if intervals == APART and each.half else [each.heading] for each in COLUMNS]
    return [text for pair in pairs for text in pair]


def _in_two_lines(heading: str) -> tuple[str, str]:
    """What stands above, where a heading has two words, and what below."""
    upper, _, lower = heading.rpartition(" ")
    return plain_latex(upper), plain_latex(lower)


def _numbers(line: PaperLine, intervals: str, written: Callable[[str], str], small: str) -> list[str]:
    """The cells of a row: each number alone, with half its interval in ``small`` print, or in a column of its own."""
    cells = []
    for (number, half), column in zip(line.cells, COLUMNS, strict=True):
        value = f"−{number[1:]}" if number.startswith("-") else number
        if intervals == APART and column.half:
            cells += [written(value), written(half.removeprefix("±"))]
        else:
            both = half and intervals == SMALL
            cells.append(small.format(written(value), written(half)) if both else written(value))
    return cells


LATEX = {
    "\\": "\\textbackslash{}",
    "{": "\\{",
    "}": "\\}",
    **{each: f"\\{each}" for each in "%&_#$"},
    **{each: f"{{{each}}}" for each in "[]*"},  # which the end of a line before them would take for its own
    "~": "\\textasciitilde{}",
    "^": "\\textasciicircum{}",
    "<": "$<$",
    ">": "$>$",
    "|": "$|$",
    '"': "{''}",
    "±": "$\\pm$",
    "−": "$-$",
    "–": "--",
    "↑": "$\\uparrow$",
    "†": "$^\\dagger$",
    "’": "'",
    "…": "\\ldots{}",
}
EVERYWHERE = frozenset("¡¿ÄÖÜäöüßÀÁÂÃÅÆÇÈÉÊËÌÍÎÏÑÒÓÔÕØÙÚÛÝàáâãåæçèéêëìíîïñòóôõøùúûýÿ")  # of any LaTeX since 2018


def plain_latex(text: str) -> str:
    """Text that LaTeX sets as it is; a character that its usual fonts lack is named by its number.

    >>> plain_latex("50 % of a_b & c"), plain_latex("é \\u4e2d")
    ('50 \\\\% of a\\\\_b \\\\& c', 'é [U+4E2D]')
    """
    return "".join(
        LATEX.get(each) or (each if each.isascii() or each in EVERYWHERE else f"[U+{ord(each):04X}]") for each in text
    )


def _label(name: str) -> str:
    return "".join(each if each.isascii() and each.isalnum() else "-" for each in name)
