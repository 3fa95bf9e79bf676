"""Forget sets for tuning: as large as the suite's own, of examples that are in none of them."""

import shlex

import numpy as np
from numpy import ndarray

from expunge.ensembles.stored_margins import read_subsets
from expunge.errors import BadSetting, StoreError
from expunge.store import find
from expunge.suites import ForgetSet, Suite, is_found, memorised
from expunge.suites.derived import DERIVED, REBUILD

SEED = 7


def tuning_sets(suite: Suite) -> list[ForgetSet]:
    """A random draw, a part of a class where examples have one and, where the suite has ``subsets``, the next most
    memorised examples.

    Draws are as large as the suite's middle forget set, the part of a class as its largest, if so many are left of the
    class that has most left. No example is in any forget set of the suite.
    """
    if suite.derive and find(f"{suite.digest}/{DERIVED}") is None:
        how = (
            f"run `expunge build {shlex.quote(suite.address)}` first" if is_found(suite) else f"make them by {REBUILD}"
        )
        raise StoreError(
            f"suite {suite.name!r} has forget sets that are not made yet, and tuning must not use their examples; {how}"
        )
    own = [each.indices for each in suite.forget_sets.values()]
    if not own:
        raise BadSetting(f"suite {suite.name!r} has no forget sets, so there is nothing to tune for")
    free = np.setdiff1d(np.arange(suite.data.sizes[0]), np.concatenate(own))
    size, largest = int(np.median([len(each) for each in own])), max(len(each) for each in own)
    if len(free) < size:
        raise BadSetting(
            f"suite {suite.name!r}: its forget sets leave {len(free)} of {suite.data.sizes[0]} training examples, "
            f"expected at least {size}, as many as a tuning forget set has; take forget sets that leave more"
        )
    random = np.sort(np.random.default_rng(SEED).choice(free, size, replace=False))
    sets = [
        ForgetSet("tuning-random", random, f"{size} examples drawn uniformly, seed {SEED}, of those in no forget set")
    ]
    labels = suite.target.shown(suite.data)
    if labels is not None and suite.data.width == suite.data.examples:  # one class an example
        label, part = _part_of_a_class(labels, free, largest)
        name = suite.data.names[label] if suite.data.names else label
        sets.append(ForgetSet("tuning-class", part, f"{len(part)} examples of class {name} that are in no forget set"))
    if suite.subsets:
        margins, masks = read_subsets(suite)
        hard = free[memorised(_by_example(suite, margins, free), masks[:, free], size)]
        sets.append(ForgetSet("tuning-memorised", hard, f"the {size} most memorised of those in no forget set"))
    return sets


def _part_of_a_class(labels: ndarray, free: ndarray, size: int) -> tuple[int, ndarray]:
    """The class with most free examples, the first of those with as many, and its first ``size`` free examples."""
    label = int(np.bincount(labels[free]).argmax())
    return label, free[labels[free] == label][:size]


def _by_example(suite: Suite, margins: ndarray, examples: ndarray) -> ndarray:
    """Margins ``(models, examples)`` of these examples; of one that has several, their mean."""
    if suite.data.width == suite.data.examples:
        return np.asarray(margins[:, examples])
    return np.stack([margins[:, suite.columns_of(each)].mean(axis=1) for each in examples[:, None]], axis=1)
