"""How long one retraining takes on this machine, by a short burst of training that is timed once."""

import hashlib
import time
from dataclasses import replace

import numpy as np
import torch

from expunge.engine import one_thread
from expunge.ensembles.device import chosen_device
from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.plan import Plan
from expunge.ensembles.seeds import Generators
from expunge.ensembles.train import train
from expunge.errors import DamagedArtefact
from expunge.records import hardware, versions
from expunge.store import Store, user_store
from expunge.suites import ForgetSet, Suite

BATCHES = 8  # that are timed


def retraining_seconds(suite: Suite, forget: ForgetSet) -> float:
    """Seconds of one retraining on this machine, in chunks: from a few batches, timed once and kept in the store."""
    facts = f"{hardware()} {chosen_device()} {versions()['torch']} {suite.chunk}"
    key = f"{suite.digest}/timing/{hashlib.sha256(facts.encode()).hexdigest()[:16]}"
    store = user_store()
    seconds = _kept_seconds(store, key)
    if seconds is None:
        seconds = _seconds_per_example(suite)
        store.write(key, {"seconds": np.array([seconds])}, {"on": facts})
    examples = suite.data.sizes[0] - len(forget)
    return seconds * suite.recipe.passes * examples


def _kept_seconds(store: Store, key: str) -> float | None:
    """What was timed before; None where nothing was, or where it is damaged: it is quickly timed anew."""
    try:
        kept = store.read(key)
    except DamagedArtefact:
        store.disown(key)
        return None
    if kept is None or "seconds" not in kept:
        return None
    found = kept.array("seconds")
    sound = found.shape == (1,) and found.dtype.kind == "f" and 0 < found[0] < np.inf
    return float(found[0]) if sound else None


def _seconds_per_example(suite: Suite) -> float:
    """Of training one model by one example, in a chunk of models."""
    models, data = range(suite.chunk), suite.data.train
    rows = torch.arange(min(len(data), BATCHES * suite.recipe.batch_size)).expand(suite.chunk, -1)
    recipe = replace(suite.recipe, epochs=1, prune="", rewind=None)
    best = np.inf
    for _ in range(2):  # the first one warms up
        networks = [suite.network() for _ in models]
        ensemble = Ensemble.stack(networks, Plan(suite, "pretrained").origin(models), data.x.shape[1:])
        ensemble = ensemble.to(chosen_device())
        with one_thread():
            started = time.perf_counter()
            train(ensemble, data, rows, recipe, Generators(list(models), chosen_device()), target=suite.target).state()
            best = min(best, time.perf_counter() - started)
    return best / rows.numel()
