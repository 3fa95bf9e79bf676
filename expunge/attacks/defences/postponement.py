"""Postponement: requests are held until there are several, and served as one."""

import numpy as np

from expunge.attacks.defence import Defence
from expunge.attacks.practice import Practice
from expunge.ensembles.seeds import seed_of
from expunge.suites.request import Request
from expunge.suites.suite import Suite

TOGETHER = 4  # requests


def waiting(suite: Suite, request: Request, model: int, together: int) -> list[Request]:
    """The requests that wait with one until there are ``together``: of other owners, as large each, drawn uniformly.

    All are for different records; of one request none waits with it, and fewer wait where the training data have not as
    many records.
    """
    size, train = len(request), suite.data.train
    rng = np.random.default_rng(seed_of(suite.digest, "postponed", model, size, together))
    free = rng.permutation(np.setdiff1d(np.arange(len(train)), request.indices))
    most = min(together - 1, (len(free) - 1) // size)  # somebody stays
    parts = [np.sort(free[number * size : (number + 1) * size]) for number in range(most)]
    return [Request(train.take(rows), rows, f"waiting-{number}") for number, rows in enumerate(parts)]


def others(suite: Suite, request: Request, model: int) -> list[Request]:
    """Three more, see :func:`waiting`."""
    return waiting(suite, request, model, TOGETHER)


DEFENCE = Defence(
    summary=f"holds requests back until there are {TOGETHER}, and serves them as one removal",
    when="serving",
    price=f"an owner waits for {TOGETHER - 1} others, and until then what was to be removed is in use; removals of "
    "many records at once cost more accuracy; the provider pays one removal for all",
    source="strategic postponement, ERASER, in Liu et al. 2025, arXiv:2403.13682, whose source was not at hand: what "
    "is waited for is ours",
    practice=Practice(others=others),
)
