"""A method of the user's own: a plain function on one model, run model by model on copies."""

import contextlib
import functools
import inspect
import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.data import TensorDataset

from expunge.ensembles.ensemble import Ensemble, Meter
from expunge.ensembles.seeds import Generators
from expunge.errors import MethodFailed
from expunge.methods.method import Method, NoSettings
from expunge.methods.needs import FORGET_DATA, RETAIN_DATA
from expunge.suites.suite import Split
from expunge.user_files import load_function

Function = Callable[[nn.Module, TensorDataset, TensorDataset, int], nn.Module]


def user_method(name: str) -> Method:
    """The method that ``file.py:function`` names: ``(model, retain, forget, seed) -> model``.

    ``model`` is an ordinary module in evaluation mode, a copy that the function may change; ``retain`` and ``forget``
    are TensorDatasets of (x, y); ``seed`` is an int of the model's own. The function is called once per model.
    """
    return from_function(load_function("method", name), f"your own: {name}")


def from_function(function: Function, summary: str) -> Method:
    """The method that runs ``function`` on each model."""
    unlearn = functools.partial(_one_by_one, function)
    return Method(unlearn=unlearn, summary=summary, needs=(FORGET_DATA, RETAIN_DATA))


def _one_by_one(
    function: Function, ensemble: Ensemble, split: Split, _: NoSettings, rng: Generators
) -> Iterator[Ensemble]:
    seeds = rng.integers(2**31, 1).flatten().tolist()
    results = []
    for row, seed in enumerate(seeds):
        model = ensemble[row].eval()
        counting = _count(model, ensemble.meter)
        retain, forget = (TensorDataset(part.x.clone(), part.y.clone()) for part in (split.retain, split.forget))
        with torch.random.fork_rng(devices=[ensemble.device] if ensemble.device.type == "cuda" else []):
            torch.manual_seed(seed)  # for functions that draw from the global generator
            with _located(function):
                result = function(model, retain, forget, seed)
        checked = _checked(result, ensemble, row)
        for each in checked.modules():  # copies of the model have the counter too
            for key in [key for key, hook in each._forward_pre_hooks.items() if hook is counting]:
                del each._forward_pre_hooks[key], each._forward_pre_hooks_with_kwargs[key]
        results.append(checked.to(ensemble.device))
    origin = replace(ensemble.origin, kind="unlearned")
    stacked = Ensemble.stack(results, origin, ensemble.sample_shape)
    stacked.meter = ensemble.meter
    yield stacked.eval()


@contextlib.contextmanager
def _located(function: Function) -> Iterator[None]:
    """What is raised inside gets a note: the line of the function's file that it came from."""
    try:
        yield
    except BaseException as error:
        file = getattr(getattr(inspect.unwrap(function), "__code__", None), "co_filename", "")
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
        if lines:
            error.add_note(f"{Path(file).name}, line {lines[-1]}")
        raise


def _count(model: nn.Module, meter: Meter) -> Callable[..., None]:
    """Count what goes through ``model``; the hook that does."""

    # A closure, so copies of the model share the meter.
    def count(_: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]) -> None:
        meter.count(len(next(each for each in (*inputs, *named.values()) if isinstance(each, torch.Tensor))))

    model.register_forward_pre_hook(count, with_kwargs=True)
    return count


def _checked(result: object, ensemble: Ensemble, row: int) -> nn.Module:
    number = ensemble.origin.models[row]
    if not isinstance(result, nn.Module):
        raise MethodFailed(f"expected it to return a torch.nn.Module, got {type(result).__name__} for model {number}")
    before = ensemble[row].state_dict()
    after = {key: tensor.to(ensemble.device) for key, tensor in result.state_dict().items()}
    expected, found = ({key: f"{t.dtype} {tuple(t.shape)}" for key, t in state.items()} for state in (before, after))
    if expected != found:
        key = min(key for key in expected | found if expected.get(key) != found.get(key))
        raise MethodFailed(
            f"returned a model of another architecture for model {number}: {key} should be "
            f"{expected.get(key, 'absent')}, is {found.get(key, 'absent')}"
        )
    if all(torch.equal(before[key], after[key]) for key in before):
        raise MethodFailed(
            f"returned its input unchanged for model {number}; the row `identity` shows what that scores"
        )
    return result
