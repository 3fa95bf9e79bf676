"""How long training takes on this machine: a short burst of it, timed once and kept in the store."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch

from expunge.ensembles.device import chosen_device
from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.origin import Origin
from expunge.ensembles.plan import new_networks
from expunge.ensembles.seeds import Generators
from expunge.ensembles.train import train
from expunge.errors import DamagedArtefact, StoreError
from expunge.jobs import one_thread
from expunge.records import hardware, versions
from expunge.store import Store, user_store
from expunge.suites.suite import Split

BATCHES = 8  # that are timed


def seconds_per_example(
    split: Split, origin: Origin, models: int, clock: Callable[[], float], bursts: int = 2
) -> float:
    """Of training one model by one example, so many models in a stack, by ``clock``: the least of some bursts."""
    examples, target = split.retain, split.target
    rows = torch.arange(min(len(examples), BATCHES * split.recipe.batch_size)).expand(models, -1)
    recipe = replace(split.recipe, epochs=1, prune="", rewind=None)
    best = np.inf
    for _ in range(bursts):  # the first one warms up
        ensemble = _new_models(split, origin, range(models))
        generators = Generators(list(range(models)), chosen_device())
        with one_thread(), torch.enable_grad():
            started = clock()
            train(ensemble, examples, rows, recipe, generators, target=target).state()
            best = min(best, clock() - started)
    return best / rows.numel()


def _new_models(split: Split, origin: Origin, numbers: Sequence[int]) -> Ensemble:
    networks = new_networks(split.network, numbers)
    shape = split.retain.x.shape[1:]
    return Ensemble.stack(networks, replace(origin, models=tuple(numbers)), shape).to(chosen_device())


def kept(digest: str, what: str, measured: Callable[[], float]) -> float:
    """A number of seconds that this machine was ``measured`` to take for a suite, ``what`` says of what: once.

    Where the store cannot be written to, it is measured at every call.
    """
    facts = f"{hardware()} {chosen_device()} {versions()['torch']} {what}"
    key = f"{digest}/timing/{hashlib.sha256(facts.encode()).hexdigest()[:16]}"
    store, seconds = user_store(), None
    try:
        if (seconds := _kept_seconds(store, key)) is not None:
            return seconds
        with store.locked(key):  # several workers may want it at once
            if (seconds := _kept_seconds(store, key)) is None:
                seconds = measured()
                store.write(key, {"seconds": np.array([seconds])}, {"on": facts})
    except StoreError:
        return measured() if seconds is None else seconds
    return seconds


def _kept_seconds(store: Store, key: str) -> float | None:
    """What was timed before; None where nothing was, or where it is damaged: it is quickly timed anew."""
    try:
        found_there = store.read(key)
    except DamagedArtefact:
        store.disown(key)
        return None
    if found_there is None or "seconds" not in found_there:
        return None
    found = found_there.array("seconds")
    sound = found.shape == (1,) and found.dtype.kind == "f" and 0 < found[0] < np.inf
    return float(found[0]) if sound else None
