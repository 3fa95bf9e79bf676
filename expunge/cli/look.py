"""The command that looks at one model."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from expunge.cli.application import OK, Reader, app
from expunge.cli.options import AsJson, Prune, Suite, load
from expunge.printed_tables import print_table
from expunge.terminal import print_json, print_text

if TYPE_CHECKING:  # a command imports what it needs: torch takes a second, which --help need not wait for
    from expunge.audits.one_model import Looked
    from expunge.records import SplitName
    from expunge.suites import ForgetSet
    from expunge.suites import Suite as Loaded


@app.command(cls=Reader, epilog="Example: expunge look digits memorised-50 model.pt")
def look(
    suite: Suite,
    forget_set: Annotated[str, typer.Argument(help="Name of one of its forget sets.")],
    model: Annotated[
        Path, typer.Argument(help="A state dict, .pt or .safetensors, or a .npy of its margins, train then test.")
    ],
    examples: Annotated[int, typer.Option(min=0, help="Number of forget examples to show, the strangest first.")] = 10,
    prune: Prune = None,
    as_json: AsJson = False,
) -> int:
    """Look at one model: where its margins lie among oracles and pretrained models.

    Of 100 oracles, 95 have no forget example that is told apart. The last lines say what one model cannot show.
    """
    from expunge.audits.one_model_file import look_at_file
    from expunge.reports.tables.one_model import SPARE, render_look

    loaded = load(suite, prune)
    forget = loaded.forget_set(forget_set)
    found = look_at_file(loaded, forget, model)
    if as_json:
        print_json(_in_json(loaded, forget, found))
        return OK
    for part in render_look(loaded, forget, found, examples):
        print_text(part) if isinstance(part, str) else print_table(part, SPARE)
    return OK


def _in_json(suite: "Loaded", forget: "ForgetSet", found: "dict[SplitName, Looked]") -> dict[str, Any]:
    """All that was seen; example by example in the order of each split."""
    from expunge.audits.one_model import CANNOT

    return {
        "suite": suite.name,
        "suite_digest": suite.digest,
        "forget_set": forget.name,
        "forget_digest": forget.sha256,
        "splits": {
            split: {
                "examples": suite.data.owners[suite.columns(forget)[split]].tolist(),
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
        "cannot": CANNOT,
    }
