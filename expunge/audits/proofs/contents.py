"""Checks of what a bundle says: request, records, chain, removal, order, count of steps, and the deployed model."""

import hashlib
from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Bool, Int
from numpy import ndarray
from torch import Tensor

from expunge.audits.proofs.bundle import Bundle
from expunge.audits.proofs.finding import Finding, counted, named, named_as
from expunge.audits.proofs.merkle import leaves_of, root_of, without
from expunge.audits.proofs.order import chance_of, drawn_batches, seed_of_order, sizes_of_batches
from expunge.audits.proofs.provider import kept_of, training_code
from expunge.audits.proofs.recorder import commitment_to, link
from expunge.audits.proofs.state_files import SHARD
from expunge.audits.proofs.states import model_states, size_of
from expunge.errors import BadProof
from expunge.suites.data import Examples
from expunge.suites.suite import ForgetSet, Suite

MOST_STEPS = 2  # times those of the recipe: more are not replayed
NEAR = 1e-3  # relative distance in L2 up to which two records are one


def check_request(bundle: Bundle, forget: ForgetSet | None) -> Finding:
    """Whether the promise is of this very request."""
    wanted = () if forget is None else tuple(map(int, forget.indices))
    told = bundle.manifest.promise.removed
    if told == wanted:
        return Finding("request", "PASS", f"it is of the request: {counted(len(wanted), 'record')} removed")
    lacking, more = sorted(set(wanted) - set(told)), sorted(set(told) - set(wanted))
    words = [f"does not remove {named_as('record', lacking)}"] * bool(lacking)
    words += [f"also removes {named_as('record', more)}"] * bool(more)
    return Finding("request", "FAIL", f"the proof is of another request: it {' and '.join(words)}")


def check_records(bundle: Bundle, suite: Suite) -> Finding:
    """Whether the roots are those of the data, and of all of it but what was removed."""
    told, leaves = bundle.manifest.promise, leaves_of(suite.data.train)
    differing = np.flatnonzero((leaves != bundle.leaves).any(1))
    if len(differing):
        leaves_are = "leaf of record {} is" if len(differing) == 1 else "leaves of records {} are"
        return Finding("records", "FAIL", f"the {leaves_are.format(named(differing))} not as the data gives it")
    if root_of(leaves) != told.root:
        return Finding("records", "FAIL", "the Merkle root of all records is not that of the data")
    if root_of(without(leaves, told.removed)) != told.kept_root:
        return Finding("records", "FAIL", "the root of what is kept is not that of all records but the removed")
    return Finding("records", "PASS", "the root of what is kept is that of all records but the removed")


