"""Ensembles with their weights: shipped, out of the user's store, or trained on first use and kept."""

import contextlib
import shlex
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy import ndarray
from torch import Tensor

from expunge.engine import Watch, Workers, warn
from expunge.ensembles.builds import build, chunk_jobs, finished_chunk, run_chunks
from expunge.ensembles.device import chosen_device
from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.plan import Plan
from expunge.ensembles.prune import masks_of_zeros
from expunge.ensembles.stored_margins import find_ensemble
from expunge.errors import BadSetting, StoreError
from expunge.store import Artefact
from expunge.suites import Suite, as_suite, is_found
from expunge.suites.indices import require_whole


def pretrain(
    suite: Suite | str, models: int = 100, *, first: int = 0, workers: Workers = 1, watch: Watch | None = None
) -> Ensemble:
    """Models ``first`` to ``first + models - 1``, trained on all examples: shipped, or trained once and kept.

    ``suite`` is a suite or its name. Training that takes some seconds reports its progress on standard error; a
    ``watch`` is called with each group of models instead. ``watch=expunge.engine.silent`` silences this call,
    ``EXPUNGE_PROGRESS=off`` all of them.
    """
    with watching("pretrain", watch) as watch:
        return _weights(Plan(as_suite(suite), "pretrained", weights=True), first, models, workers, watch)


def retrain(
    suite: Suite | str,
    forget: object,
    models: int = 100,
    *,
    first: int = 0,
    workers: Workers = 1,
    watch: Watch | None = None,
) -> Ensemble:
    """Oracles: models that were trained as by :func:`pretrain`, but without ``forget``; trained on first use and kept.

    ``forget`` is a forget set of the suite, its name, indices of training examples, or a boolean mask over them.
    """
    suite = as_suite(suite)
    plan = Plan(suite, "oracle", suite.forget_set(forget), weights=True)
    with watching("retrain", watch) as watch:
        return _weights(plan, first, models, workers, watch)


@contextlib.contextmanager
def watching(what: str, watch: Watch | None, *, at_once: bool = False) -> Iterator[Watch]:
    """``watch``, or, where there is none, lines on standard error about ``what`` once it has taken some seconds.

    Jobs say when they begin; work that is no list of jobs begins ``at_once``.
    """
    if watch is not None:
        yield watch
        return
    from expunge.terminal import LateLine  # a worker has no need of what draws

    with LateLine(what) as line:
        if at_once:
            line.begin()
        yield line


def read_weights(plan: Plan, models: Sequence[int]) -> dict[str, Tensor]:
    """What is kept of the weights of these models, out of the finished chunks; nothing is trained."""
    size, parts = plan.suite.chunk, []
    for model in models:
        chunk, row = divmod(model, size)
        parts.append(finished_chunk(plan, chunk).tensors("weights", slice(row, row + 1)))
    return {key: torch.cat([part[key] for part in parts]) for key in parts[0]}


def read_array(plan: Plan, name: str, models: Sequence[int]) -> ndarray:
    """The rows of these models in an array that is kept beside their weights; nothing is trained."""
    size = plan.suite.chunk
    return np.stack([finished_chunk(plan, model // size).array(name)[model % size] for model in models])


def _weights(plan: Plan, first: int, models: int, workers: Workers, watch: Watch) -> Ensemble:
    models, first = require_whole(models, "the number of models"), require_whole(first, "the first model")
    if models < 1 or first < 0:
        raise BadSetting(f"expected at least 1 model, numbered from 0, got {models} from {first}")
    artefact = find_ensemble(plan, first + models) or build(plan, first + models, workers=workers, watch=watch)
    if "weights" in artefact:
        state = artefact.tensors("weights", slice(first, first + models))
    else:
        state = _chunked_weights(plan, artefact, range(first, first + models), workers, watch)
    with torch.random.fork_rng(devices=[]):
        network = plan.suite.network()
    origin = plan.origin(range(first, first + models))
    ensemble = Ensemble.from_state(network, state, origin, plan.suite.data.train.x.shape[1:]).to(chosen_device()).eval()
    pruning = plan.suite.recipe.pruning
    return ensemble.obey(masks_of_zeros(ensemble, pruning)) if pruning else ensemble


def _chunked_weights(plan: Plan, joined: Artefact, models: range, workers: Workers, watch: Watch) -> dict[str, Tensor]:
    size, chunks = plan.suite.chunk, plan.chunks(models)
    jobs = chunk_jobs(plan, chunks, None, warn)
    if jobs and "imported" in joined.meta:
        found = is_found(plan.suite)
        again = (
            f"run `expunge build {shlex.quote(plan.suite.address)}`"
            if found
            else "train there, as by xp.pretrain(suite),"
        )
        raise StoreError(
            f"{plan.label}: the store has margins imported from {joined.meta['imported']['from']}, and no weights; "
            f"set EXPUNGE_STORE to another folder and {again} for models of your own"
        )
    run_chunks(jobs, workers, watch, warn)
    states = []
    for chunk in chunks:
        rows = slice(max(models.start - chunk * size, 0), min(models.stop - chunk * size, size))
        states.append(finished_chunk(plan, chunk).tensors("weights", rows))
    return {key: torch.cat([state[key] for state in states]) for key in states[0]}
