"""The ledger: what a sequence of requests costs whoever sees every model that is released.

Basic composition: epsilons add up, and so do deltas. Source: Dwork and Roth 2014, theorem 3.16. What a theorem proves
of later requests (see :attr:`~expunge.certificates.theorems.statement.Theorem.sequential`) is about each single model;
where only one is ever released, a later claim speaks of all requests, and takes the place of earlier ones.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from expunge.certificates.certificate import Certificate
from expunge.certificates.checking import check
from expunge.certificates.record import digest_of
from expunge.certificates.sealed_lines import Told, read_line
from expunge.certificates.taken_for import told_of
from expunge.certificates.theorems.theorem import THEOREMS
from expunge.checksums import checksum, sealed
from expunge.errors import BadCertificate, BadSetting, BudgetExhausted, RepeatedRequest, lookup
from expunge.files import alone_with, write_file
from expunge.names import require_name
from expunge.outside import read_bytes

FORMAT: Literal["expunge ledger of certified unlearning"] = "expunge ledger of certified unlearning"
VERSION: Literal[1] = 1
LARGEST = 64 << 20  # bytes of a ledger
_SLACK = 1e-9  # parts of a budget that sums may be beyond it, by rounding

Name = Annotated[str, Field(min_length=1, max_length=300)]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
Budget = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Delta = Annotated[float, Field(gt=0, lt=1)]


class Entry(Told):
    """A request that was served: what it cost, by which certificates, and the checksum of the line before."""

    request: Name
    theorem: Name
    suite_digest: Name
    epsilon: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    delta: Delta
    certificates: tuple[Digest, ...] = Field(min_length=1, max_length=10_000)
    previous: Digest


class Head(Told):
    """The first line: the budget."""

    format: Literal["expunge ledger of certified unlearning"] = FORMAT
    version: Literal[1] = VERSION
    epsilon: Budget
    delta: Delta


@dataclass(frozen=True)
class Ledger:
    """A budget, and the requests that were served out of it, in their order."""

    epsilon: float
    delta: float
    entries: tuple[Entry, ...] = ()

    def __post_init__(self) -> None:
        if not (0 < self.epsilon < math.inf and 0 < self.delta < 1):
            raise BadSetting(
                f"expected a budget of epsilon above 0 and delta between 0 and 1, got {self.epsilon:g} and "
                f"{self.delta:g}"
            )

    @property
    def spent(self) -> tuple[float, float]:
        """Epsilon and delta of all releases together."""
        return self._composed("epsilon"), self._composed("delta")

    @property
    def left(self) -> tuple[float, float]:
        """Epsilon and delta that are left, not below 0."""
        epsilon, delta = self.spent
        return max(0.0, self.epsilon - epsilon), max(0.0, self.delta - delta)

    def _composed(self, name: str) -> float:
        """The sum over releases; of claims on a model that is released once, the largest stands for all."""
        costs: dict[bool, list[float]] = {True: [0.0], False: []}
        for each in self.entries:
            costs[lookup("theorem", each.theorem, THEOREMS).once].append(getattr(each, name))
        return math.fsum([max(costs[True]), *costs[False]])

    def serve(self, request: str, certificates: Sequence[Certificate]) -> "Ledger":
        """The ledger with a further request, whose models are certified by ``certificates``, one for each model.

        A model's owner sees one of the models: the dearest of them is what it costs. Raises
        :class:`~expunge.errors.RepeatedRequest`, :class:`~expunge.errors.BudgetExhausted`, and
        :class:`~expunge.errors.BadCertificate` for what certifies nothing.
        """
        require_name("request", request)
        entry = self._entry(request, certificates)
        if request in [each.request for each in self.entries]:
            raise RepeatedRequest(f"request {request!r} was served before: a request is served, and paid for, once")
        if used := next((each for each in self.entries if set(each.certificates) & set(entry.certificates)), None):
            raise RepeatedRequest(f"request {request!r}: its certificate was paid for before, by {used.request!r}")
        grown = replace(self, entries=(*self.entries, entry))
        epsilon, delta = grown.spent
        if epsilon > self.epsilon * (1 + _SLACK) or delta > self.delta * (1 + _SLACK):
            left = self.left
            raise BudgetExhausted(
                f"request {request!r} costs epsilon {entry.epsilon:g} and delta {entry.delta:g}; left are "
                f"{left[0]:.4g} and {left[1]:.4g} of {self.epsilon:g} and {self.delta:g}: train anew without the data"
            )
        return grown

    def _entry(self, request: str, certificates: Sequence[Certificate]) -> Entry:
        if not certificates:
            raise BadCertificate(f"request {request!r} has no certificate")
        theorems = {each.claim.theorem for each in certificates}
        suites = {each.subject.suite_digest for each in certificates} | {each.suite_digest for each in self.entries}
        if len(theorems) > 1 or len(suites) > 1:
            raise BadCertificate(
                f"request {request!r}: expected certificates of one theorem, and of the suite of earlier requests, got "
                f"{', '.join(sorted(theorems))} on {', '.join(sorted(suites))}; keep one ledger for each"
            )
        for each in certificates:
            if faults := check(each):
                raise BadCertificate(f"request {request!r}, model {each.model}: {faults[0]}")
            if each.epsilon is None:
                raise BadCertificate(
                    f"request {request!r}, model {each.model} is NOT CERTIFIED, and no budget pays for that: "
                    f"{each.reasons[0]}"
                )
        return Entry(
            request=request,
            theorem=theorems.pop(),
            suite_digest=suites.pop(),
            epsilon=max(each.claim.epsilon for each in certificates),
            delta=max(each.claim.delta for each in certificates),
            certificates=tuple(digest_of(each) for each in certificates),
            previous=self.end,
        )

    @property
    def end(self) -> str:
        """The checksum of the last line, on which the next one follows."""
        return checksum((self.entries[-1] if self.entries else self.head).model_dump(mode="json"))

    @property
    def head(self) -> "Head":
        """The first line."""
        return Head(epsilon=self.epsilon, delta=self.delta)


def write_ledger(file: Path, ledger: Ledger) -> None:
    """One JSON record a line, the budget first; whole or not at all."""
    records = [each.model_dump(mode="json") for each in (ledger.head, *ledger.entries)]
    write_file(file, "".join(json.dumps(sealed(each), allow_nan=False) + "\n" for each in records))


def read_ledger(file: Path) -> Ledger:
    """The ledger in a file; :class:`~expunge.errors.BadCertificate`, one line, where it is none, or was changed."""
    content = read_bytes(file, BadCertificate, most=LARGEST)
    if not content.strip():
        raise BadCertificate(f"{file} is no ledger: it is empty; remove it, and begin one with --epsilon and --delta")
    first, *rest = content.splitlines()
    try:
        head, last = read_line(first, Head, f"{file}:1", "ledger")
    except BadCertificate as error:
        raise BadCertificate(told_of(file, content, FORMAT) or str(error)) from None
    entries, requests = list[Entry](), set[str]()
    for number, line in enumerate(rest, start=2):
        previous, place = last, f"{file}:{number}"
        entry, last = read_line(line, Entry, place, "line of a ledger")
        if entry.theorem not in THEOREMS:
            raise BadCertificate(f"{place} is no line of a ledger: theorem {entry.theorem!r} is not known")
        if entry.previous != previous:
            raise BadCertificate(f"{place} does not follow the line before it: lines were changed or taken out")
        if entry.request in requests:
            raise BadCertificate(f"{place} serves request {entry.request!r} again: no ledger does")
        entries.append(entry)
        requests.add(entry.request)
    return Ledger(head.epsilon, head.delta, tuple(entries))


def begin(file: Path, epsilon: float, delta: float) -> None:
    """A new ledger; a file that is there is not touched, for a budget that can be set anew is none."""
    ledger = Ledger(epsilon, delta)
    with alone_with(file.resolve().parent):
        if file.exists():
            raise BadSetting(f"{file} is there: its budget stays; leave out --epsilon and --delta, or give a new file")
        write_ledger(file, ledger)


def serve(file: Path, request: str, certificates: Sequence[Certificate]) -> Ledger:
    """Serve a request out of the ledger in a file, alone with it; the file is left as it was where it is refused."""
    with alone_with(file.resolve().parent):
        ledger = read_ledger(file).serve(request, certificates)
        write_ledger(file, ledger)
    return ledger
