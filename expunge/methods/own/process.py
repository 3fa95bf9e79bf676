"""The guest's side of a method of the user's own: what runs in a process of its own, from the import of its file on."""

import contextlib
import inspect
import json
import os
import pickle
import random
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from expunge.ensembles.device import exact_arithmetic
from expunge.ensembles.ensemble import keep_sparse
from expunge.ensembles.origin import Meter
from expunge.errors import CostsTooMuch, ExpungeError, MethodFailed, in_a_line
from expunge.jobs import one_thread
from expunge.methods.method import Method
from expunge.methods.own.cpu_time import cpu_seconds
from expunge.methods.own.declaration import TOLD, told_by
from expunge.methods.own.forward import outputs_of, probe_of
from expunge.methods.own.oracle_guard import guard_oracles
from expunge.methods.own.returned import meant, shapes_of, state_of
from expunge.methods.own.row_process import serve_row
from expunge.records import Setting
from expunge.user_files import load_member

Function = Callable[[nn.Module, TensorDataset, TensorDataset, int], Any]


@dataclass(frozen=True)
class Order:
    """What a guest is asked first: the method ``name``, ``file.py:NAME``, its settings, and where its examples lie.

    ``folder`` is the current one. Without ``examples`` it only tells of the method. ``most`` is the work that it may
    do, in units of a Meter.
    """

    name: str
    kind: str
    folder: str
    examples: str = ""
    device: str = "cpu"
    most: float = float("inf")
    settings: Mapping[str, Setting] = field(default_factory=dict)


def prepare() -> None:
    """What every function may do first: a step of an optimizer, for which torch imports its compiler, a second of CPU
    time that is no work of a method."""
    parameter = nn.Parameter(torch.zeros(1))
    parameter.grad = torch.zeros(1)
    torch.optim.SGD([parameter], lr=0.0).step()


def serve(connection: Connection) -> None:
    """Load the method that is asked for, tell of it, and run it on the models that are sent."""
    order: Order = pickle.loads(connection.recv_bytes())
    guard_oracles()
    os.chdir(order.folder)
    sys.argv = [order.name.rpartition(":")[0]]  # as if its file were run
    try:
        found, module = load_member(order.kind, order.name, Method)
    except ExpungeError as error:
        connection.send_bytes(json.dumps({"unknown": str(error)}).encode())
        return
    declared = told_by(found, order.name.rpartition(":")[2], module, order.settings)
    connection.send_bytes(TOLD.dump_json(declared))
    sys.path.insert(0, str(Path(sys.argv[0]).expanduser().resolve().parent))  # for what it imports when it is called
    if not order.examples or declared.fault:
        return
    device = torch.device(order.device)
    examples = {key: each.to(device) for key, each in load_file(order.examples).items()}
    if isinstance(found, Method):
        serve_row(connection, found, dict(order.settings), examples, order.most)
        connection.poll(None)  # until who asked is gone: what was answered may not be read yet
    else:
        _serve_function(connection, order, partial(found, **order.settings), examples)


def _serve_function(connection: Connection, order: Order, function: Function, examples: dict[str, Tensor]) -> None:
    """Run a function on each model that is sent, until none is."""
    device, left, own = torch.device(order.device), order.most, os.getpid()
    with contextlib.suppress(EOFError):
        while True:
            model, masks, seed = pickle.loads(connection.recv_bytes())
            model = keep_sparse(model.to(device), {name: mask.to(device) for name, mask in masks.items()})
            made, told = answer(function, model, examples, seed, Meter(most=left))
            if os.getpid() != own:  # a child that the function forked, and let return
                os._exit(0)
            left -= told["units"]
            connection.send_bytes(json.dumps(told).encode())
            connection.send_bytes(save(made.state))
            connection.send_bytes(save({} if made.outputs is None else {"outputs": made.outputs}))


@dataclass(frozen=True)
class Made:
    """What a function made of a model: the state of what it returned, and the outputs of the module, if it was one.

    ``outputs`` are those on :func:`~expunge.methods.own.forward.probe_of` its examples. ``cpu`` is the CPU time of the
    call, ``away`` the seconds that passed afterwards, which are no work of the function.
    """

    state: dict[str, Tensor]
    outputs: Tensor | None = None
    cpu: float = 0.0
    away: float = 0.0


def answer(
    function: Function, model: nn.Module, examples: dict[str, Tensor], seed: int, meter: Meter
) -> tuple[Made, dict[str, Any]]:
    """What the function makes of a model, and how it went; no state where it failed."""
    nothing = Made({})
    try:
        made = call(function, model, examples, seed, meter)
    except CostsTooMuch:
        return nothing, {"costs too much": True, "units": meter.units}
    except MethodFailed as error:
        return nothing, {"failed": str(error), "units": meter.units}
    except BaseException as error:  # a stranger's code may raise anything at all
        note_place(error, function)
        return nothing, {"failed": f"raised {in_a_line(error)}", "units": meter.units}
    return made, {"units": meter.units, "cpu": made.cpu, "away": made.away}


def call(function: Function, model: nn.Module, examples: dict[str, Tensor], seed: int, meter: Meter) -> Made:
    """Run the function on a model, seeded, on copies of the examples.

    Chance is that of torch, numpy and Python's random, all seeded with ``seed``; one thread.
    """
    expected = shapes_of(model)
    model.eval().register_forward_pre_hook(Count(meter), with_kwargs=True)
    retain, forget = (
        TensorDataset(*(examples[f"{part}.{each}"].clone() for each in "xy")) for part in ("retain", "forget")
    )
    torch.manual_seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 (what public code draws from)
    random.seed(seed)
    with one_thread(), exact_arithmetic(), torch.enable_grad():
        began = cpu_seconds()
        result = function(model, retain, forget, seed)
        cpu = cpu_seconds() - began
    ended = time.perf_counter()
    with torch.no_grad(), one_thread(), exact_arithmetic(), uncounted(meter):
        state = state_of(result, model, expected)
        module, probe = meant(result, model), probe_of(examples)
        outputs = outputs_of(module, probe, expected) if isinstance(module, nn.Module) else None
    return Made(state, outputs, cpu, time.perf_counter() - ended)


@contextlib.contextmanager
def uncounted(meter: Meter) -> Iterator[None]:
    """What is done within is no work of the method."""
    units, most = meter.units, meter.most
    meter.most = float("inf")
    try:
        yield
    finally:
        meter.units, meter.most = units, most


@dataclass
class Count:
    """A hook that counts the examples that go through a model; copies of the model, pickled ones too, have it."""

    meter: Meter

    def __call__(self, _: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]) -> None:
        tensors = [each for each in (*inputs, *named.values()) if isinstance(each, Tensor) and each.ndim]
        self.meter.count(len(tensors[0]) if tensors else 0)

    def __deepcopy__(self, memo: object) -> "Count":
        return self  # one meter for all


def note_place(error: BaseException, function: Function) -> None:
    """Note on an error the line of the function's file that it came from."""
    own = function.func if isinstance(function, partial) else function
    file = getattr(getattr(inspect.unwrap(own), "__code__", None), "co_filename", "")
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    if lines:
        error.add_note(f"{Path(file).name}, line {lines[-1]}")
