"""The command: one file a group of commands; each parses, calls one function, writes, prints."""

import os
from typing import TYPE_CHECKING

from expunge.cli.interruption import listening

if TYPE_CHECKING:
    from expunge.cli.commands import app

__all__ = ["app", "main"]


def main() -> None:
    """Entry point."""
    # Connections that close behind an interrupt are told of by Dask after our own last line, when nothing silences it.
    os.environ.setdefault("DASK_LOGGING__DISTRIBUTED", "critical")
    with listening():  # before the imports, which take their time
        from expunge.cli.commands import run

        run()


def __getattr__(name: str) -> object:
    if name != "app":
        raise AttributeError(f"module 'expunge.cli' has no attribute {name!r}")
    from expunge.cli.commands import app

    return app
