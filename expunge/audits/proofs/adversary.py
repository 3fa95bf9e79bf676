"""The malicious provider that retrains: on batches of all records, with substitutes in the places of removed ones.

Nothing in its bundle is faked: every step is truly taken, on retained records alone.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy import ndarray
from torch import Tensor, nn

from expunge.audits.proofs.order import Drawn, sizes_of_batches
from expunge.audits.proofs.provider import Promised, Proven, kept_of, promise
from expunge.audits.proofs.recorder import Recorder
from expunge.audits.proofs.substitution import Select
from expunge.ensembles.chance import Chance
from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.optimizers import Descent
from expunge.ensembles.seeds import seed_of
from expunge.ensembles.train import Batch, descend
from expunge.suites.suite import ForgetSet, Suite

Known = tuple[Tensor, Batch]  # rows (1, batch), and their examples


def retrain_substituted(
    suite: Suite,
    forget: ForgetSet,
    folder: Path,
    select: Select,
    *,
    seed: int = 0,
    promised: Promised | None = None,
    claimed: str | None = None,
    every: int = 1,
) -> Proven:
    """Train on batches of all records, in which ``select`` replaces the removed ones: Adv-R or Adv-N.

    There are as many steps, of the same sizes, as an honest retraining has. With ``claimed``, a nonce, the bundle says
    that its order was drawn from it.
    """
    promised = promised or promise(suite, forget, seed)
    recorder = Recorder(folder, promised.promise, promised.leaves, nonce=claimed, every=every)
    ensemble, recipe = promised.first.train(), suite.recipe
    ensemble.chance = Chance([seed_of("substituted", seed)])
    optimizer = Descent.by(recipe, ensemble)
    recorder.begin(ensemble, optimizer)
    kept = len(kept_of(promised.promise))
    batches = _substituted(suite, ensemble, full_batches(suite, kept, seed), select)
    steps = len(sizes_of_batches(recipe, kept))
    descend(ensemble, optimizer, batches, recipe, 0, steps, log=recorder, target=suite.target)
    return Proven(ensemble.eval(), recorder.finish())


def full_batches(suite: Suite, kept: int, seed: int) -> list[ndarray]:
    """Batches of all records, cut to the sizes of an honest retraining on ``kept`` of them."""
    drawn, records = Drawn(seed_of("full", suite.digest, seed).to_bytes(8, "little")), suite.data.sizes[0]
    sizes = sizes_of_batches(suite.recipe, kept)
    in_epoch = len(sizes) // suite.recipe.epochs
    found = []
    for epoch in range(suite.recipe.epochs):
        order = drawn.permutation(records)[0].numpy()
        ends = np.cumsum(sizes[epoch * in_epoch : (epoch + 1) * in_epoch])
        found += [order[end - size : end] for end, size in zip(ends, sizes[:in_epoch], strict=True)]
    return found


def _substituted(suite: Suite, ensemble: Ensemble, batches: list[ndarray], select: Select) -> Iterator[Known]:
    for batch in batches:
        rows = torch.as_tensor(select(ensemble.dense(0), batch).astype(np.int64))[None]
        yield rows, (suite.data.train.x[rows], suite.data.train.y[rows])


def plant(
    suite: Suite, forget: ForgetSet, folder: Path, *, step: int, record: int, seed: int = 0, every: int = 1
) -> Proven:
    """A careless provider: one removed record stays in the batch of one step, counted from 1."""

    def planting(batches: list[ndarray]) -> Select:
        seen = iter(range(len(batches)))

        def select(model: nn.Module, batch: ndarray) -> ndarray:
            found = honest[number := next(seen)].copy()
            if number == step - 1:
                found[0] = record
            return found

        return select

    promised = promise(suite, forget, seed)
    kept, drawn = kept_of(promised.promise), Drawn(seed.to_bytes(8, "little"))
    sizes = sizes_of_batches(suite.recipe, len(kept))
    in_epoch = len(sizes) // suite.recipe.epochs
    honest: list[ndarray] = []
    for _ in range(suite.recipe.epochs):
        order = kept[drawn.permutation(len(kept))[0].numpy()]
        honest += np.split(order, np.cumsum(sizes[:in_epoch])[:-1])
    return retrain_substituted(suite, forget, folder, planting(honest), seed=seed, promised=promised, every=every)
