"""What was seen of one model, in the terminal."""

from collections.abc import Mapping

from numpy import ndarray
from rich.table import Table

from expunge.audits.one_model import CANNOT, LEVEL, Looked
from expunge.errors import MissingData
from expunge.records import SplitName
from expunge.reports.tables.formats import whole_percent
from expunge.suites import ForgetSet, Suite

LEGEND = (
    "held still: examples that lie towards the pretrained models, beyond 95 % of the oracles; told apart: in any "
    "direction, false discoveries held at 5 %; way: from the pretrained models to the oracles, beside what 90 % of "
    "both get; p: of the model as a whole being an oracle."
)
SPLIT_HEADS = ("split", "held still", "told apart", "way", "oracles", "pretrained", "p")
SPARE = ("pretrained",)  # what a narrow terminal can do without
EXAMPLE_HEADS = ("example", "label", "margin", "oracles", "pretrained", "p seen")


def render_look(suite: Suite, forget: ForgetSet, found: Mapping[SplitName, Looked], most: int) -> list[Table | str]:
    """A table of the splits, one of the ``most`` strangest forget examples, the finding, and what it cannot show."""
    forgotten = found["forget"]
    return [_splits(found), _strangest(suite, forget, forgotten, most), _in_words(forgotten), LEGEND, CANNOT]


def _splits(found: Mapping[SplitName, Looked]) -> Table:
    table = _table(SPLIT_HEADS)
    for split, each in found.items():
        table.add_row(
            split,
            whole_percent(float((each.p_seen <= LEVEL).mean())),
            f"{each.told_apart.sum()} of {each.told_apart.size}",
            whole_percent(each.way),
            _ends(each.oracles_way),
            _ends(each.pretrained_way),
            f"{each.p:.2g}",
        )
    return table


def _strangest(suite: Suite, forget: ForgetSet, found: Looked, most: int) -> Table:
    columns, owners, labels = suite.columns(forget)["forget"], suite.data.owners, _labels(suite)
    table = _table(EXAMPLE_HEADS if labels is not None else (*EXAMPLE_HEADS[:1], *EXAMPLE_HEADS[2:]))
    for row in found.strangest[:most].tolist():
        table.add_row(
            str(owners[columns[row]]),  # of a text, every token has a margin of its own
            *([str(labels[columns[row]])] if labels is not None else []),
            _number(float(found.margins[row])),
            _quantiles(found.oracle_quantiles[:, row]),
            _quantiles(found.pretrained_quantiles[:, row]),
            f"{found.p_seen[row]:.2g}" + (" *" if found.told_apart[row] else ""),
        )
    return table


def _labels(suite: Suite) -> ndarray | None:
    """The label of each column; None of a target without, and where the data are not at hand."""
    try:
        return suite.target.shown(suite.data)
    except MissingData:  # published margins come without their data
        return None


def _in_words(found: Looked) -> str:
    size, apart, held = found.told_apart.size, int(found.told_apart.sum()), int((found.p_seen <= LEVEL).sum())
    if apart:
        told = f"On forget this model is no oracle of this suite: {apart} of {size} are told apart (*)."
    elif found.p <= LEVEL:
        told = f"As a whole this model is no oracle of this suite (p {found.p:.2g}), though no example is told apart."
    else:
        told = "On forget this model cannot be told from an oracle."
    return (
        f"{told} It holds {held} of {size} still (p seen at most {LEVEL:g}; chance alone gives an oracle "
        f"{LEVEL * size:.3g}), and lies {whole_percent(found.way)} of the way from the pretrained models, 0 %, to the "
        "oracles, 100 %."
    )


def _table(heads: tuple[str, ...]) -> Table:
    return Table(*heads, box=None, pad_edge=False, padding=(0, 2, 0, 0))


def _ends(ends: tuple[float, float]) -> str:
    return f"{whole_percent(ends[0]).removesuffix(' %')} to {whole_percent(ends[1])}"


def _number(value: float) -> str:
    return f"{value:.1f}".replace("-", "−")


def _quantiles(of: ndarray) -> str:
    """The middle, and 5 and 95 %."""
    low, middle, high = map(_number, of.tolist())
    return f"{middle} [{low}, {high}]"
