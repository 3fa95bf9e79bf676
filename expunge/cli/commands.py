"""All commands, and their run."""

from expunge.cli import attack, audit, bench, catalogue, ensembles, plan, study  # noqa: F401 (their commands)
from expunge.cli.application import app, run
from expunge.cli.verify_proof import verify

app.add_typer(verify, rich_help_panel=None)

__all__ = ["app", "run"]
