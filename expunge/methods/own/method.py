"""A method of the user's own: a plain function on one model, run model by model on copies."""

import json
import os
import pickle
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import cloudpickle
import torch
from safetensors.torch import load, save_file
from torch import Tensor

from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.seeds import Generators
from expunge.errors import BadSetting, CostsTooMuch, MethodFailed, StoreError, UnknownName
from expunge.fingerprint import files_digest
from expunge.guests import Guest, GuestGone, guest
from expunge.methods.method import Method
from expunge.methods.needs import FORGET_DATA, RETAIN_DATA
from expunge.methods.own import forward, process
from expunge.methods.own.alarms import Given, alarms_of, before
from expunge.methods.own.cpu_time import retraining_cpu_seconds
from expunge.methods.own.declaration import NEEDS, TOLD, Told, told_by
from expunge.methods.own.process import Function, Made, Order
from expunge.methods.own.row import MOST_SAID, epochs_of
from expunge.methods.own.settings import settings_class
from expunge.methods.spaces import Published
from expunge.suites.suite import Split
from expunge.user_files import as_it_was

LOADING_SECONDS = 600.0  # for the import of a user's file, which may compile what it needs


def user_method(name: str) -> Method:
    """The method that ``file.py:function`` names: ``(model, retain, forget, seed, *, setting=default) -> model``.

    ``model`` is an ordinary module in evaluation mode, a copy that the function may change; ``retain`` and ``forget``
    are TensorDatasets of (x, y); ``seed`` is an int of the model's own, and torch, numpy and random are seeded with it.
    What else it takes by name, with a default, are its settings. The function is called once per model, in a process
    that is its own: whatever it does there touches nothing else. It returns the model, in whatever wrapper, its state
    dict, or nothing where it changed the model in place.
    """
    told = told_of("method", name)
    if told.fault:
        raise BadSetting(f"method {name!r}: {told.fault}")
    return _declared(known_method(name), told, partial(_vet, name) if told.row else None)


def _vet(name: str, config: Any) -> None:
    """Raise ValueError where the config of a row does not take these settings: its own file knows."""
    path = Path(name.rpartition(":")[0]).expanduser()
    asked = json.dumps(asdict(config), sort_keys=True)
    told = _told_of("method", name, os.getcwd(), files_digest(path) if path.is_file() else "", asked)
    if told.refuses:
        raise ValueError(told.refuses)


def known_method(name: str) -> Method:
    """The same of a name that was checked before, without a look at its file, which may be gone by now.

    It runs what it is given settings for, and does not know which it has.
    """
    return _row(partial(_as_guest, name), name)


def from_function(function: Function, name: str) -> Method:
    """The method that runs ``function`` on each model, in this process: for debuggers and notebooks."""
    told = told_by(function, name, None)
    if told.fault:
        raise BadSetting(f"method {name!r}: {told.fault}")
    return _declared(_row(partial(_in_process, function), name), told)


def _row(unlearn: Callable[..., Iterator[Ensemble]], name: str) -> Method:
    needs = (FORGET_DATA, RETAIN_DATA)
    return Method(unlearn=unlearn, summary=f"your own: {name}", needs=needs, own=True)


def _declared(row: Method, told: Told, vet: Callable[[Any], None] | None = None) -> Method:
    """The row with what its file says of it."""
    found = replace(row, config=settings_class(told.settings, vet), search=told.search, whole_runs=told.whole_runs)
    if not told.row:
        return found
    return replace(
        found,
        summary=told.summary,
        needs=tuple(NEEDS[name] for name in told.needs),
        published=tuple(Published(source, settings) for source, settings in told.published),
        from_scratch=told.from_scratch,
    )


def told_of(kind: str, name: str) -> Told:
    """What there is to know of the function ``file.py:function``: name, doc, signature, settings; why it is no method.

    Its file is imported in a process of its own. UnknownName says what is wrong with it.
    """
    path = Path(name.rpartition(":")[0]).expanduser()
    return _told_of(kind, name, os.getcwd(), files_digest(path) if path.is_file() else "")


@lru_cache(maxsize=100)
def _told_of(kind: str, name: str, folder: str, content: str, settings: str = "{}") -> Told:
    with guest(process.__name__) as visitor:
        return _introduced(visitor, Order(name, kind, folder, settings=json.loads(settings)))


def _introduced(visitor: Guest, order: Order) -> Told:
    """What a guest tells of the method that it is asked for."""
    place = order.name.rpartition(":")[0]
    visitor.tell(pickle.dumps(order))
    try:
        said = visitor.answer(MOST_SAID, LOADING_SECONDS)
        unknown: str = json.loads(said).get("unknown", "")
        if not unknown:
            return TOLD.validate_json(said, strict=True)
    except GuestGone as gone:
        raise UnknownName(f"{order.kind} {order.name!r}: importing {place!r} failed: {gone}") from None
    except (ValueError, AttributeError):  # pydantic's are ValueErrors
        raise UnknownName(f"{order.kind} {order.name!r}: importing {place!r} took over its process") from None
    raise UnknownName(unknown)


