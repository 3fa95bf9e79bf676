"""The matrix attack x verifier: which proofs pass whom, with what utility, error and cost, and what is left.

Each (attack, repetition) is one job, whose result is kept in the store: what is there is not done again.
"""

import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from expunge.audits.game import auc
from expunge.audits.owner_counts import WHEN
from expunge.audits.proofs.adversary import plant, retrain_substituted
from expunge.audits.proofs.beacon import Beacon, issue
from expunge.audits.proofs.forging import forge
from expunge.audits.proofs.owner import asked_by_owner
from expunge.audits.proofs.provider import Proven, promise, prove, prove_promised
from expunge.audits.proofs.substitution import Nearest, RandomSearch, Space
from expunge.audits.proofs.verification import Policy, verify
from expunge.audits.u_lira import cross_fitted, log_ratio
from expunge.engine import Watch, Workers, run_jobs
from expunge.ensembles.train import measure
from expunge.errors import BadSetting, BelowNoise
from expunge.fingerprint import code_digest
from expunge.jobs import Job
from expunge.metrics.blockwise import ByExample
from expunge.metrics.calibration import Estimate
from expunge.metrics.dealing import estimate_by_dealing
from expunge.metrics.klom import CEILING, klom
from expunge.store import Artefact, user_store
from expunge.suites.suite import ForgetSet, Suite
from expunge.verdicts import Outcome

LEAST = 4
SEEDS = 20_000  # of providers' first weights: others than any original's
OWNER = "owner's trigger"  # who sees the model alone
NOISE, ENOUGH = "at the noise", "eps just enough"
LOOSE = (1e-3, 1e-1)  # errors of the parameters that a verifier might let pass
Make = Callable[[Suite, ForgetSet, Proven, Path, int, Beacon | None], Proven]


def _honest(
    suite: Suite, forget: ForgetSet, original: Proven, folder: Path, seed: int, beacon: Beacon | None
) -> Proven:
    assert beacon is not None
    return prove_promised(suite, promise(suite, forget, seed), folder, beacon.nonce)


def _careless(suite: Suite, forget: ForgetSet, original: Proven, folder: Path, seed: int, _: Beacon | None) -> Proven:
    return plant(suite, forget, folder, step=2, record=int(forget.indices[seed % len(forget)]), seed=seed)


def _searched(suite: Suite, forget: ForgetSet, original: Proven, folder: Path, seed: int, _: Beacon | None) -> Proven:
    return retrain_substituted(suite, forget, folder, RandomSearch(suite, forget, seed=seed), seed=seed)


def _nearest(
    space: Space, suite: Suite, forget: ForgetSet, original: Proven, folder: Path, seed: int, _: Beacon | None
) -> Proven:
    select = Nearest.in_space(suite, forget, space, original.ensemble[0])
    return retrain_substituted(suite, forget, folder, select, seed=seed)


def _forged(suite: Suite, forget: ForgetSet, original: Proven, folder: Path, seed: int, _: Beacon | None) -> Proven:
    select = Nearest.in_space(suite, forget, "pixel", original.ensemble[0])
    return forge(suite, forget, original.bundle, folder, select, seed=seed)


MAKERS: dict[str, Make] = {
    "honest": _honest,
    "careless": _careless,
    "Adv-R": _searched,
    "Adv-N, pixel": partial(_nearest, "pixel"),
    "Adv-N, feature": partial(_nearest, "feature"),
    "Adv-N, gradient": partial(_nearest, "gradient"),
    "forged": _forged,
}


def policies(beacon: Beacon, enough: float) -> dict[str, tuple[Policy, bool]]:
    """The verifiers by name: what they ask for, and whether they have the original's bundle.

    ``enough`` is the largest error of a single step of the very proof: the least ``eps`` that lets it pass.
    """
    plain = Policy()
    found = {NOISE: (plain, False)}
    found |= {f"eps {eps:g}": (replace(plain, eps=eps), False) for eps in LOOSE}
    found[ENOUGH] = (replace(plain, eps=enough), False)
    found[f"{ENOUGH}, segments of 2"] = (replace(plain, eps=enough, segment=2), False)
    found[f"{ENOUGH}, original known"] = (replace(plain, eps=enough), True)
    found["2 worst of an epoch"] = (replace(plain, steps="worst"), False)
    found["beacon-bound"] = (replace(plain, beacon=beacon), False)
    return found


@dataclass(frozen=True, eq=False)
class Attacked:
    """All repetitions of one attack."""

    name: str
    rows: tuple[Mapping[str, Any], ...]  # of each repetition: outcomes by verifier, and numbers by name
    margins: Float[ndarray, "repetitions columns"]


