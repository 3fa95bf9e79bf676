"""A forget set, however it is given: itself, its name, indices or a mask."""

import numpy as np

from expunge.errors import BadSetting
from expunge.suites.forget_sets import checked
from expunge.suites.suite import ForgetSet, Suite

WHAT = "forget set"


def as_forget_set(suite: Suite, given: object) -> ForgetSet:
    """The forget set that ``given`` means: one, a name of the suite's, indices in any order, or a boolean mask.

    Raises:
        BadSetting: it is none of these, or does not fit the training examples.
    """
    if isinstance(given, ForgetSet):
        return given
    if isinstance(given, str):
        return suite.forget_sets[given]
    train = suite.data.sizes[0]
    array = np.asarray(sorted(given) if isinstance(given, set | frozenset) else given)
    if array.ndim != 1 or array.dtype.kind not in "biu":
        told = f"{array.dtype} of shape {array.shape}" if array.ndim else type(given).__name__
        raise BadSetting(
            f"{WHAT}: expected a name of suite {suite.name!r}, a ForgetSet, training indices or a boolean mask of "
            f"{train} training examples, got {told}"
        )
    if array.dtype == bool:
        if len(array) != train:
            raise BadSetting(f"{WHAT}: expected a mask of {train} training examples, got one of {len(array)}")
        array = np.flatnonzero(array)
    return ForgetSet("given", checked(array, train, WHAT), "indices given by the user")
