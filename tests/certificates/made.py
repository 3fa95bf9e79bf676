"""Certificates out of the theorems' own examples, of no model."""

import json
from pathlib import Path
from typing import Any

from expunge.certificates.certificate import Certificate, issue
from expunge.certificates.theorems.theorem import THEOREMS, claim_for
from expunge.checksums import sealed
from expunge.records import Subject
from tests.certificates.theorems.examples import DELTA, constants

SUBJECT = Subject(
    suite="tabular",
    suite_digest="0123456789abcdef",
    forget_set="random-10",
    forget_digest="ab" * 32,
    method="certified-newton",
    config={"epsilon": 1.0},
    tuning="default",
    seed=0,
    model_numbers="0-1",
    device="cpu",
    hardware="none",
    code="",
    versions={},
)


def certificate(
    theorem: str = "newton",
    epsilon: float = 1.0,
    *,
    delta: float = DELTA,
    false: dict[str, str] | None = None,
    model: int = 0,
    norm: float | None = None,
    parameters: int = 1,
    request: int = 1,
    **other: float,
) -> Certificate:
    """A certificate of weights so long that no noise drowns them, where ``norm`` says nothing else."""
    given = constants(theorem, **other)
    diameter = THEOREMS[theorem].diameter(given)
    longest = 1e9 if diameter is None else diameter / 2
    claim = claim_for(
        theorem,
        given,
        epsilon,
        delta,
        parameters=parameters,
        norm=longest if norm is None else norm,
        request=request,
    )
    return issue(SUBJECT, model, claim, false=false or {}, held={})


def sound() -> list[str]:
    """Theorems that are, by name."""
    return sorted(name for name, row in THEOREMS.items() if not row.unsound)


def rewritten(file: Path, record: dict[str, Any], *, seal: bool = True) -> Path:
    """A file with this record, with a checksum of its own again or with the one that it had."""
    file.write_text(json.dumps(sealed(record) if seal else record) + "\n")
    return file
