"""The malicious provider that does not retrain: it forges a proof out of the states of the original training.

Source: Zhang et al. 2024, arXiv:2408.00929; buffers and momenta are forged too, which their public code leaves out.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy import ndarray

from expunge.audits.proofs.bundle import Bundle, open_bundle
from expunge.audits.proofs.gradients import SetGradients
from expunge.audits.proofs.manifest import Promise
from expunge.audits.proofs.order import sizes_of_batches
from expunge.audits.proofs.provider import Proven, promise
from expunge.audits.proofs.recorder import Recorder
from expunge.audits.proofs.replay import as_momenta
from expunge.audits.proofs.substitution import Select
from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.optimizers import Descent
from expunge.ensembles.train import descend
from expunge.errors import BadSetting
from expunge.suites.suite import ForgetSet, Suite


def forge(
    suite: Suite,
    forget: ForgetSet,
    original: Path,
    folder: Path,
    select: Select,
    *,
    perturbation: float = 1e-3,
    seed: int = 0,
) -> Proven:
    """A proof of retraining without any, out of the bundle of the original training, which has a state for every step.

    A step without removed records keeps the original's state, moved a little by the gradient of a random retained
    record; one with them is taken anew, from the original's state before it, on substitutes. So every step nearly
    follows from the one before: its error is at most ``(1 + rate L)`` times how far the state before it was moved, plus
    how far its own was, and errors do not add up. The model that it ends with is that of the original training. Where a
    retraining has fewer steps, the last of each epoch are left out: after them the error is what they have moved.
    """
    source = open_bundle(original, suite)
    if source.manifest.every != 1:
        raise BadSetting(
            f"{original} has a state after every {source.manifest.every} steps; forging needs one for each"
        )
    used, batches = forged_batches(source, suite, forget)
    planned = promise(suite, forget, seed)
    own = source.manifest.promise
    beginning = {"first": own.first, "first_seed": own.first_seed}
    told = Promise.model_validate({**planned.promise.model_dump(), **beginning})
    recorder = Recorder(folder, told, planned.leaves, nonce=None)
    forger = _Forger(source, suite, forget, planned.first.train(), used, perturbation, np.random.default_rng(seed))
    forger.load(0, 0)
    recorder.begin(forger.ensemble, forger.optimizer)
    for step, batch in enumerate(batches):
        forger.step(step, batch, select, recorder)
    return Proven(forger.ensemble.eval(), recorder.finish())


def forged_batches(source: Bundle, suite: Suite, forget: ForgetSet) -> tuple[list[int], list[ndarray]]:
    """Which steps of the original are used, and their batches in the sizes of an honest retraining.

    Where a batch is larger than in a retraining, removed records go first.
    """
    kept = suite.retain(forget)
    sizes = sizes_of_batches(suite.recipe, len(kept))
    if max(sizes) == len(kept):
        raise BadSetting(
            f"a batch of all {len(kept)} retained records is one set and no other: nothing can be chosen, and a proof "
            "cannot be forged"
        )
    epochs = suite.recipe.epochs
    theirs, mine = source.manifest.steps // epochs, len(sizes) // epochs
    used = [epoch * theirs + step for epoch in range(epochs) for step in range(mine)]
    found = []
    for step, size in zip(used, sizes, strict=True):
        batch = source.batch(step)
        goes = np.argsort(~np.isin(batch, forget.indices), kind="stable")[: len(batch) - size]
        found.append(np.delete(batch, goes))
    return used, found


@dataclass(eq=False)
class _Forger:
    source: Bundle
    suite: Suite
    forget: ForgetSet
    ensemble: Ensemble
    used: list[int]  # the step of the original for each of its own
    perturbation: float
    rng: np.random.Generator

    def __post_init__(self) -> None:
        self.optimizer = Descent.by(self.suite.recipe, self.ensemble)
        self.kept = self.suite.retain(self.forget)
        self.gradients = SetGradients(self.suite)

    def load(self, state: int, taken: int) -> None:
        """Put the model and its momenta where the original was; what counts steps has counted those ``taken``."""
        states, layout = self.source.states([state]), self.source.manifest.layout
        held = self.ensemble.network.state_dict()
        for name, tensor in states.tensors(layout).items():
            held[name].copy_(tensor if tensor.is_floating_point() else torch.full_like(tensor, taken))
        self.optimizer.momenta[:] = as_momenta(states, layout)

    def step(self, step: int, batch: ndarray, select: Select, recorder: Recorder) -> None:
        """Record one step, counted from 0."""
        theirs, steps, recipe = self.used[step], len(self.used), self.suite.recipe
        if len(batch) == len(self.source.batch(theirs)) and not np.isin(batch, self.forget.indices).any():
            self.load(theirs + 1, step + 1)
            self._move()
            self.optimizer.lr = recipe.lr_at(step, steps)
            recorder.before(torch.as_tensor(batch)[None])
            recorder.after()
            return
        self.load(theirs, step)
        rows = torch.as_tensor(select(self.ensemble.dense(0), batch).astype(np.int64))[None]
        examples = self.suite.data.train
        known = [(rows, (examples.x[rows], examples.y[rows]))]
        descend(self.ensemble, self.optimizer, known, recipe, step, steps, log=recorder, target=self.suite.target)

    @torch.no_grad()
    def _move(self) -> None:
        """Down the gradient of one retained record, so that the state is no plain copy."""
        chosen = torch.as_tensor([[self.rng.choice(self.kept)]])
        gradient = self.gradients(self.ensemble.dense(0), chosen)[0]
        at = 0
        for parameter in self.ensemble.parameters():
            part = gradient[at : at + parameter.numel()].reshape(parameter.shape)
            parameter.sub_(part, alpha=self.perturbation)
            at += parameter.numel()
