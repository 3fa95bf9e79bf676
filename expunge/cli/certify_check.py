"""Certificates in files are computed again from their constants."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from expunge.cli.application import FAILED_ROWS, OK, Reader
from expunge.cli.certificate_lines import print_certificate
from expunge.cli.certify import certify
from expunge.cli.options import AsJson
from expunge.terminal import print_json, print_text, say_text

if TYPE_CHECKING:  # a command imports what it needs, so that --help waits for nothing
    from expunge.certificates.certificate import Certificate

    Found = Sequence[tuple[Certificate, tuple[str, ...]]]

SHOWS_NOT = (
    "What follows from its constants is as true as they are. Not shown: that these are the constants of the models, "
    "that conditions hold, that the models got the noise and are still of use, or who wrote the line. A checksum is no "
    "signature: a line that was written and sealed anew, with other constants that agree with each other, follows too."
)


@certify.command(cls=Reader, epilog="Example: expunge certify check out/certify/certificates.jsonl")
def check(
    file: Annotated[
        Path,
        typer.Argument(
            help="Certificates, one per line: certificates.jsonl in the folder that `certify METHOD` wrote to."
        ),
    ],
    as_json: AsJson = False,
) -> int:
    """Check certificates by computing them again from their constants.

    The exit code is 0 where all follow and are CERTIFIED; 3 where one does not follow, is VACUOUS or NOT CERTIFIED, or
    where two of one model differ.
    """
    from expunge.certificates.checking import check as faults_of
    from expunge.certificates.counted import lacking, repeated
    from expunge.certificates.record import as_record, read_certificates

    found = [(each, faults_of(each)) for each in read_certificates(file)]
    certificates = [each for each, _ in found]
    twice = repeated(certificates)
    if as_json:
        print_json([{**as_record(each), "faults": list(faults)} for each, faults in found])
    else:
        for each, faults in found:
            print_certificate(each, faults)
    for line in (*(each.told() for each in twice), *lacking(certificates), _summary(found)):
        (say_text if as_json else print_text)(line)
    if not as_json:
        say_text(SHOWS_NOT)
    good = all(each.verdict == "CERTIFIED" and not faults for each, faults in found)
    return OK if good and not any(each.differ for each in twice) else FAILED_ROWS


def _summary(found: "Found") -> str:
    """How many certificates of which word."""
    counts = Counter("DOES NOT FOLLOW" if faults else each.verdict for each, faults in found)
    told = ", ".join(f"{count} {word}" for word, count in counts.items())
    return f"{len(found)} certificate{'s' * (len(found) != 1)}: {told}"
