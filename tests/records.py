"""A plain record, and how to change one, whether a field is its own or its subject's."""

from dataclasses import fields, replace
from typing import Any

from expunge.records import Score, Subject, hardware, versions

OF_SUBJECT = {field.name for field in fields(Subject)}


def changed(score: Score, **changes: Any) -> Score:
    """The same record with other values of some fields."""
    subject = {key: value for key, value in changes.items() if key in OF_SUBJECT}
    own = {key: value for key, value in changes.items() if key not in OF_SUBJECT}
    return replace(score, subject=replace(score.subject, **subject), **own)


def has(score: Score, **wanted: object) -> bool:
    """Whether the record, or its subject, has these values."""
    return all(getattr(score.subject if key in OF_SUBJECT else score, key) == value for key, value in wanted.items())


def a_score(**changes: Any) -> Score:
    """The P95 of scrub on the forget examples, with ``changes``."""
    subject = Subject(
        suite="digits",
        suite_digest="0",
        forget_set="random-50",
        forget_digest="f" * 16,
        method="scrub",
        config={"lr": 0.1, "epochs": 1, "nesterov": True, "name": "x"},
        tuning="",
        seed=0,
        model_numbers="0-99",
        device="cpu",
        hardware=hardware(),
        code="c" * 16,
        versions=versions(),
    )
    plain = Score(
        subject=subject,
        split="forget",
        metric="klom",
        aggregate="p95",
        value=1.0,
        low=0.5,
        high=1.5,
        models=100,
        oracle_models=100,
        epoch=1,
        cost=0.1,
        seconds=None,
        status="ok",
        reason="",
    )
    return changed(plain, **changes)
