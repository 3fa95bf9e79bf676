"""A play for three: a provider, an owner who asks for removal, an auditor who verifies what it is handed.

All that the auditor has stays in a folder, so that a reader can verify by hand.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from expunge.audits.proofs.adversary import plant, retrain_substituted
from expunge.audits.proofs.beacon import write_beacon
from expunge.audits.proofs.book import BOOK, Book, issued, read_book
from expunge.audits.proofs.forging import forge
from expunge.audits.proofs.manifest import write_promise
from expunge.audits.proofs.provider import Proven, promise, prove, prove_promised
from expunge.audits.proofs.substitution import Nearest
from expunge.audits.proofs.verification import Policy, Verified, verify
from expunge.engine import Watch
from expunge.ensembles.plan import Plan
from expunge.ensembles.stored_margins import read_margins
from expunge.ensembles.train import measure
from expunge.suites.suite import ForgetSet, Suite


@dataclass(frozen=True, eq=False)
class Act:
    """What a provider does, what the auditor says of it, and how well the model still knows the removed records."""

    name: str
    provider: str  # what it did, in words
    found: Verified
    margin: float  # mean margin of the removed records
    accuracy: float  # on test examples
    forgot: bool  # whether it truly retrained without them
    bundle: str  # its place in the folder of the play
    bound: bool  # whether the auditor's nonce gives its order


@dataclass(frozen=True, eq=False)
class Play:
    """All acts; margins of the original model and of honest retrainings beside them."""

    suite: Suite
    forget: ForgetSet
    acts: tuple[Act, ...]
    original: float  # mean margin of the removed records in the model before the removal
    oracles: tuple[float, float]  # the range in which 95 of 100 models that never saw them lie


BUNDLES, NONCE, PROMISE = "bundles", "nonce.json", "promise.json"
PARTS = rf"{BUNDLES}|\.lock|\.?({re.escape(BOOK.name)}|nonce\.json|promise\.json|demo\.html)(\.\w+)?"  # of the folder
ACTS: dict[str, tuple[str, bool]] = {
    "honest": ("retrains without the ten records, with the recorder on", True),
    "careless": ("retrains, but one of the ten slips into one batch", False),
    "nearest neighbours": (
        "retrains on batches of all records, and puts the most similar retained record of the class in the place of "
        "each of the ten",
        False,
    ),
    "forged": ("does not retrain: it writes a proof out of the states of the old training", False),
    "honest, order drawn by the auditor": (
        "retrains without the ten, in the order that the auditor's nonce gives",
        True,
    ),
    "nearest neighbours, order drawn by the auditor": (
        "promises the same, substitutes as before, and claims the auditor's order",
        False,
    ),
}


def play(suite: Suite, forget: ForgetSet, folder: Path, watch: Watch, seed: int = 0) -> Play:
    """Play all acts; bundles, promise and nonce stay in ``folder``, with the auditor's book of nonces."""
    steps = iter(range(len(ACTS) + 1))

    def told(what: str) -> None:
        watch(next(steps) + 1, len(ACTS) + 1, what)

    bundles, bound = folder / BUNDLES, seed + 5
    original = prove(suite, None, bundles / "original", seed=seed)
    told("original training")
    nonce, book = _ordered(suite, forget, folder, bound)
    nearest = Nearest.in_space(suite, forget, "pixel", original.ensemble[0])
    makers: list[Callable[[], tuple[Proven, Policy]]] = [
        lambda: (prove(suite, forget, bundles / "honest", seed=seed + 1), Policy()),
        lambda: (
            plant(suite, forget, bundles / "careless", step=40, record=int(forget.indices[0]), seed=seed + 2),
            Policy(),
        ),
        lambda: (retrain_substituted(suite, forget, bundles / "neighbours", nearest, seed=seed + 3), Policy()),
        lambda: (forge(suite, forget, original.bundle, bundles / "forged", nearest, seed=seed + 4), Policy()),
        lambda: (
            prove_promised(suite, promise(suite, forget, bound), bundles / "honest-bound", nonce),
            Policy(book=book),
        ),
        lambda: (
            retrain_substituted(
                suite,
                forget,
                bundles / "neighbours-bound",
                nearest,
                seed=seed + 6,
                promised=promise(suite, forget, bound),
                claimed=nonce,
            ),
            Policy(book=book),
        ),
    ]
    acts = []
    for (name, (words, forgot)), make in zip(ACTS.items(), makers, strict=True):
        proven, policy = make()
        state = proven.ensemble[0].state_dict()
        found = verify(proven.bundle, suite, forget, policy, deployed=state)
        place = f"{BUNDLES}/{proven.bundle.name}"
        acts.append(Act(name, words, found, *_known(suite, forget, proven), forgot, place, policy.bound))
        told(name)
    return Play(suite, forget, tuple(acts), _known(suite, forget, original)[0], oracle_range(suite, forget))


def _ordered(suite: Suite, forget: ForgetSet, folder: Path, seed: int) -> tuple[str, Book]:
    """The nonce that the auditor issues for the promise of two providers, an honest one and another, and its book."""
    promised = promise(suite, forget, seed).promise
    write_promise(folder / PROMISE, promised)
    beacon, _ = issued(folder / BOOK, promised)
    write_beacon(folder / NONCE, beacon)
    return beacon.nonce, read_book(folder / BOOK)


def _known(suite: Suite, forget: ForgetSet, proven: Proven) -> tuple[float, float]:
    """The mean margin of the removed records, and the accuracy on test examples."""
    margins, correct = measure(proven.ensemble, suite.data)
    columns = suite.columns(forget)
    return float(margins[0, columns["forget"]].mean()), float(correct[0, columns["test"]].float().mean())


def oracle_range(suite: Suite, forget: ForgetSet, models: int = 100) -> tuple[float, float]:
    """Between which mean margins of the removed records 95 of 100 oracles lie."""
    margins = np.asarray(read_margins(Plan(suite, "oracle", forget), 0, models).values)
    low, high = np.quantile(margins[:, suite.columns(forget)["forget"]].mean(1), [0.025, 0.975])
    return float(low), float(high)
