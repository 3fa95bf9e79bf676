"""Docstrings as the site shows them: examples as code, roles of other tools left out. Loaded by mkdocstrings."""

import re
from typing import Any

import griffe

ROLE = re.compile(r":[a-z]+:`(~?)([\w.]+)`")
EXAMPLE = re.compile(r"^>>> .*(?:\n(?!\s*\n).*)*", re.MULTILINE)  # to the next empty line


class Plainly(griffe.Extension):
    """Rewrites every docstring before it is read."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """An example, from ``>>>`` to the next empty line, becomes a block of code; ``~a.b.C`` of a role becomes C."""
        if obj.docstring:
            text = EXAMPLE.sub(lambda found: f"```pycon\n{found[0]}\n```", obj.docstring.value)
            obj.docstring.value = ROLE.sub(
                lambda found: f"`{found[2].rpartition('.')[2] if found[1] else found[2]}`", text
            )
