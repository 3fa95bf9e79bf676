"""A row of the user's own, ``METHOD = Method(...)`` in a file: how its generator is asked for each epoch."""

import json
import time
from collections.abc import Iterator
from dataclasses import fields
from typing import Any

import cloudpickle
import torch
from safetensors.torch import load
from torch import Tensor

from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.seeds import Generators
from expunge.errors import CostsTooMuch, MethodFailed
from expunge.guests import Guest, GuestGone
from expunge.methods.own.alarms import Given, alarms_of
from expunge.methods.own.cpu_time import retraining_cpu_seconds

MOST_SAID = 1 << 20  # bytes of an answer that is no model
UNSENT = {"retain", "forget", "extra"}  # of a split: examples lie in a file, and nothing is prepared


def epochs_of(visitor: Guest, given: Given, stack: Any, rng: Generators, began: float) -> Iterator[Ensemble]:
    """The models after each epoch of the row that a guest runs; ``stack`` makes an ensemble of their tensors.

    Costs are those that the guest told when it had the epoch, however long it took to get here from ``began`` on. What
    is noticed of the models is looked at after the last.
    """
    models, split, meter = given.models, given.split, given.models.meter
    rest = {each.name: getattr(split, each.name) for each in fields(split) if each.name not in UNSENT}
    visitor.tell(cloudpickle.dumps((models, rng, rng.seeds("all chance beside")[0], rest)))
    before, units = models.state(), meter.units
    retraining, last = retraining_cpu_seconds(models.origin, split), False
    while not last:
        told, state = _answer(visitor, models)
        _require_alike(state, before)
        returned, last = stack(models, state), bool(told.get("last"))
        meter.units, meter.cpu = units + told["units"], told["cpu"] / retraining
        if last:
            if all(torch.equal(each.cpu(), state[key]) for key, each in before.items()):
                raise MethodFailed("returned its input unchanged; the row `identity` shows what that scores")
            meter.alarms = alarms_of(given, returned, [None] * len(models))
        meter.away = time.perf_counter() - began - told["seconds"]
        returned.meter = meter
        yield returned


def _answer(visitor: Guest, models: Ensemble) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """What the guest tells of its next epoch, and its models; MethodFailed where it made none."""
    size = sum(tensor.numel() * tensor.element_size() for tensor in models.state().values())
    seconds = models.meter.seconds and models.meter.seconds * len(models)
    work = f"an epoch of {len(models)} models together"
    try:
        told: dict[str, Any] = json.loads(visitor.answer(MOST_SAID, seconds, work))
        state = visitor.answer(2 * size + MOST_SAID, seconds, work)
        if "costs too much" not in told and "failed" not in told:
            return told, load(state)
    except GuestGone as gone:
        raise MethodFailed(str(gone)) from None
    except Exception as error:  # it wrote where only answers are written
        raise MethodFailed(f"took over its process ({type(error).__name__})") from None
    if "costs too much" in told:
        raise CostsTooMuch
    raise MethodFailed(str(told["failed"]))


def _require_alike(state: dict[str, Tensor], before: dict[str, Tensor]) -> None:
    shapes, wanted = ({key: tuple(each.shape) for key, each in some.items()} for some in (state, before))
    if shapes != wanted:
        key = min(key for key in shapes.keys() | wanted.keys() if shapes.get(key) != wanted.get(key))
        raise MethodFailed(
            f"yielded models of another architecture: {key} should be {wanted.get(key, 'absent')}, is "
            f"{shapes.get(key, 'absent')}; yield a copy of the ensemble that it is given"
        )