def run_matrix(
    suite: Suite, forget: ForgetSet, repetitions: int, workers: Workers, watch: Watch
) -> tuple[Attacked, ...]:
    """Run what the store lacks of ``repetitions`` of every attack; all of them."""
    if repetitions < LEAST:
        raise BadSetting(f"expected {LEAST} repetitions or more, half of which are U-LiRA's shadows, got {repetitions}")
    wanted = [(name, number) for name in MAKERS for number in range(repetitions)]
    missing = [each for each in wanted if user_store().read(_key(suite, forget, *each)) is None]
    jobs = [Job(f"{name} {number}", repeat, (suite, forget, name, number), (suite,)) for name, number in missing]
    for _ in run_jobs(jobs, workers, watch):
        pass
    found: dict[str, list[Artefact]] = {name: [] for name in MAKERS}
    for name, number in wanted:
        kept = user_store().read(_key(suite, forget, name, number))
        assert kept is not None
        found[name].append(kept)
    return tuple(
        Attacked(name, tuple(each.meta for each in kept), np.stack([each.array("margins") for each in kept]))
        for name, kept in found.items()
    )


def repeat(suite: Suite, forget: ForgetSet, name: str, number: int) -> None:
    """One attack once: its bundle goes before every verifier, and its model is measured; kept in the store."""
    folder = Path(tempfile.mkdtemp(prefix="expunge-matrix-"))
    try:
        _repeat(suite, forget, name, number, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _repeat(suite: Suite, forget: ForgetSet, name: str, number: int, folder: Path) -> None:
    seed = SEEDS + number

    def anew(planted: Suite, records: ForgetSet, before: Proven, folder: Path) -> Proven:
        return MAKERS[name](planted, records, before, folder, seed, issue(promise(planted, records, seed).promise))

    started = time.process_time()
    original = prove(suite, None, folder / "original", seed=number)
    training, beacon = time.process_time() - started, issue(promise(suite, forget, seed).promise)
    started = time.process_time()
    made = MAKERS[name](suite, forget, original, folder / "made", seed, beacon)
    cost = (time.process_time() - started) / training
    state = made.ensemble[0].state_dict()
    first = verify(made.bundle, suite, forget, deployed=state)
    enough = max(float(first.errors.parameters.max()) * 1.0001, first.noise.passes("parameters"))
    outcomes: dict[str, Outcome] = {}
    for verifier, (policy, knows) in policies(beacon, enough).items():
        other = original.bundle if knows else None
        try:
            asked = verify(made.bundle, suite, forget, policy, deployed=state, original=other)
            outcomes[verifier] = asked.verdict.outcome
        except BelowNoise:  # of longer segments, in which rounding may fall on a kink
            outcomes[verifier] = "INCONCLUSIVE"
    outcomes[OWNER], counts = asked_by_owner(suite, number, anew, folder / "owner")
    margins, correct = (each[0].numpy() for each in measure(made.ensemble, suite.data))
    accuracy = {split: float(correct[columns].mean()) for split, columns in suite.columns(forget).items()}
    meta = {"outcomes": outcomes, "error": float(first.errors.parameters.max()), "cost": cost, "accuracy": accuracy}
    meta |= {"loss AUC": loss_auc(margins, suite, forget), "trigger": [counts.of(when).own for when in WHEN]}
    user_store().write(_key(suite, forget, name, number), {"margins": margins}, meta)


def loss_auc(margins: ndarray, suite: Suite, forget: ForgetSet) -> float:
    """Of one model the chance that a removed record has a lower loss than a test record: 0.5 tells nothing."""
    columns = suite.columns(forget)
    own, others = margins[columns["forget"]][:, None], margins[columns["test"]][None]
    return float((own > others).mean() + 0.5 * (own == others).mean())


def klom_of(margins: Float[ndarray, "models forget"], oracles: Float[ndarray, "oracles forget"]) -> Estimate:
    """The 95th percentile of KLoM over the removed records."""

    def highest(values: ndarray) -> ndarray:
        return np.array([np.percentile(values, 95)])

    return estimate_by_dealing(ByExample(klom, highest), margins, oracles, bounds=(0.0, CEILING))[0]


def u_lira_of(margins: Float[ndarray, "models forget"], oracles: Float[ndarray, "oracles forget"]) -> Estimate:
    """The AUC, record by record, of who knows other models of the provider, and other oracles; oracles get 0.5."""
    return auc(cross_fitted(margins, oracles, log_ratio), by_example=True).interval()


def _key(suite: Suite, forget: ForgetSet, name: str, number: int) -> str:
    code = code_digest("expunge.audits.proofs.matrix")[:12]
    words = name.lower().replace(", ", "-")
    return f"{suite.digest}/verify-matrix/{code}/{forget.key}/{words}-{number:04d}"
