"""What is computed once and kept: arrays in the user's store, under a key of all that changes them."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy import ndarray

from expunge.fingerprint import code_digest
from expunge.records import versions
from expunge.store import user_store
from expunge.suites.suite import Suite


def kept(
    suite: Suite,
    what: str,
    facts: Sequence[object],
    modules: Sequence[str],
    compute: Callable[[], Mapping[str, ndarray]],
) -> dict[str, ndarray]:
    """The arrays that ``compute()`` makes, read where they were made before.

    ``facts`` are all settings that change them, ``modules`` those of expunge whose code does; so a run that was stopped
    goes on where it was.
    """
    told = json.dumps([list(facts), code_digest(*modules), versions()["torch"]], sort_keys=True)
    key = f"{suite.digest}/attacks/{what}/{hashlib.sha256(told.encode()).hexdigest()[:16]}"
    artefact = user_store().read(key)
    if artefact is None:
        made = dict(compute())
        artefact = user_store().write(key, made, {"what": what, "arrays": sorted(made)})
    return {name: np.array(artefact.array(name)) for name in artefact.meta["arrays"]}
