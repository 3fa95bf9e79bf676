"""Certificates in files: one line of JSON each, with a checksum, and refused in a line where it is none."""

import json
import math
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from expunge.certificates.certificate import Certificate, Condition, Stands, Word
from expunge.certificates.sealed_lines import Told, read_line
from expunge.certificates.taken_for import require_file, told_of
from expunge.certificates.theorems.theorem import Claim, Constant
from expunge.checksums import CHECKSUM, sealed
from expunge.errors import BadCertificate
from expunge.files import write_file
from expunge.names import fault_of_name
from expunge.outside import read_bytes
from expunge.records import MOST_MODELS, Subject
from expunge.verdicts import Standing

FORMAT: Literal["expunge certificate of unlearning"] = "expunge certificate of unlearning"
VERSION: Literal[1] = 1
LARGEST = 32 << 20  # bytes of a file of certificates
MANY = 10_000  # certificates in a file: as many models

Name = Annotated[str, Field(min_length=1, max_length=100)]
Words = Annotated[str, Field(max_length=2000)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(allow_inf_nan=False, ge=0)]


class ConstantRecord(Told):
    """A constant as it is written."""

    value: Number
    standing: Standing
    why: Words


class ConditionRecord(Told):
    """A condition as it is written."""

    stands: Stands
    why: Words


class CertificateRecord(Told):
    """A certificate as it is written: epsilon is null, never a number, where nothing is certified."""

    format: Literal["expunge certificate of unlearning"] = FORMAT
    version: Literal[1] = VERSION
    subject: Subject
    model: int = Field(ge=0, le=MOST_MODELS)
    theorem: Name
    constants: dict[Name, ConstantRecord] = Field(max_length=100)
    epsilon: Positive | None
    delta: float = Field(gt=0, lt=1)
    sigma: Positive
    shift: Positive | None
    formula: Positive | None
    parameters: int = Field(ge=1, lt=1 << 50)
    norm: Positive
    request: int = Field(ge=1, le=MOST_MODELS)
    notes: tuple[Words, ...] = Field(max_length=100)
    conditions: dict[Name, ConditionRecord] = Field(max_length=100)
    verdict: Word
    reasons: tuple[Words, ...] = Field(min_length=1, max_length=100)


def as_record(certificate: Certificate) -> dict[str, Any]:
    """The certificate as plain values, with its checksum."""
    claim = certificate.claim
    plain = asdict(claim) | {"epsilon": certificate.epsilon, "notes": list(claim.notes)}
    return sealed(
        {
            **{"format": FORMAT, "version": VERSION, "subject": asdict(certificate.subject)},
            **{"model": certificate.model, **plain, "formula": certificate.formula},
            "conditions": {name: asdict(each) for name, each in certificate.conditions.items()},
            **{"verdict": certificate.verdict, "reasons": list(certificate.reasons)},
        }
    )


def digest_of(certificate: Certificate) -> str:
    """The checksum that stands in the certificate's record."""
    found: str = as_record(certificate)[CHECKSUM]
    return found


def write_certificates(file: Path, certificates: Iterable[Certificate]) -> None:
    """One JSON record a line, whole or not at all."""
    write_file(file, "".join(json.dumps(as_record(each), allow_nan=False) + "\n" for each in certificates))


def read_certificates(file: Path) -> tuple[Certificate, ...]:
    """The certificates in a file; :class:`~expunge.errors.BadCertificate`, one line, where one of them is none.

    What it says is not yet believed: :func:`~expunge.certificates.checking.check` computes it again.
    """
    require_file(file)
    content = read_bytes(file, BadCertificate, most=LARGEST)
    lines = content.splitlines()
    if not 1 <= len(lines) <= MANY:
        empty = "is empty" if not content else f"has {len(lines):,} lines"
        raise BadCertificate(f"{file} {empty}; expected 1 to {MANY:,} certificates, one a line")
    try:
        return tuple(_read(line, f"{file}:{number}") for number, line in enumerate(lines, start=1))
    except BadCertificate as error:
        raise BadCertificate(told_of(file, content, FORMAT) or str(error)) from None


def _read(line: bytes, place: str) -> Certificate:
    record, _ = read_line(line, CertificateRecord, place, "certificate")
    subject = record.subject
    named = {"suite": subject.suite, "forget_set": subject.forget_set, "method": subject.method}
    if fault := next((fault for kind, name in named.items() if (fault := fault_of_name(kind, name))), ""):
        raise BadCertificate(f"{place} is no certificate: {fault}")
    if (record.epsilon is None) != (record.verdict == "NOT CERTIFIED"):
        raise BadCertificate(f"{place} is no certificate: {record.verdict} with epsilon {record.epsilon}")
    claim = Claim(
        theorem=record.theorem,
        constants={name: Constant(each.value, each.standing, each.why) for name, each in record.constants.items()},
        epsilon=math.inf if record.epsilon is None else record.epsilon,
        **{name: getattr(record, name) for name in _ALIKE},
    )
    return Certificate(
        subject=subject,
        model=record.model,
        claim=claim,
        formula=record.formula,
        conditions={name: Condition(each.stands, each.why) for name, each in record.conditions.items()},
        verdict=record.verdict,
        reasons=record.reasons,
    )


_ALIKE = ("delta", "sigma", "shift", "parameters", "norm", "request", "notes")  # in a claim and in its record