def check_chain(bundle: Bundle) -> Finding:
    """Whether every link follows from the one before it, its batch and its state."""
    manifest, links = bundle.manifest, [row.tobytes() for row in bundle.chain]
    digests = state_digests(bundle)
    first = hashlib.sha256(manifest.promise.digest.encode() + digests[0]).digest()
    broken = [] if links[0] == first else [0]
    for step in range(1, manifest.steps + 1):
        kept = step % manifest.every == 0 or step == manifest.steps
        state = digests[-(-step // manifest.every)] if kept else b""
        if links[step] != link(links[step - 1], bundle.batch(step - 1), float(bundle.rates[step - 1]), state):
            broken.append(step)
    if broken:
        where = named_as("step", broken)
        return Finding("chain", "FAIL", f"the hash chain breaks at {where}: changed after it was recorded")
    if links[-1].hex() != manifest.head:
        return Finding("chain", "FAIL", "the manifest states another end of the hash chain")
    return Finding("chain", "PASS", "the hash chain holds from the first state to the last")


def state_digests(bundle: Bundle) -> list[bytes]:
    """The SHA-256 of every state, of which few are in memory at once; refused is one with numbers that are none.

    From such a state nothing can be done again, and what cannot be compared must not pass for noise.
    """
    found, size = [], max(1, SHARD // size_of(bundle.manifest.layout))
    for start in range(0, bundle.manifest.states, size):
        states = bundle.states(range(start, min(start + size, bundle.manifest.states)))
        finite = np.all([each.isfinite().all(1).numpy() for each in states.named().values()], axis=0)
        if not finite.all():
            step = bundle.step_of(start + int(np.flatnonzero(~finite)[0]))
            raise BadProof(
                f"{bundle.folder}: the state after {counted(step, 'step')} holds NaN or infinity: the training "
                "diverged, or was made up; expected finite numbers, from which steps can be done again"
            )
        found += states.digests()
    return found


def check_removal(bundle: Bundle, forget: ForgetSet | None, examples: Examples) -> list[Finding]:
    """Whether a batch holds what was to be removed, or a record that is nearly one of these."""
    if forget is None:
        return []
    planted = np.isin(bundle.batches, forget.indices)
    found = []
    if planted.any():
        ids, steps = np.unique(bundle.batches[planted]), np.flatnonzero(planted.any(1)) + 1
        are, batches = "is" if len(ids) == 1 else "are", "batch" if len(steps) == 1 else "batches"
        reason = f"removed {named_as('record', ids)} {are} in the {batches} of {named_as('step', steps)}"
        found.append(Finding("removal", "FAIL", reason))
    else:
        found.append(Finding("removal", "PASS", f"no batch holds any of the {counted(len(forget), 'removed record')}"))
    used = np.zeros(len(examples), bool)
    used[bundle.batches[bundle.batches >= 0]] = True
    used[forget.indices] = False
    twins = np.flatnonzero(used & near_duplicates(examples, forget.indices))
    if len(twins):
        alike, they = (
            ("is in batches and equals a removed one", "was it")
            if len(twins) == 1
            else (
                "are in batches and equal removed ones",
                "were they",
            )
        )
        reason = f"{named_as('record', twins)} {alike}, or nearly: {they} to stay?"
        found.append(Finding("duplicates", "INCONCLUSIVE", reason))
    return found


def check_trained(original: Bundle, forget: ForgetSet | None) -> list[Finding]:
    """Whether the original training saw what was to be removed: of other records there is nothing to forget."""
    if forget is None or not len(unseen := np.setdiff1d(forget.indices, original.batches)):
        return []
    were = "was" if len(unseen) == 1 else "were"
    reason = f"removed {named_as('record', unseen)} {were} in no batch of the original training: nothing was to forget"
    return [Finding("trained", "INCONCLUSIVE", reason)]


def near_duplicates(examples: Examples, removed: Int[ndarray, " removed"], near: float = NEAR) -> Bool[ndarray, " n"]:
    """Of each record whether it lies within ``near`` of a removed one, relative to that one's norm."""
    x = examples.x.reshape(len(examples), -1).float()
    own = x[torch.as_tensor(removed)]
    limits = near * own.norm(dim=1)
    found = [
        (torch.cdist(part, own, compute_mode="donot_use_mm_for_euclid_dist") <= limits).any(1) for part in x.split(4096)
    ]
    close: ndarray = torch.cat(found).numpy()
    return close


def require_steps(bundle: Bundle, suite: Suite) -> None:
    """Refuse to replay far more steps than the recipe has: a bundle shall not decide how long a verifier works."""
    kept = bundle.manifest.promise.records - len(bundle.manifest.promise.removed)
    wanted = len(sizes_of_batches(suite.recipe, kept))
    if bundle.manifest.steps > MOST_STEPS * wanted:
        raise BadProof(
            f"{bundle.folder}: {counted(bundle.manifest.steps, 'step')}, and the recipe has {wanted:,} on "
            f"{counted(kept, 'record')}; "
            "replay them with --stated, if the training loop was the provider's own"
        )


def check_steps(bundle: Bundle, suite: Suite) -> list[Finding]:
    """Whether there are as many steps as the recipe has, of its sizes and at its rates."""
    kept = bundle.manifest.promise.records - len(bundle.manifest.promise.removed)
    wanted = np.array(sizes_of_batches(suite.recipe, kept))
    sizes = (bundle.batches >= 0).sum(1)
    if len(sizes) != len(wanted):
        told = f"{counted(len(sizes), 'step')}, the recipe has {len(wanted):,} on {counted(kept, 'record')}"
        return [Finding("steps", "FAIL", told)]
    if (sizes != wanted).any():
        step = int(np.flatnonzero(sizes != wanted)[0])
        reason = f"step {step + 1} takes {counted(int(sizes[step]), 'record')}, the recipe {wanted[step]}"
        return [Finding("steps", "FAIL", reason)]
    rates = np.array([suite.recipe.lr_at(step, len(sizes)) for step in range(len(sizes))])
    wrong = np.flatnonzero(~np.isclose(bundle.rates, rates, rtol=1e-9, atol=0))
    if len(wrong):
        step = int(wrong[0])
        reason = f"step {step + 1} has the learning rate {bundle.rates[step]:.6g}, the recipe {rates[step]:.6g}"
        return [Finding("rates", "FAIL", reason)]
    told = f"{counted(len(sizes), 'step')} of the sizes and at the rates that the recipe has"
    return [Finding("steps", "PASS", told)]


def check_order(bundle: Bundle, suite: Suite) -> Finding:
    """Whether the batches are those that the provider is held to."""
    order, told = bundle.manifest.order, bundle.manifest.promise
    if commitment_to(bundle.batches) != order.commitment:
        return Finding("order", "FAIL", "the batches are not those of the commitment")
    if order.kind == "listed" or order.nonce is None:
        return Finding("order", "PASS", "the batches are those of the commitment: a list of the provider's own choice")
    seed = seed_of_order(told.digest, order.nonce)
    if bundle.manifest.chance not in (None, chance_of(seed)):
        return Finding("order", "FAIL", "what layers drew is not what promise and nonce give")
    drawn = drawn_batches(suite.recipe, kept_of(told), seed)
    if (wrong := differing_steps(bundle.batches, drawn)) is not None:
        return Finding("order", "FAIL", f"the batch of step {wrong} is not the one that promise and nonce give")
    return Finding("order", "PASS", "the batches are drawn from the promise and the stated nonce")


def differing_steps(one: ndarray, other: ndarray) -> int | None:
    """The first step, counted from 1, whose batches differ."""
    if one.shape[1:] != other.shape[1:]:
        return 1
    least = min(len(one), len(other))
    wrong = np.flatnonzero((one[:least] != other[:least]).any(1))
    return int(wrong[0]) + 1 if len(wrong) else None if len(one) == len(other) else least + 1


def check_final(bundle: Bundle, deployed: Mapping[str, Tensor] | None) -> list[Finding]:
    """Whether the last state is the model that the manifest names, and the one that is in use."""
    final = bundle.states([bundle.manifest.states - 1]).model_digest(0)
    if final != bundle.manifest.final:
        return [Finding("final", "FAIL", "the last state is not the model that the manifest names")]
    if deployed is None:
        return []
    if model_states(deployed, bundle.manifest.layout).model_digest(0) != final:
        return [Finding("deployed", "FAIL", "the deployed model is not the one that the proof ends with")]
    return [Finding("deployed", "PASS", "the deployed model is the one that the proof ends with, bit for bit")]


def check_code(bundle: Bundle) -> Finding:
    """Whether provider and verifier train by the same code; another one is no fraud, and the replay decides."""
    same = bundle.manifest.promise.code == training_code()
    words = "the code that trains is the verifier's own" if same else "it was trained by other code than is here"
    return Finding("code", "PASS", words)
