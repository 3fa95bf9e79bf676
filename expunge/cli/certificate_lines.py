"""A certificate as people read it: the word, why, the numbers, and all that it stands on."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from expunge.terminal import print_text

if TYPE_CHECKING:  # so that a check needs no torch
    from expunge.certificates.certificate import Certificate

HANG = 4


def print_certificate(
    certificate: "Certificate", faults: Sequence[str] = (), *, beside: str = "", first: Sequence[str] = ()
) -> None:
    """The word with what is ``beside`` it, lines that come ``first``, reasons, notes, numbers, and their standing."""
    subject, claim = certificate.subject, certificate.claim
    word = "DOES NOT FOLLOW" if faults else certificate.verdict
    of = f"{subject.method} on {subject.suite}, {subject.forget_set}"
    print_text(f"{word}{beside}: {of}, model {certificate.model}, request {claim.request}", HANG)
    told = f"{certificate.verdict} is told: " if faults else ""
    lines = [
        *first,
        *(f"does not follow  {fault}" for fault in faults),
        *(f"{told}{reason}" for reason in certificate.reasons),
        *(f"note: {note}" for note in claim.notes if note not in first),
        *_numbers(certificate),
        *(f"{name} = {each.value:.6g}  {each.standing}  {each.why}" for name, each in claim.constants.items()),
        *(f"{name}: {each.stands}  {each.why}" for name, each in certificate.conditions.items()),
    ]
    for line in lines:
        print_text(f"  {line}", HANG)


def _numbers(certificate: "Certificate") -> list[str]:
    claim = certificate.claim
    epsilon = "none" if certificate.epsilon is None else f"{certificate.epsilon:.6g}"
    lines = [f"epsilon {epsilon} at delta {claim.delta:g}, sigma {claim.sigma:.6g}; theorem {claim.theorem}"]
    if claim.shift is not None:
        formula = "" if certificate.formula in (None, claim.shift) else f" (by the formula {certificate.formula:.6g})"
        lines.append(f"Delta {claim.shift:.6g}{formula}")
    return lines


def differences(certificates: Sequence["Certificate"]) -> str:
    """How the certificates of several models differ: their words, and the range of each number."""
    words = [each.verdict for each in certificates]
    counts = ", ".join(f"{words.count(word)} {word}" for word in dict.fromkeys(words))
    claims = [each.claim for each in certificates]
    numbers = {
        "epsilon": [each.epsilon for each in certificates if each.epsilon is not None],
        "sigma": [each.sigma for each in claims],
        "Delta": [each.shift for each in claims if each.shift is not None],
        "norm of the weights": [each.norm for each in claims],
    }
    ranges = "; ".join(f"{name} {_range(values)}" for name, values in numbers.items() if values)
    return f"{counts}; {ranges}"


def _range(values: Sequence[float]) -> str:
    """The least and the largest, to four digits; one number where they are the same."""
    return " to ".join(dict.fromkeys(f"{each:.4g}" for each in (min(values), max(values))))
