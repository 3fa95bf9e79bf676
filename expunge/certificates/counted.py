"""Whether a file holds one certificate for each model that its certificates speak of."""

from collections.abc import Sequence
from dataclasses import dataclass

from expunge.certificates.certificate import Certificate
from expunge.certificates.record import digest_of
from expunge.records import Subject, as_ranges


@dataclass(frozen=True)
class Repeated:
    """A model and request of one subject that has several certificates, and whether these ``differ``."""

    model: int
    request: int
    times: int
    differ: bool

    def told(self) -> str:
        """In words."""
        how = ", with certificates that differ: at most one of them is true" if self.differ else ", each time the same"
        return f"model {self.model}, request {self.request}, stands there {self.times} times{how}"


def repeated(certificates: Sequence[Certificate]) -> tuple[Repeated, ...]:
    """What stands there more than once."""
    seen: dict[tuple[str, int, int], list[str]] = {}
    for each in certificates:
        seen.setdefault((repr(each.subject), each.model, each.claim.request), []).append(digest_of(each))
    return tuple(
        Repeated(model, request, len(digests), len(set(digests)) > 1)
        for (_, model, request), digests in seen.items()
        if len(digests) > 1
    )


def lacking(certificates: Sequence[Certificate]) -> tuple[str, ...]:
    """In words, subjects that speak of more models than have a certificate there: lines may have been taken out."""
    models: dict[str, tuple[Subject, set[int]]] = {}
    for each in certificates:
        models.setdefault(repr(each.subject), (each.subject, set()))[1].add(each.model)
    return tuple(
        f"{subject.method} on {subject.suite}, {subject.forget_set}: here are certificates of models "
        f"{as_ranges(sorted(here))}, and models {subject.model_numbers} were made; of the others nothing is known"
        for subject, here in models.values()
        if as_ranges(sorted(here)) != subject.model_numbers
    )
