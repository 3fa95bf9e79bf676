"""Where tensors live and how exactly they are computed: the CPU, or a GPU where there is one.

An ensemble is stacked on the CPU, so its first weights are the same on every device, then moved; data follows it
once, chance is drawn where the ensemble is, and what is kept comes back. "float32" means float32 on a GPU too: no
TF32 in convolutions or matrix products; speed is what the precision "bfloat16" of a recipe is for.
"""

import contextlib
import gc
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import torch

from expunge.errors import BadSetting
from expunge.suites.suite import Data, Examples, Split

DEVICE = "EXPUNGE_DEVICE"  # environment variable: cpu, cuda, cuda:N or auto

T = TypeVar("T")

_RESIDENT: WeakKeyDictionary[Examples, dict[torch.device, Examples]] = WeakKeyDictionary()
# How libraries below torch say that memory is out; torch itself raises its own type.
_FULL = ("CUDNN_STATUS_ALLOC_FAILED", "CUBLAS_STATUS_ALLOC_FAILED", "CUDA error: out of memory")


def chosen_device() -> torch.device:
    """The device that EXPUNGE_DEVICE names; by default the first GPU, where torch can use one, else the CPU."""
    wanted = os.environ.get(DEVICE) or "auto"
    if wanted == "cpu" or (wanted == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    if not re.fullmatch(r"auto|cuda(:\d{1,3})?", wanted):
        raise BadSetting(f"{DEVICE}: expected cpu, cuda, cuda:N or auto, got {wanted!r}")
    number = int(wanted.partition(":")[2] or 0)
    found = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if number >= found:
        raise BadSetting(
            f"{DEVICE}={wanted}: expected a GPU of that number, torch finds {found}; "
            f"choose {'cuda:0 to cuda:' + str(found - 1) if found else 'cpu'}, or auto"
        )
    return torch.device("cuda", number)


def device_name(device: torch.device) -> str:
    """What a record says of a device: "cpu", or "cuda" with the name of the GPU.

    >>> device_name(torch.device("cpu"))
    'cpu'
    """
    return device.type if device.type != "cuda" else f"cuda, {torch.cuda.get_device_name(device)}"


def work_clock(device: torch.device) -> Callable[[], float]:
    """Seconds of the work of this thread: on a CPU those that it had a core, whoever else wanted it meanwhile.

    What other threads do for it is no part of them, so torch and BLAS should have one. On a GPU the clock on the wall,
    read when all work is done.
    """
    if device.type == "cpu":
        return time.thread_time
    return partial(_when_done, device)


def _when_done(device: torch.device) -> float:
    torch.cuda.synchronize(device)
    return time.perf_counter()


def resident(examples: Examples, device: torch.device) -> Examples:
    """``examples`` on ``device``: themselves if they are there, else a copy that is made once and lives as they do."""
    if examples.x.device == device:
        return examples
    copies = _RESIDENT.setdefault(examples, {})
    if device not in copies:
        copies[device] = Examples(examples.x.to(device), examples.y.to(device))
    return copies[device]


def resident_data(data: Data, device: torch.device) -> Data:
    """``data`` on ``device``, copied once like :func:`resident`."""
    if data.train.x.device == device:
        return data
    return data.with_examples(resident(data.train, device), resident(data.test, device))


def resident_split(split: Split, device: torch.device) -> Split:
    """What a method is given, on the device of its ensemble."""
    retain, forget = resident(split.retain, device), resident(split.forget, device)
    instead = None if split.instead is None else resident(split.instead, device)
    return replace(split, retain=retain, forget=forget, instead=instead)


@contextlib.contextmanager
def exact_arithmetic() -> Iterator[None]:
    """On a GPU: float32 without TF32, and the same bytes in every run; on a CPU it changes nothing."""
    cudnn = torch.backends.cudnn
    settings = [(cudnn, "deterministic", True), (cudnn, "benchmark", False), *_without_tf32()]
    before = [getattr(place, name) for place, name, _ in settings]
    for place, name, value in settings:
        setattr(place, name, value)
    try:
        yield
    finally:
        for (place, name, _), value in zip(settings, before, strict=True):
            setattr(place, name, value)


def _without_tf32() -> list[tuple[Any, str, object]]:
    """Torch has two names for these settings, and refuses the older once a program has used the newer."""
    cudnn: Any = torch.backends.cudnn
    matmul: Any = torch.backends.cuda.matmul
    try:
        _ = cudnn.allow_tf32, matmul.allow_tf32
    except RuntimeError:
        return [(cudnn.conv, "fp32_precision", "ieee"), (matmul, "fp32_precision", "ieee")]
    return [(cudnn, "allow_tf32", False), (matmul, "allow_tf32", False)]


def in_halves(work: Callable[[Sequence[int]], T], models: Sequence[int], say: Callable[[str], None]) -> list[T]:
    """``work`` on all ``models`` at once or, where a GPU's memory is too small for that, on as many as fit in it.

    Each time memory runs out, half as many models are tried, and ``say`` is told; the results are in the order of the
    models. ``work`` must leave nothing on the device.
    """
    results: list[T] = []
    done, size = 0, len(models)
    while done < len(models):
        part = models[done : done + size]
        result = _unless_full(work, part)
        if result is not None:
            results.append(result[0])
            done += len(part)
            continue
        _free()  # only here: until the error is gone, its traceback holds what it was about
        if len(part) == 1:
            raise BadSetting(
                f"model {part[0]} alone does not fit into the GPU's memory; "
                f"expected room for one: take a smaller batch size or network, or set {DEVICE}=cpu"
            )
        size = len(part) // 2
        say(f"out of GPU memory with {len(part)} models at once: going on with {size}")
    return results


def _unless_full(work: Callable[[Sequence[int]], T], models: Sequence[int]) -> tuple[T] | None:
    try:
        return (work(models),)
    except torch.OutOfMemoryError:
        return None
    except RuntimeError as error:
        if any(words in str(error) for words in _FULL):
            return None
        raise


def _free() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
