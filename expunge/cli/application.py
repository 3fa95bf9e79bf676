"""The application that the commands belong to: their errors end in one line, their number is the exit code."""

import contextlib
import sys
import warnings
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from expunge.cli.interruption import INTERRUPTED, begins, last_words
from expunge.errors import ExpungeError
from expunge.streams import one_line, speak_ascii, speak_plainly
from expunge.terminal import results_alone, say

# Commands import what they need: torch takes a second, which --help need not wait for.
OK, USER_ERROR, FAILED_ROWS = 0, 2, 3
_ASCII = "--ascii"
_MISTAKE = typer.BadParameter.__mro__[1]  # UsageError, which typer does not export


class _Commands(typer.core.TyperGroup):
    """The commands, whose errors end in one line and whose number is the exit code."""

    def parse_args(self, ctx: Any, args: list[str]) -> Any:
        if _ASCII in args:  # behind a command too, where people put it
            args = [_ASCII, *(each for each in args if each != _ASCII)]
        return super().parse_args(ctx, args)

    def make_context(self, *args: Any, **extra: Any) -> Any:
        with _readable_mistakes():
            return super().make_context(*args, **extra)

    def invoke(self, ctx: Any) -> Any:
        try:
            with _readable_mistakes():
                code = super().invoke(ctx)
        except ExpungeError as error:
            say(f"expunge: {one_line(str(error))}")
            code = USER_ERROR
        except KeyboardInterrupt:
            say(last_words())
            code = INTERRUPTED
        except BaseException as error:
            if not (told := _of_a_users_file(error)):
                raise
            say(f"expunge: {told}")
            code = USER_ERROR
        raise typer.Exit(code)


def _of_a_users_file(error: BaseException) -> str:
    """What code of a file of the user's own raised, as the network of a suite may, in a line; "" where it did not."""
    loaded = sys.modules.get("expunge.user_files")
    told: str = loaded.raised_by(error) if loaded else ""
    return told


class Command(typer.core.TyperCommand):
    """A command whose results have standard output for themselves, once its arguments are read."""

    keeps = True  # in the store, so that the same command goes on where it was interrupted

    def invoke(self, ctx: Any) -> Any:
        begins(self.keeps)
        with results_alone():
            return super().invoke(ctx)


class Reader(Command):
    """A command that reads what others made: interrupted, it has kept nothing."""

    keeps = False


@contextlib.contextmanager
def _readable_mistakes() -> Iterator[None]:
    """Typer repeats what was typed: a command or an option that does not exist, as it is."""
    try:
        yield
    except Exception as error:
        if isinstance(error, _MISTAKE) and type(error).__name__ != "NoArgsIsHelpError":  # whose message is the help
            error.message = one_line(error.message)  # type: ignore[attr-defined]
        raise


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


def _speak_ascii(wanted: bool) -> None:
    if wanted:
        speak_ascii()


@app.callback()
def _everywhere(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
    ascii_only: Annotated[
        bool,
        typer.Option(_ASCII, callback=_speak_ascii, help="Write symbols as plain letters; goes before any command."),
    ] = False,
) -> None:
    """Know whether a machine-learning model has really forgotten."""


def run() -> None:
    """Run the command that was typed."""
    speak_plainly()
    warnings.showwarning = lambda message, *_: say(f"expunge: {one_line(str(message))}")  # without where in the code
    app()
