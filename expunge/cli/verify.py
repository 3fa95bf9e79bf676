"""The group of commands that verify: whether data is gone, by what an owner or an auditor can see of a provider."""

import typer

from expunge.cli.application import app

verify = typer.Typer(name="verify", no_args_is_help=True, help="Verify that data was removed, and say what that shows.")
app.add_typer(verify, rich_help_panel=None)
