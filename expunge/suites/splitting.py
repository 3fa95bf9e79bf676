"""Which examples are to test with, where nobody has said so."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int
from numpy import ndarray

from expunge.errors import BadData, BadSetting

SHARE, SEED = 0.2, 0  # of each class to test, and of the chance that chooses


def split(
    labels: ndarray, share: float = SHARE, what: str = "data", names: Sequence[str] = ()
) -> tuple[Int[ndarray, " train"], Int[ndarray, " test"]]:
    """Rows to train on and rows to test on, rising: a ``share`` of each class is drawn to test, at least one of it.

    ``names`` are those of the classes, where labels are their numbers.

    >>> [rows.tolist() for rows in split(np.array(["a", "a", "b", "b", "b"]), 0.4)]
    [[0, 2, 4], [1, 3]]
    """
    if not 0 < share < 1:
        raise BadSetting(f"{what}: expected a share to test in (0, 1), got {share:g}")
    rng, test = np.random.default_rng(SEED), []
    for each in np.unique(labels):
        members = np.flatnonzero(labels == each)
        if len(members) < 2:
            raise BadData(
                f"{what}: class {str(names[each] if names else each)!r:.100} has 1 example, expected at least 2, one "
                "to train and one to test on; add some, leave the class out, or give the test examples by themselves"
            )
        size = min(max(1, round(share * len(members))), len(members) - 1)
        test.append(rng.choice(members, size, replace=False))
    chosen = np.sort(np.concatenate(test))
    return np.setdiff1d(np.arange(len(labels)), chosen), chosen


def said(sizes: Sequence[int], share: float = SHARE) -> str:
    """How examples were divided, for people."""
    return f"{sizes[0]:,} examples to train on and {sizes[1]:,} to test, {share:.0%} of each class, seed {SEED}"
