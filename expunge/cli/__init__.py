"""The command: one file a group of commands; each parses, calls one function, writes, prints."""

from expunge.cli import attack, bench, catalogue, ensembles  # noqa: F401 (their commands)
from expunge.cli.application import app, main

__all__ = ["app", "main"]
