"""A data owner beside the auditor: of each provider's model the owner asks whether a private trigger still works."""

import hashlib
from collections.abc import Callable
from pathlib import Path

from expunge.audits.backdoor import subject_outside, verify
from expunge.audits.owner_counts import OwnerCounts
from expunge.audits.planting import planted_suite
from expunge.audits.proofs.provider import Proven, prove
from expunge.audits.queries import ask_both
from expunge.audits.trigger import draw
from expunge.suites.suite import ForgetSet, Suite
from expunge.verdicts import Outcome

RECORDS = 80  # of the owner, half of them with the trigger and half with others, as in the study of triggers
QUERIES = 100  # of each trigger


def asked_by_owner(
    suite: Suite, number: int, make: Callable[[Suite, ForgetSet, Proven, Path], Proven], folder: Path
) -> tuple[Outcome, OwnerCounts]:
    """An owner plants a trigger in ``suite``, a model is trained, the provider ``make`` removes the owner's records.

    What the owner's test says, with the counts that it rests on. ``number`` draws owner, trigger and records.
    """
    secret = hashlib.sha256(f"owner {number}".encode()).digest()  # of a study, which is to be repeated: no secret
    trigger = draw(suite.data.train.x.shape[1:], suite.data.classes, secret)
    planted = planted_suite(suite, [trigger], RECORDS, seed=number, models=1)
    before = prove(planted.suite, None, folder / "planted", seed=number)
    after = make(planted.suite, planted.forget, before, folder / "removed")
    counts = ask_both(trigger, suite.data.test, before.ensemble, after.ensemble, QUERIES)
    return verify([counts], subject_outside([counts])).outcome, counts
