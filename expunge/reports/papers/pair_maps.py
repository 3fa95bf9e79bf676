"""The matrix of all pairs as a picture."""

from collections.abc import Sequence
from pathlib import Path

from expunge.bench.comparisons import PairMatrix
from expunge.names import as_file_name
from expunge.reports.page.heat_maps import Shade, Spec, heat_map
from expunge.reports.papers.comparison_tables import matrix_cell, p_value
from expunge.reports.papers.pictures import write_picture

NEARER, FARTHER, OPEN = "the row is nearer to the oracles", "the row is farther", "not told apart"
SHADES = {NEARER: Shade("#1b5e8c", "#ffffff"), FARTHER: Shade("#cfd4da"), OPEN: Shade("#ffffff")}


def draw_pairs(found: Sequence[PairMatrix], folder: Path, form: str, width: int) -> list[Path]:
    """A picture of each matrix in ``folder``."""
    files = [folder / f"pairs-{as_file_name(each.forget_set)}.{form}" for each in found]
    return [write_picture(file, pair_map(each), width=width) for file, each in zip(files, found, strict=True)]


def pair_map(found: PairMatrix) -> Spec:
    """The method of each row less that of each column; dark where the row is surely nearer, grey where farther."""
    cells = [
        {
            "row": row,
            "column": column,
            "text": matrix_cell(found, row, column),
            "shade": _shade(found, row, column),
            "p, corrected": p_value(found.pair(row, column).corrected),
        }
        for row in found.methods
        for column in found.methods
        if row != column
    ]
    told = (
        f"{found.forget_set}: distance of the row less that of the column, mean over forget, retain and test, in sd of "
        f"the oracles; paired over {found.models} models, Holm-corrected for {len(found.pairs)} pairs"
    )
    spec = heat_map(cells, (found.methods, found.methods), SHADES, told)
    title = {"text": found.forget_set, "subtitle": "distance of the row less that of the column, sd"}
    return {"title": title, **spec}


def _shade(found: PairMatrix, row: str, column: str) -> str:
    nearer = found.pair(row, column).nearer
    return (NEARER if nearer == row else FARTHER) if nearer else OPEN