def _as_guest(name: str, ensemble: Ensemble, split: Split, config: Any, rng: Generators) -> Iterator[Ensemble]:
    """Run the function on each model in a process that ends with these models."""
    began = time.perf_counter()
    given, answers = before(ensemble, split), []
    with tempfile.TemporaryDirectory(prefix="expunge-") as folder, guest(process.__name__) as visitor:
        place, settings = _examples(Path(folder), split), asdict(config)
        order = Order(name, "method", os.getcwd(), place, str(ensemble.device), _left(ensemble), settings)
        try:
            told = _introduced(visitor, order)
        except UnknownName as error:  # it could be imported a moment ago
            raise MethodFailed(str(error)) from None
        if told.fault or told.refuses:
            raise MethodFailed(told.fault or told.refuses)
        ensemble.meter.away += time.perf_counter() - began
        if told.row:
            yield from epochs_of(visitor, given, _of_state, rng, began)
            return
        for row, seed in enumerate(_seeds(rng)):
            answers.append(_asked(visitor, ensemble, row, seed))
    yield _judged(given, answers)


def _in_process(
    function: Function, ensemble: Ensemble, split: Split, config: Any, rng: Generators
) -> Iterator[Ensemble]:
    asked = partial(function, **asdict(config))
    began = time.perf_counter()
    process.prepare()
    given, answers = before(ensemble, split), []
    ensemble.meter.away += time.perf_counter() - began
    for row, seed in enumerate(_seeds(rng)):
        with as_it_was():
            try:
                made = process.call(asked, ensemble[row], _tensors(split), seed, ensemble.meter)
            except Exception as error:
                process.note_place(error, function)
                raise
        ensemble.meter.away += made.away
        _require_changed(made.state, ensemble, row)
        answers.append(made)
    yield _judged(given, answers)


def _seeds(rng: Generators) -> list[int]:
    seeds: list[int] = rng.integers(2**31, 1).flatten().tolist()
    return seeds


def _left(ensemble: Ensemble) -> float:
    """The work that may still be done."""
    return ensemble.meter.most - ensemble.meter.units


def _tensors(split: Split) -> dict[str, Tensor]:
    parts = {"retain": split.retain, "forget": split.forget}
    return {f"{name}.{each}": getattr(part, each) for name, part in parts.items() for each in "xy"}


def _examples(folder: Path, split: Split) -> str:
    """The examples as a file, which the guest maps."""
    file = folder / "examples.safetensors"
    try:
        save_file({key: each.cpu().contiguous().clone() for key, each in _tensors(split).items()}, file)
    except Exception as error:  # the library has an error of its own for a full disk
        raise StoreError(f"cannot keep examples in {folder}: {error}; set TMPDIR to a folder with room") from None
    return str(file)


def _asked(visitor: Guest, ensemble: Ensemble, row: int, seed: int) -> Made:
    """What the guest makes of one model; MethodFailed where it makes nothing."""
    number, meter = ensemble.origin.models[row], ensemble.meter
    masks = {name: mask[row].cpu() for name, mask in ensemble.masks.items()}
    model = ensemble.dense(row).cpu()
    size = sum(tensor.numel() * tensor.element_size() for tensor in model.state_dict().values())
    visitor.tell(cloudpickle.dumps((model, masks, seed)))
    try:
        told = json.loads(visitor.answer(MOST_SAID, meter.seconds))
        state = load(visitor.answer(2 * size + MOST_SAID, meter.seconds))
        outputs = load(visitor.answer(MOST_SAID + 8 * forward.MOST, meter.seconds)).get("outputs")
        made = Made(state, outputs, float(told.get("cpu", 0)), float(told.get("away", 0)))
        meter.units += told["units"]
    except GuestGone as gone:
        raise MethodFailed(f"model {number}: {gone}") from None
    except Exception as error:  # it wrote where only answers are written
        raise MethodFailed(f"model {number}: took over its process ({type(error).__name__})") from None
    if "costs too much" in told:
        raise CostsTooMuch
    if "failed" in told:
        raise MethodFailed(f"{told['failed']}, on model {number}")
    _require_changed(state, ensemble, row)
    meter.away += made.away
    return made


def _require_changed(state: dict[str, Tensor], ensemble: Ensemble, row: int) -> None:
    """Refuse a state that is what the function was given."""
    before = {key: tensor[row].cpu() for key, tensor in ensemble.state().items()}
    if state.keys() == before.keys() and all(torch.equal(before[key], state[key]) for key in before):
        raise MethodFailed(
            f"returned its input unchanged for model {ensemble.origin.models[row]}; the row `identity` shows what that "
            "scores"
        )


def _judged(given: Given, answers: Sequence[Made]) -> Ensemble:
    """The returned models, stacked; what they took and what is noticed of them is noted on the meter."""
    began, meter = time.perf_counter(), given.models.meter
    returned = _stacked(given.models, [each.state for each in answers])
    meter.cpu = sum(each.cpu for each in answers) / retraining_cpu_seconds(given.models.origin, given.split)
    meter.alarms = alarms_of(given, returned, [each.outputs for each in answers])
    meter.away += time.perf_counter() - began
    returned.meter = meter
    return returned


def _stacked(ensemble: Ensemble, states: Sequence[dict[str, Tensor]]) -> Ensemble:
    return _of_state(ensemble, {key: torch.stack([each[key] for each in states]) for key in states[0]})


def _of_state(ensemble: Ensemble, state: dict[str, Tensor]) -> Ensemble:
    origin, there = (
        replace(ensemble.origin, kind="unlearned"),
        {key: each.to(ensemble.device) for key, each in state.items()},
    )
    return Ensemble.from_state(ensemble.network, there, origin, ensemble.sample_shape).eval()
