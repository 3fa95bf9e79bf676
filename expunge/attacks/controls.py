"""Ordinary records to be removed in place of an attacker's: at random, the most influential, the most memorised."""

import numpy as np
from jaxtyping import Int
from numpy import ndarray

from expunge.engine import Watch, Workers, silent
from expunge.ensembles.builds import build
from expunge.ensembles.plan import Plan
from expunge.ensembles.seeds import seed_of
from expunge.ensembles.stored_margins import find_ensemble, holds
from expunge.errors import BadSetting
from expunge.suites.forget_sets import influence_on_others, memorisation
from expunge.suites.suite import Suite

RANDOM, INFLUENTIAL, MEMORISED = "random", "influential", "memorised"


def random_like(
    suite: Suite, labels: Int[ndarray, " wanted"], taken: Int[ndarray, " taken"], *names: str | int
) -> Int[ndarray, " wanted"]:
    """As many records of each class as ``labels`` have, drawn uniformly among those that are not ``taken``."""
    rng = np.random.default_rng(seed_of(suite.digest, RANDOM, *names))
    own = suite.data.train.y.numpy()
    free = np.setdiff1d(np.arange(len(own)), taken)
    chosen = []
    for label, count in zip(*np.unique(labels, return_counts=True), strict=True):
        candidates = free[own[free] == label]
        if count > len(candidates):
            raise BadSetting(
                f"suite {suite.name!r} has {len(candidates)} records of class {label} left for the controls, of which "
                f"{count} are needed; give fewer images a class"
            )
        chosen.append(rng.permutation(candidates)[:count])
    return np.sort(np.concatenate(chosen))


def control_sets(
    suite: Suite,
    labels: Int[ndarray, " wanted"],
    taken: Int[ndarray, " taken"],
    seed: int,
    *,
    subsets: int | None = None,
    workers: Workers = 1,
    watch: Watch = silent,
) -> dict[str, Int[ndarray, " control"]]:
    """Three disjoint controls, each with as many records as ``labels`` are, none of them ``taken``.

    ``memorised`` are those whose own margin gains most from having been trained on, ``influential`` those of the rest
    from which the mean margin on the test examples gains most, both measured on models that were trained on random
    halves; ``random`` is drawn of what is left then, with the classes of ``labels``. That test examples choose the
    influential ones makes that control stronger, never weaker. A suite without models on halves has ``random`` alone.
    """
    chosen: dict[str, ndarray] = {}
    count = suite.subsets if subsets is None else min(subsets, suite.subsets)
    if count:
        own, helped = _effects(suite, count, workers, watch)
        for name, values in ((MEMORISED, own), (INFLUENTIAL, helped)):
            used = np.concatenate([taken, *chosen.values()])
            order = np.argsort(-values, kind="stable")
            chosen[name] = np.sort(order[~np.isin(order, used)][: len(labels)])
    used = np.concatenate([taken, *chosen.values()]).astype(np.int64)
    return {RANDOM: random_like(suite, labels, used, seed), **dict(reversed(chosen.items()))}


def _effects(suite: Suite, count: int, workers: Workers, watch: Watch) -> tuple[ndarray, ndarray]:
    """Memorisation of each training record, and what the mean test margin gains from it, nats."""
    plan = Plan(suite, "subset")
    artefact = find_ensemble(plan, count)
    if artefact is None or not holds(artefact, count):
        artefact = build(plan, count, workers=workers, watch=watch)
    train = suite.data.sizes[0]
    margins = artefact.array("margins")[:count].astype(np.float32)
    masks = np.unpackbits(artefact.array("masks")[:count], axis=1, count=train).view(bool)
    return memorisation(margins[:, :train], masks), influence_on_others(margins[:, train:], masks)
