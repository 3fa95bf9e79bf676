"""All commands, and their run."""

from expunge.cli import (  # noqa: F401 (their commands)
    attack,
    audit,
    bench,
    catalogue,
    certify,
    certify_budget,
    certify_check,
    certify_page,
    ensembles,
    look,
    papers,
    plan,
    results,
    score,
    study,
    threats,
    tune,
    verify_backdoor,
    verify_proof,
    verify_provider,
)
from expunge.cli.application import app, run

__all__ = ["app", "run"]
