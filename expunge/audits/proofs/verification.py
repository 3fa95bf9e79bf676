"""The verifier: opens a bundle, checks what it says, replays what it claims, and says what that is worth.

Source: the reproducing verification of Zhang et al. 2024, arXiv:2408.00929, on the checks of Jia et al. 2021,
arXiv:2103.05633; initial weights, buffers, momenta, order, count of steps and the deployed model are checked too, which
their public code leaves out.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy import ndarray
from torch import Tensor

from expunge.audits.proofs import contents, first_weights
from expunge.audits.proofs.beacon import Beacon, check_beacon
from expunge.audits.proofs.book import Book, check_book
from expunge.audits.proofs.bundle import Bundle, open_bundle
from expunge.audits.proofs.determinism import check_determinism, deterministic_mode
from expunge.audits.proofs.finding import Finding, worst
from expunge.audits.proofs.judging import look, told
from expunge.audits.proofs.noise import Noise, measure_noise
from expunge.audits.proofs.replay import GROUPS, Errors, Replayer, Segment, segments_of
from expunge.errors import BadSetting
from expunge.fingerprint import code_digest
from expunge.records import Setting, Subject, hardware, versions
from expunge.suites.suite import ForgetSet, Suite
from expunge.verdicts import Outcome, Verdict

Choice = Literal["all", "worst", "random"]
AUDIT = "proof"
QUANTILES = (0.5, 0.95, 0.99)

SHOWS: dict[Outcome, str] = {
    "PASS": "that the model in the bundle is what the stated steps on the stated batches give from where it began",
    "FAIL": "that the bundle is no proof of the retraining that was asked for",
    "INCONCLUSIVE": "nothing: the verifier could not tell a sound proof from another",
}
PLAIN = (
    "that anything was forgotten: a provider that chooses its batches can choose retained records that stand in for "
    "the removed ones, by nearest neighbours or by trying, and first weights that are near the old model's, and passes "
    "by construction; only an order drawn from a nonce that is issued after the promise leaves it no choice of batches"
)
NO_PASS: dict[Outcome, str] = {
    "FAIL": "that anything of the removed records is left in the model, nor that anybody deceives: a mistake fails too",
    "INCONCLUSIVE": "that the records were removed, nor that they were not",
}
UNBOOKED = "; nor that the provider had no other nonce for this removal before, for no book of nonces was asked"
BOUND = (
    "that the provider keeps no other copy of the records or of the old model, nor that the retained records say "
    "nothing of the removed ones, nor that seeds of the first weights were not tried before they were promised"
)


@dataclass(frozen=True, kw_only=True)
class Policy:
    """What the verifier asks for.

    ``steps``: which segments are replayed: all, the ``count`` of an epoch with the largest updates, or ``count`` drawn
    at random from ``seed``. ``segment``: states from the start of one to its end; with momentum, forged proofs err more
    on long ones.
    ``eps``: the largest error of the parameters that passes, in L2, as in the literature, where buffers and momenta are
    not looked at; None for the noise that this machine has, of all three. ``stated``: take rates and sizes
    of batches as the bundle states them, instead of the recipe's: for a training loop of the provider's own.
    ``beacon``: the nonce that the order is held to; ``book``: where the verifier keeps all that it issued, which has
    the nonce where no beacon is given. ``deterministic``: the bundle must say that it was recorded in torch's
    deterministic mode; one that says so is replayed in it in any case.
    """

    steps: Choice = "all"
    count: int = 2
    segment: int = 1
    eps: float | None = None
    stated: bool = False
    beacon: Beacon | None = None
    book: Book | None = None
    deterministic: bool = False
    seed: int = 0

    @property
    def bound(self) -> bool:
        """Whether the order is held to a nonce."""
        return self.beacon is not None or self.book is not None

    def __post_init__(self) -> None:
        for name, least in (("seed", 0), ("segment", 1), ("count", 1)):
            if (given := getattr(self, name)) < least:
                raise BadSetting(f"{name}: expected a whole number of {least} or more, got {given}")
        if self.eps is not None and not 0 < self.eps < np.inf:
            raise BadSetting(f"eps: expected a finite number above 0, got {self.eps}")


@dataclass(frozen=True, eq=False)
class Verified:
    """The verdict, what each check found, and the error of each replayed segment."""

    verdict: Verdict
    findings: tuple[Finding, ...]
    segments: tuple[tuple[int, int], ...]  # the steps of each: after the first, up to the last
    errors: Errors
    noise: Noise

    def worst_steps(self, count: int = 5) -> list[tuple[int, int, dict[str, float]]]:
        """The segments with the largest errors, with their errors."""
        order = np.argsort(-self.errors.largest(), kind="stable")[:count]
        table = self.errors.named()
        return [(*self.segments[row], {name: float(table[name][row]) for name in GROUPS}) for row in order]


def verify(
    folder: Path,
    suite: Suite,
    forget: ForgetSet | None,
    policy: Policy | None = None,
    *,
    deployed: Mapping[str, Tensor] | None = None,
    original: Path | None = None,
) -> Verified:
    """Verify that the model in the bundle at ``folder`` was trained without ``forget``.

    ``deployed`` is the state dict of the model that is in use, ``original`` the bundle of the training before the
    removal; what is not given is not checked, and the verdict says so.
    """
    policy = policy or Policy()
    if forget is not None:
        forget.require_fit(suite.data.sizes[0], suite.name)
    bundle = open_bundle(folder, suite)
    if not policy.stated:
        contents.require_steps(bundle, suite)
    findings = _check_contents(bundle, suite, forget, policy)
    findings += first_weights.check_first(bundle, suite)
    if original is not None:
        before = open_bundle(original, suite)
        findings.append(first_weights.check_not_the_originals(bundle, before, suite))
        findings += contents.check_trained(before, forget)
    findings += contents.check_final(bundle, deployed)
    replayer = Replayer.of(bundle, suite)
    segments = chosen_segments(bundle, policy)
    can, in_mode = check_determinism(replayer, segments[0], policy.deterministic)
    findings += can
    with deterministic_mode(in_mode):
        noise = measure_noise(replayer, segments, policy.seed)
        judged = look(replayer, segments, noise, policy.eps, policy.seed)
    steps = tuple((bundle.step_of(each.start), bundle.step_of(each.end)) for each in segments)
    findings.append(told(judged, steps, noise, policy.eps))
    unchecked = [*["the deployed model"] * (deployed is None), *["the original training"] * (original is None)]
    verdict = _verdict(bundle, suite, forget, policy, findings, judged.errors, noise, unchecked)
    return Verified(verdict, tuple(findings), steps, judged.errors, noise)


def _check_contents(bundle: Bundle, suite: Suite, forget: ForgetSet | None, policy: Policy) -> list[Finding]:
    found = [
        contents.check_request(bundle, forget),
        contents.check_records(bundle, suite),
        contents.check_chain(bundle),
    ]
    found += contents.check_removal(bundle, forget, suite.data.train)
    if not policy.stated:
        found += contents.check_steps(bundle, suite)
    found.append(contents.check_order(bundle, suite))
    return [*found, *_check_nonce(bundle, suite, policy), contents.check_code(bundle)]


def _check_nonce(bundle: Bundle, suite: Suite, policy: Policy) -> list[Finding]:
    """Whether the order is that of the nonce, and the nonce the only one that was issued."""
    beacon, found = policy.beacon, list[Finding]()
    if policy.book is not None:
        beacon, finding = check_book(bundle, policy.book, beacon)
        found.append(finding)
    return found if beacon is None else [check_beacon(bundle, suite, beacon), *found]


def chosen_segments(bundle: Bundle, policy: Policy) -> list[Segment]:
    """The segments that are replayed, in the order of the training."""
    every = segments_of(bundle, policy.segment)
    if policy.steps == "all":
        return every
    if policy.steps == "random":
        count = min(policy.count, len(every))
        rows = np.random.default_rng(policy.seed).choice(len(every), count, replace=False)
        return [every[row] for row in sorted(rows)]
    updates = update_sizes(bundle, every)
    epochs = np.array([bundle.step_of(each.start) for each in every]) // max(1, _steps_of_an_epoch(bundle))
    chosen = [np.flatnonzero(epochs == epoch) for epoch in np.unique(epochs)]
    rows = np.concatenate([rows[np.argsort(-updates[rows], kind="stable")[: policy.count]] for rows in chosen])
    return [every[row] for row in sorted(rows)]


def update_sizes(bundle: Bundle, segments: list[Segment]) -> ndarray:
    """How far the parameters move in each segment."""
    found, last = [], None
    for each in segments:
        before = bundle.states([each.start]).parameters if last is None else last
        last = bundle.states([each.end]).parameters
        found.append(float((last - before).norm()))
    return np.array(found)


def _steps_of_an_epoch(bundle: Bundle) -> int:
    kept = bundle.manifest.promise.records - len(bundle.manifest.promise.removed)
    return max(1, kept // bundle.manifest.batch)


def _verdict(
    bundle: Bundle,
    suite: Suite,
    forget: ForgetSet | None,
    policy: Policy,
    findings: list[Finding],
    errors: Errors,
    noise: Noise,
    unchecked: list[str],
) -> Verdict:
    order: list[str] = ["FAIL", "INCONCLUSIVE", "PASS"]
    heaviest = sorted(findings, key=lambda each: order.index(each.outcome))
    facts: dict[str, Setting] = {
        "steps": policy.steps,
        "segment": policy.segment,
        "beacon-bound": policy.bound,
        "nonce from a book": policy.book is not None,
        **{f"trained on {name}": value for name, value in bundle.manifest.facts.model_dump().items()},
    }
    numbers = {f"largest error, {name}": float(each.max()) for name, each in errors.named().items()}
    numbers |= {f"noise, {name}": value for name, value in noise.floor.items()}
    numbers |= {f"effect of one record, {name}": value for name, value in noise.effect.items()}
    numbers["segments where one record would not be seen"] = noise.blind
    numbers |= {f"error, parameters, {100 * q:g} %": float(np.quantile(errors.parameters, q)) for q in QUANTILES}
    numbers["share of segments within the noise"] = float((errors.parameters <= noise.passes("parameters")).mean())
    return Verdict(
        audit=AUDIT,
        subject=_subject(bundle, suite, forget),
        outcome=worst(findings),
        reasons=tuple(each.reason for each in heaviest),
        shows=SHOWS[worst(findings)],
        shows_not=_shows_not(worst(findings), policy, unchecked),
        numbers={name: value for name, value in numbers.items() if np.isfinite(value)},
        facts=facts,
    )


def _shows_not(outcome: Outcome, policy: Policy, unchecked: list[str]) -> str:
    if outcome != "PASS":
        return NO_PASS[outcome]
    lacks = f"; nor anything of {' or '.join(unchecked)}, which it was not given" if unchecked else ""
    return (BOUND + UNBOOKED * (policy.book is None) if policy.bound else PLAIN) + lacks


def _subject(bundle: Bundle, suite: Suite, forget: ForgetSet | None) -> Subject:
    return Subject(
        suite=suite.name,
        suite_digest=suite.digest,
        forget_set=forget.name if forget else "",
        forget_digest=forget.sha256 if forget else "",
        method="proven retraining" if forget else "proven training",
        config={},
        tuning="",
        seed=0,
        model_numbers=bundle.manifest.final[:16],
        device=bundle.manifest.facts.device,
        hardware=hardware(),
        code=code_digest("expunge.audits.proofs.verification"),
        versions=versions(),
        forget_kind=forget.kind if forget else "",
    )
