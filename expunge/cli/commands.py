"""All commands, and their run."""

from expunge.cli import attack, bench, catalogue, ensembles, plan, study, verify  # noqa: F401 (their commands)
from expunge.cli.application import app, run

__all__ = ["app", "run"]
