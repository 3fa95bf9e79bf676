"""The verifier's nonce: issued once a promise is in its hands, so that the order of the batches is nobody's choice."""

import json
import re
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path

from expunge.audits.proofs.bundle import Bundle
from expunge.audits.proofs.contents import differing_steps
from expunge.audits.proofs.finding import Finding
from expunge.audits.proofs.first_weights import drawn_from_seed
from expunge.audits.proofs.manifest import Promise
from expunge.audits.proofs.order import chance_of, drawn_batches, seed_of_order
from expunge.audits.proofs.provider import kept_of
from expunge.errors import BadProof
from expunge.files import write_file
from expunge.outside import read_json
from expunge.suites.suite import Suite


@dataclass(frozen=True)
class Beacon:
    """What the verifier keeps: the digest of the promise that it was given first, and the nonce that it then issued.

    The nonce may be that of a public beacon, if its round came after the promise.
    """

    promised: str
    nonce: str


def issue(promised: Promise) -> Beacon:
    """A nonce for this promise and no other; one promise gets one nonce, or its order could be chosen after all."""
    return Beacon(promised.digest, secrets.token_hex(32))


def check_beacon(bundle: Bundle, suite: Suite, beacon: Beacon) -> Finding:
    """Whether the promise is the one that was handed in before, and every batch is the one that the nonce gives."""
    told, order = bundle.manifest.promise, bundle.manifest.order
    if told.digest != beacon.promised:
        return Finding("beacon", "FAIL", "the promise is not the one for which the nonce was issued")
    drawn = drawn_batches(suite.recipe, kept_of(told), seed_of_order(told.digest, beacon.nonce))
    if (step := differing_steps(bundle.batches, drawn)) is not None:
        return Finding("beacon", "FAIL", f"the batch of step {step} is not the one that the issued nonce gives")
    if bundle.manifest.chance not in (None, chance_of(seed_of_order(told.digest, beacon.nonce))):
        return Finding("beacon", "FAIL", "what layers drew is not what the issued nonce gives")
    if not drawn_from_seed(bundle, suite):
        reason = "the first weights are not drawn from a seed, bit for bit: they could have been chosen"
        return Finding("beacon", "FAIL", reason)
    if order.nonce != beacon.nonce:
        return Finding("beacon", "FAIL", "the bundle states another nonce than the one that was issued")
    return Finding("beacon", "PASS", "every batch is the one that the nonce, issued after the promise, gives")


def write_beacon(file: Path, beacon: Beacon) -> None:
    """Keep it, for the day of the verification."""
    write_file(file, json.dumps(asdict(beacon)) + "\n")


def read_beacon(file: Path) -> Beacon:
    """What :func:`write_beacon` kept."""
    found = read_json(file, BadProof, most=10_000)
    if not isinstance(found, dict) or found.keys() != {"promised", "nonce"}:
        raise BadProof(f"{file}: expected the promise and the nonce that were kept when the nonce was issued")
    if not all(isinstance(each, str) and re.fullmatch(r"[\w.:-]{16,128}", each) for each in found.values()):
        raise BadProof(f"{file}: expected a promise and a nonce of 16 to 128 letters and digits")
    return Beacon(**found)
