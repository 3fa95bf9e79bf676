"""Ordinary records to be removed in place of an attacker's: at random, the most influential, the most memorised."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

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


@dataclass(frozen=True, eq=False)
class Controls:
    """Ordinary records, by name: the first random draw, the most influential, the most memorised; and further draws.

    ``reliability`` is, of what measures each, the correlation of two halves of the models that measure it: near 0 it is
    noise that chose.
    """

    sets: Mapping[str, Int[ndarray, " control"]]
    draws: Sequence[Int[ndarray, " control"]]
    reliability: Mapping[str, float]


def control_sets(
    suite: Suite,
    labels: Int[ndarray, " wanted"],
    taken: Int[ndarray, " taken"],
    seed: int,
    *,
    draws: int = 1,
    subsets: int | None = None,
    workers: Workers = 1,
    watch: Watch = silent,
) -> Controls:
    """Disjoint controls, each with as many records as ``labels`` are, none of them ``taken``.

    Random ones are drawn first, with the classes of ``labels``. Of the rest ``memorised`` are those whose own margin
    gains most from having been trained on, ``influential`` those from which the mean margin on the test examples gains
    most: whatever their classes, both measured on models that were trained on random halves. A suite without such
    models has random ones alone.
    """
    used, random = taken, []
    for number in range(draws):
        random.append(random_like(suite, labels, used, seed, number))
        used = np.concatenate([used, random[-1]])
    count = suite.subsets if subsets is None else min(subsets, suite.subsets)
    chosen: dict[str, ndarray] = {}
    reliability: dict[str, float] = {}
    if count:
        for name, (values, agreed) in _effects(suite, count, workers, watch).items():
            order = np.argsort(-values, kind="stable")
            chosen[name] = np.sort(order[~np.isin(order, used)][: len(labels)])
            used, reliability[name] = np.concatenate([used, chosen[name]]), agreed
    return Controls({RANDOM: random[0], **dict(reversed(chosen.items()))}, random[1:], reliability)


def _effects(suite: Suite, count: int, workers: Workers, watch: Watch) -> dict[str, tuple[ndarray, float]]:
    """Memorisation of each training record, and what the mean test margin gains from it, nats; how reliable each is."""
    plan = Plan(suite, "subset")
    artefact = find_ensemble(plan, count)
    if artefact is None or not holds(artefact, count):
        artefact = build(plan, count, workers=workers, watch=watch)
    train = suite.data.sizes[0]
    margins = artefact.array("margins")[:count].astype(np.float32)
    masks = np.unpackbits(artefact.array("masks")[:count], axis=1, count=train).view(bool)
    found = {}
    for name, effect, part in (
        (MEMORISED, memorisation, margins[:, :train]),
        (INFLUENTIAL, influence_on_others, margins[:, train:]),
    ):
        one, other = (effect(part[half::2], masks[half::2]) for half in (0, 1))
        found[name] = effect(part, masks), float(np.corrcoef(one, other)[0, 1])
    return found
