"""What can go wrong, as a tree; every message says what was expected, what came and what to do.

ExpungeError
├── UserError (ValueError)    the user's mistake: one line on the terminal, exit code 2
│   ├── UnknownName           a suite, method, forget set or setting that does not exist
│   ├── BadSetting            a setting of the wrong type or out of range
│   │   ├── BelowNoise        ... an error to be let pass that is smaller than this machine's rounding
│   │   ├── NonDeterministic  ... a network with an operation that no proof, or no deterministic mode, can have
│   │   ├── BadConstant       ... a constant of a theorem that lacks, is not finite or cannot be
│   │   ├── EpsilonTooLarge   ... an epsilon for which the calibration of the noise is not proven
│   │   ├── FailureTooLikely  ... a theorem that fails more often than delta allows
│   │   ├── NotPositiveDefinite   ... a Hessian that, damped as it is, may have no inverse
│   │   └── NotApplicable     ... a certified method whose theorem does not speak of such networks
│   ├── MissingData           examples that are in no folder and that no hub gives
│   ├── BadData               examples, labels or files that are not what they should be
│   ├── BadProof              a bundle of a proof that cannot be what a recorder wrote
│   ├── NonceRefused          a second nonce for a removal that has one: seeds could be tried
│   ├── BadCertificate        a file that is no certificate, or one whose numbers do not follow from its constants
│   ├── OutsideBall           weights beyond the radius that a certificate stands on
│   ├── RepeatedRequest       a request for removal whose id was served before
│   ├── BudgetExhausted       a request for removal that goes beyond the privacy budget
│   ├── BadMargins            margins of the wrong shape, not finite, constant or repeated
│   ├── BadMetric             a metric whose records are not what its row in METRICS says
│   ├── TooFewModels          so few models that no test could ever reject; the caller reports `unscored`
│   └── MismatchedEnsembles   two ensembles that do not belong together
├── StoreError                an artefact on disk is missing, damaged or half written: exit code 2
│   ├── DamagedArtefact       ... and what is wrong is in its bytes: it can be removed and made anew
│   └── CannotRead            ... or a file of it cannot be read for now: nothing is lost, nothing is removed
├── HubError                  the hub cannot be reached, refuses, or answers nonsense: exit code 2
├── NoAnswer                  a model that is asked from outside is silent, too slow or talks nonsense: exit code 2
├── EngineError               workers or their scheduler are lost or unfit: exit code 2
└── MethodFailed              an unlearning method raised, diverged or returned nonsense: a row `failed`
    └── NotConverged          ... an iteration that its certificate stands on did not converge
"""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import TypeVar

from expunge.streams import one_line

T = TypeVar("T")


class ExpungeError(Exception):
    """Root of all errors that expunge raises on purpose."""


class UserError(ExpungeError, ValueError):
    """The caller's mistake; the message says how to mend it."""


class UnknownName(UserError):
    """A name that is in no table."""


class BadSetting(UserError):
    """A setting of the wrong type or out of range."""


class MissingData(UserError):
    """Examples that lie in no folder and that no hub gives; the message says what to put where."""


class BadData(UserError):
    """Examples, labels or files of a data set that are not what they should be."""


class BelowNoise(BadSetting):
    """An error that is to be let pass is smaller than what rounding alone makes on this machine."""


class NonDeterministic(BadSetting):
    """An operation that torch has no deterministic algorithm for, or that draws by chance which nobody records."""


class NonceRefused(UserError):
    """Another promise for a removal that has its nonce already."""


class BadConstant(BadSetting):
    """A constant of a theorem that lacks, is not finite, or cannot be what it is said to be."""


class EpsilonTooLarge(BadSetting):
    """An epsilon for which the calibration of the noise is not proven."""


class FailureTooLikely(BadSetting):
    """A theorem that fails with a probability that delta has no room for."""


class NotPositiveDefinite(BadSetting):
    """A Hessian that, damped as it is, may have an eigenvalue of 0 or below."""


class NotApplicable(BadSetting):
    """A certified method whose theorem does not speak of networks such as this one."""


