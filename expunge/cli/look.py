"""The command that looks at one model."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from expunge.cli.application import OK, Command, app
from expunge.cli.options import AsJson, Prune, Suite, load
from expunge.terminal import print_json, print_table, print_text

if TYPE_CHECKING:  # a command imports what it needs: torch takes a second, which --help need not wait for
    from rich.table import Table

    from expunge.audits.one_model import Looked
    from expunge.records import SplitName
    from expunge.suites import ForgetSet
    from expunge.suites import Suite as Loaded


@app.command(cls=Command, epilog="Example: expunge look digits memorised-50 model.pt")
def look(
    suite: Suite,
    forget_set: Annotated[str, typer.Argument(help="Name of one of its forget sets.")],
    model: Annotated[
        Path, typer.Argument(help="A state dict, .pt or .safetensors, or a .npy of its margins, train then test.")
    ],
    examples: Annotated[int, typer.Option(min=0, help="So many forget examples are shown, the strangest first.")] = 10,
    prune: Prune = None,
    as_json: AsJson = False,
) -> int:
    """Look at one model: where its margins lie among oracles and pretrained models.

    An oracle has no forget example told apart in 95 of 100 cases. The last lines say what one model cannot show.
    """
    from expunge.audits.one_model import CANNOT
    from expunge.audits.one_model_file import look_at_file

    loaded = load(suite, prune)
    forget = loaded.forget_set(forget_set)
    found = look_at_file(loaded, forget, model)
    if as_json:
        print_json({**_in_json(loaded, forget, found), "cannot": CANNOT})
        return OK
    print_table(_summary(found))
    print_table(_strangest(loaded, forget, found["forget"], examples))
    print_text(_in_words(found["forget"]))
    print_text(LEGEND)
    print_text(CANNOT)
    return OK


def _summary(found: "dict[SplitName, Looked]") -> "Table":
    from rich.table import Table

    from expunge.audits.one_model import LEVEL

    heads = ("split", "held still", "told apart", "way", "oracles", "pretrained", "p")
    table = Table(*heads, box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for split, each in found.items():
        table.add_row(
            split,
            f"{100 * (each.p_seen <= LEVEL).mean():.0f} %",
            f"{each.told_apart.sum()} of {each.told_apart.size}",
            _percent(each.way),
            _ends(each.oracles_way),
            _ends(each.pretrained_way),
            f"{each.p:.2g}",
        )
    return table


def _ends(ends: tuple[float, float]) -> str:
    return f"{_percent(ends[0]).removesuffix(' %')} to {_percent(ends[1])}"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %".replace("-0 ", "0 ").replace("-", "−")


def _strangest(suite: "Loaded", forget: "ForgetSet", found: "Looked", most: int) -> "Table":
    from rich.table import Table

    heads = ("example", "label", "margin", "oracles", "pretrained", "p seen")
    table = Table(*heads, box=None, pad_edge=False, padding=(0, 2, 0, 0))
    labels = suite.data.train.y
    for row in found.strangest[: max(0, most)].tolist():
        index = int(forget.indices[row])
        table.add_row(
            str(index),
            str(labels[index].tolist()),
            f"{found.margins[row]:.1f}".replace("-", "−"),
            _quantiles(found.oracle_quantiles[:, row]),
            _quantiles(found.pretrained_quantiles[:, row]),
            f"{found.p_seen[row]:.2g}" + (" *" if found.told_apart[row] else ""),
        )
    return table


def _quantiles(of: Any) -> str:
    return f"{of[1]:.1f} [{of[0]:.1f}, {of[2]:.1f}]".replace("-", "−")


def _in_words(found: "Looked") -> str:
    """What the tables say, and the finding on forget."""
    from expunge.audits.one_model import LEVEL

    size, apart, held = found.told_apart.size, int(found.told_apart.sum()), int((found.p_seen <= LEVEL).sum())
    if apart or found.p <= LEVEL:
        told = f"On forget this model is no oracle of this suite: {apart} of {size} examples are told apart (*)."
    else:
        told = "On forget this model cannot be told from an oracle."
    return (
        f"{told} It holds {held} of {size} still (p seen at most {LEVEL:g}; chance alone gives an oracle "
        f"{LEVEL * size:.0f}), and lies {_percent(found.way)} of the way from the pretrained models, 0 %, to the "
        "oracles, 100 %."
    )


LEGEND = (
    "held still: examples that lie towards the pretrained models, beyond 95 % of the oracles; told apart: in any "
    "direction, false discoveries held at 5 %; way: from the pretrained models to the oracles, beside what 90 % of "
    "both get; p: of the model as a whole being an oracle."
)


def _in_json(suite: "Loaded", forget: "ForgetSet", found: "dict[SplitName, Looked]") -> dict[str, Any]:
    """All that was seen; example by example in the order of each split."""
    return {
        "suite": suite.name,
        "suite_digest": suite.digest,
        "forget_set": forget.name,
        "splits": {
            split: {
                "examples": suite.columns(forget)[split].tolist(),
                **{
                    name: getattr(each, name).tolist()
                    for name in ("margins", "quantile", "p_values", "p_seen", "told_apart")
                },
                "way": each.way,
                "oracles_way": list(each.oracles_way),
                "pretrained_way": list(each.pretrained_way),
                "p": each.p,
            }
            for split, each in found.items()
        },
    }
