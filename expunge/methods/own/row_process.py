"""The guest's side of a row of the user's own: its generator runs on all models of a chunk, epoch by epoch."""

import json
import pickle
import random
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor

from expunge.ensembles.device import exact_arithmetic
from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.frozen import hold
from expunge.ensembles.origin import Meter
from expunge.errors import CostsTooMuch, MethodFailed, in_a_line
from expunge.jobs import one_thread
from expunge.methods.method import Method
from expunge.methods.own.cpu_time import cpu_seconds
from expunge.suites.data import Examples
from expunge.suites.suite import Split

Answer = tuple[dict[str, Any], bytes]  # what is told of an epoch, and its models; no models where it failed


def serve_row(
    connection: Connection, row: Method, settings: dict[str, Any], examples: dict[str, Tensor], most: float
) -> None:
    """Run a row on the models that are sent, and answer each epoch; the last one says that it is the last."""
    models, rng, seed, rest = pickle.loads(connection.recv_bytes())
    retain, forget = (Examples(examples[f"{part}.x"], examples[f"{part}.y"]) for part in ("retain", "forget"))
    split = Split(retain, forget, **rest)
    torch.manual_seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 (what public code draws from)
    random.seed(seed)
    models.meter = Meter(most=most)
    hold(models.network)
    waiting: Answer | None = None
    for told, state in _epochs(row, models, split, settings, rng):
        if waiting:
            _send(connection, *waiting)
        waiting = told, state
    if waiting:
        _send(connection, {**waiting[0], "last": True}, waiting[1])
    else:
        _send(connection, {"failed": "yielded no ensemble; yield one after each epoch"}, b"")


def _epochs(row: Method, models: Ensemble, split: Split, settings: dict[str, Any], rng: Any) -> Iterator[Answer]:
    """What is told of each epoch of a row, and the state of its models; the end, or what it raises, ends it."""
    assert row.unlearn
    meter, began, used = models.meter, time.perf_counter(), cpu_seconds()
    try:
        epochs = row.unlearn(models, split, row.config(**settings), rng)
        while True:
            with one_thread(), exact_arithmetic(), torch.enable_grad():
                student = next(epochs, None)
                meter.count(0)  # a method may add to the meter by itself
            if student is None:
                return
            if not isinstance(student, Ensemble):
                raise MethodFailed(f"yielded a {type(student).__name__}; yield an Ensemble after each epoch")
            told = {"units": meter.units, "cpu": cpu_seconds() - used, "seconds": time.perf_counter() - began}
            state = {key: each.detach().cpu().contiguous().clone() for key, each in student.state().items()}
            began_away, used_away = time.perf_counter(), cpu_seconds()
            yield told, save(state)
            began, used = began + time.perf_counter() - began_away, used + cpu_seconds() - used_away
    except CostsTooMuch:
        yield {"costs too much": True}, b""
    except MethodFailed as error:
        yield {"failed": str(error)}, b""
    except BaseException as error:  # a stranger's code may raise anything at all
        yield {"failed": f"raised {in_a_line(error)}"}, b""


def _send(connection: Connection, told: dict[str, Any], state: bytes) -> None:
    connection.send_bytes(json.dumps(told).encode())
    connection.send_bytes(state)