class BadCertificate(UserError):
    """A file that is no certificate, or one whose numbers do not follow from its constants."""


class OutsideBall(UserError):
    """Weights whose norm is beyond the radius that a certificate stands on."""


class RepeatedRequest(UserError):
    """A request for removal whose id was served before."""


class BudgetExhausted(UserError):
    """A request for removal that goes beyond what is left of a privacy budget."""


class BadProof(UserError):
    """A bundle that is handed over as a proof of unlearning, and cannot be what a recorder wrote."""


class BadMargins(UserError):
    """Margins that cannot be scored."""


class BadMetric(UserError):
    """A metric whose records are not what its row in METRICS says."""


class TooFewModels(UserError):
    """So few models that the question has no answer: no spread to see, or no test that could ever reject."""


class MismatchedEnsembles(UserError):
    """Two ensembles of different suites, forget sets or sizes."""


class StoreError(ExpungeError):
    """An artefact on disk is missing, damaged or half written."""


class DamagedArtefact(StoreError):
    """A file of an artefact is missing or has other bytes than its manifest says: it can be made anew."""

    def advising(self, advice: str) -> "DamagedArtefact":
        """The same damage, with what to do about it by those who know what the artefact is."""
        return DamagedArtefact(f"{str(self).partition('; ')[0]}; {advice}")


class CannotRead(StoreError):
    """A file cannot be read for now: rights, too many open files, a disk in trouble; nothing of it is lost."""


class HubError(ExpungeError):
    """The hub cannot be reached, refuses, or answers what cannot be used."""


class NoAnswer(ExpungeError):
    """A model that is asked as a black box does not answer, not in time, or with what is no answer."""


class EngineError(ExpungeError):
    """Workers or their scheduler are lost, or unfit for the job."""


class MethodFailed(ExpungeError):
    """An unlearning method raised, diverged or returned something that is not its model."""


class NotConverged(MethodFailed):
    """An iteration that a certificate stands on, as LiSSA, diverged or did not converge."""


class MetricFailed(ExpungeError):
    """A metric gave a row what is no finite number."""


class CostsTooMuch(MethodFailed):
    """An unlearning method went beyond the work that it was given."""


LONGEST = 300  # characters of what a stranger's code says that are passed on


def in_a_line(said: object) -> str:
    """What a stranger's code says, or raises, as one short line: whatever it holds, it can be printed and kept.

    >>> in_a_line(ValueError("no\\x1b[2J idea\\nat all"))
    'ValueError: no\\\\x1b[2J idea at all'
    """
    try:
        text = str(said)[: 4 * LONGEST]
    except Exception:  # an error may fail to say what it is
        text = ""
    if isinstance(said, BaseException):
        notes = [str(note) for note in getattr(said, "__notes__", ())]
        text = ": ".join(filter(None, [type(said).__name__, text])) + "".join(f" ({note})" for note in notes)
    line = one_line(text)
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"


MANY = 20  # more names than this are no help in a line


def suggestion(name: str, choices: Iterable[str], where: str = "`expunge list` shows") -> str:
    """The nearest of ``choices``, or all of them where they are few; else ``where`` they are.

    >>> suggestion("SCRUBB", ["scrub", "fine-tune"])
    "did you mean 'scrub'?"
    """
    choices = sorted(choices)
    near = get_close_matches(name.lower(), choices, n=1) or get_close_matches(name, choices, n=1)
    if near:
        return f"did you mean {near[0]!r}?"
    many = len(choices) > MANY
    return f"one of {len(choices)} that {where}" if many else f"choose from {', '.join(choices)}"


def lookup(kind: str, name: object, table: Mapping[str, T]) -> T:
    """``table[name]``, or :class:`UnknownName` with the nearest choice."""
    if not isinstance(name, str):
        raise UnknownName(f"expected a name as {kind}, got {type(name).__name__}; {suggestion('', table)}")
    if name in table:
        return table[name]
    raise UnknownName(f"unknown {kind} {name!r}; {suggestion(name, table)}")
