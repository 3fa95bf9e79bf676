"""The application that the commands belong to: their errors end in one line, their number is the exit code."""

import os
import signal
import sys
import warnings
from typing import Annotated, Any

import typer

from expunge.errors import ExpungeError
from expunge.terminal import say

# Commands import what they need: torch takes a second, which --help need not wait for.
OK, USER_ERROR, FAILED_ROWS, INTERRUPTED = 0, 2, 3, 130
INTERRUPTED_SAYS = "expunge: interrupted; what was finished is kept, run the same command again to go on"


class _Commands(typer.core.TyperGroup):
    """The commands, whose errors end in one line and whose number is the exit code."""

    def invoke(self, ctx: Any) -> Any:
        try:
            code = super().invoke(ctx)
        except ExpungeError as error:
            say(f"expunge: {error}")
            code = USER_ERROR
        except KeyboardInterrupt:
            say(INTERRUPTED_SAYS)
            code = INTERRUPTED
        raise typer.Exit(code)


app = typer.Typer(
    name="expunge",
    cls=_Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"expunge {version('expunge')}")
        raise typer.Exit(OK)


@app.callback()
def _everywhere(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    """Know whether a machine-learning model has really forgotten."""


def main() -> None:
    """Entry point."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # of a batch system: ended as tidily as by Ctrl-C
    warnings.showwarning = lambda message, *_: say(f"expunge: {message}")  # one line, without where in the code
    try:
        app()
    except KeyboardInterrupt:  # before the command began
        say(INTERRUPTED_SAYS)
        sys.exit(INTERRUPTED)
    except BrokenPipeError:  # whoever read the output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains when it flushes
        sys.exit(OK)
