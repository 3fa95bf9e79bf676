"""The provider: promises what it will train on, trains with the recorder on, and hands over the bundle."""

import secrets
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy import ndarray

from expunge.audits.proofs.determinism import deterministic_mode, require_repeatable
from expunge.audits.proofs.manifest import Promise, layout_of
from expunge.audits.proofs.merkle import leaves_of, root_of, without
from expunge.audits.proofs.order import Drawn, seed_of_order
from expunge.audits.proofs.recorder import Recorder
from expunge.audits.proofs.states import model_states
from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.origin import Kind, Origin
from expunge.ensembles.plan import new_networks
from expunge.ensembles.seeds import seed_of
from expunge.ensembles.train import train
from expunge.errors import BadSetting
from expunge.fingerprint import code_digest
from expunge.suites.suite import ForgetSet, Suite


@dataclass(frozen=True, eq=False)
class Proven:
    """A model that was trained with the recorder on, and the bundle that says how."""

    ensemble: Ensemble  # of the one model, in evaluation mode
    bundle: Path


@dataclass(frozen=True, eq=False)
class Promised:
    """What a provider has committed to: the promise, and what it keeps to itself until it hands over the bundle."""

    promise: Promise
    leaves: ndarray
    first: Ensemble  # the model before training


def promise(suite: Suite, forget: ForgetSet | None, seed: int) -> Promised:
    """Commit to training on all but ``forget``, from weights drawn from ``seed``: the promise goes to the verifier.

    Without a forget set it is the original training.
    """
    require_replayable(suite)
    if forget is not None:
        forget.require_fit(suite.data.sizes[0], suite.name)
    if seed < 0:
        raise BadSetting(f"seed: expected a whole number of 0 or more, got {seed}")
    first_seed = seed_of("proof", suite.digest, "" if forget is None else forget.key, seed)
    network = new_networks(suite.network, [first_seed])[0]
    leaves = leaves_of(suite.data.train)
    removed = () if forget is None else tuple(map(int, forget.indices))
    told = Promise(
        suite=suite.name,
        suite_digest=suite.digest,
        records=len(leaves),
        root=root_of(leaves),
        removed=removed,
        kept_root=root_of(without(leaves, removed)),
        first=model_states(network.state_dict(), layout_of(network)).model_digest(0),
        first_seed=first_seed,
        code=training_code(),
    )
    kind: Kind = "pretrained" if forget is None else "oracle"
    origin = Origin(suite.address, suite.digest, kind, forget.key if forget else None, (seed,))
    return Promised(told, leaves, Ensemble.stack([network], origin, suite.data.train.x.shape[1:]))


def prove(
    suite: Suite,
    forget: ForgetSet | None,
    folder: Path,
    *,
    seed: int = 0,
    nonce: str | None = None,
    every: int = 1,
    deterministic: bool = False,
) -> Proven:
    """Train honestly with the recorder on, in an order drawn from ``nonce``, the provider's own unless it is given.

    With ``deterministic`` in torch's deterministic mode, and the bundle says so.
    """
    promised, nonce = promise(suite, forget, seed), nonce or secrets.token_hex(32)
    return prove_promised(suite, promised, folder, nonce, every=every, deterministic=deterministic)


def prove_promised(
    suite: Suite, promised: Promised, folder: Path, nonce: str, *, every: int = 1, deterministic: bool = False
) -> Proven:
    """Train as it was promised, in the order that the promise and ``nonce`` give.

    :class:`~expunge.errors.NonDeterministic`, which names the operation, where the network draws by chance that no
    bundle records, or where the deterministic mode is asked for and torch refuses one.
    """
    require_repeatable(suite, promised.first, deterministic)
    recorder = Recorder(folder, promised.promise, promised.leaves, nonce=nonce, every=every)
    order = Drawn(seed_of_order(promised.promise.digest, nonce))
    rows = torch.as_tensor(kept_of(promised.promise))[None]
    with deterministic_mode(deterministic):
        model = train(promised.first, suite.data.train, rows, suite.recipe, order, log=recorder, target=suite.target)
    return Proven(model, recorder.finish())


def kept_of(told: Promise) -> ndarray:
    """The records that remain."""
    return np.setdiff1d(np.arange(told.records), np.array(told.removed, dtype=int))


def training_code() -> str:
    """The digest of the code that trains."""
    return code_digest("expunge.ensembles.train")


def require_replayable(suite: Suite) -> None:
    """Refuse a recipe whose steps cannot be done again from their states alone."""
    recipe = suite.recipe
    reasons = {
        f"augments ({recipe.augment}), and the chance of that is not recorded": recipe.augment != "none",
        f"prunes ({recipe.prune}), and its masks are not recorded": bool(recipe.prune),
    }
    for reason, holds in reasons.items():
        if holds:
            raise BadSetting(f"suite {suite.name!r}: its recipe {reason}; a proof needs one without")
