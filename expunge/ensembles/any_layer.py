"""How a layer that has no rule runs for all models of a stack: under ``torch.func.vmap``, else model by model."""

import contextlib
import warnings
from collections.abc import Iterator
from operator import itemgetter
from typing import Any

import torch
from torch import Tensor, nn

from expunge.ensembles.called import called, tensors_of
from expunge.ensembles.chance import seeds_of_this_pass
from expunge.ensembles.checkpoints import without_checkpoints
from expunge.ensembles.nested import leaves, mapped, stacked
from expunge.ensembles.training_mode import AsInAStack

Way = tuple[bool, bool]  # whether vmap can run a layer, and whether it changes its input


def seeds_tensor(models: int, device: torch.device) -> Tensor:
    """A seed for each model of this pass, int32."""
    return torch.tensor(seeds_of_this_pass(models), dtype=torch.int32, device=device)


def vmapped(layer: nn.Module, x: Any) -> Any:
    """Any other layer under vmap or, where it has what vmap cannot do, one model after the other.

    What a layer can is found out when it first runs in a mode, and noted on it; and whether it changes its input in
    place, for then it is given a copy: others may come to see that input.
    """
    device = next(leaves(x)).device.type
    if torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device):
        # Under vmap autocast reaches matrix products but no convolution, which then meets two types: float32 for all.
        with torch.autocast(device, enabled=False):
            return vmapped(layer, mapped(lambda each: each.float() if each.dtype == torch.bfloat16 else each, x))
    x = mapped(Tensor.contiguous, x)  # as the network's author finds it, who may take a view
    ways: dict[bool, Way] = layer.__dict__.setdefault("_ways", {})
    if layer.training not in ways:
        return _first_run(layer, x, ways)
    stacks, changes = ways[layer.training]
    x = mapped(Tensor.clone, x) if changes else x
    return _at_once(layer, x) if stacks else _in_a_loop(layer, x)


def _first_run(layer: nn.Module, x: Any, ways: dict[bool, Way]) -> Any:
    """Under vmap, else in a loop, whose error is then that of the network alone."""
    before = {name: buffer.clone() for name, buffer in layer.named_buffers()}
    given = mapped(Tensor.clone, x)
    try:
        result, stacks = _at_once(layer, given), True
    except torch.OutOfMemoryError:
        raise
    except RuntimeError:
        with torch.no_grad():
            for name, buffer in layer.named_buffers():  # a running mean may have moved before vmap stopped
                buffer.copy_(before[name])
        given = mapped(Tensor.clone, x)
        result, stacks = _in_a_loop(layer, given), False
    ways[layer.training] = stacks, _differ(given, x)
    return result


def _differ(given: Any, x: Any) -> bool:
    """Whether copies that a layer was given were written to, be it without a change or behind autograd's back."""
    pairs = zip(leaves(given), leaves(x), strict=True)
    return any(one._version > 0 or not (one.is_meta or torch.equal(one, other)) for one, other in pairs)


def _at_once(layer: nn.Module, x: Any) -> Any:
    def one(tensors: dict[str, Tensor], each: Any, seed: Tensor) -> Any:
        with AsInAStack(seed) if layer.training else contextlib.nullcontext():
            return called(layer, tensors, each)

    first = next(leaves(x))
    seeds = seeds_tensor(len(first), first.device) if layer.training else first.new_zeros(len(first), dtype=torch.int32)
    with _as_stacks_need(layer), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "There is a performance drop")  # a slow step is no fault
        return torch.func.vmap(one)(tensors_of(layer), x, seeds)


def _in_a_loop(layer: nn.Module, x: Any) -> Any:
    """One model after the other, each with chance of its own: what torch draws from its global generator too."""
    models, results, tensors = len(next(leaves(x))), [], tensors_of(layer)
    with _as_stacks_need(layer):
        for model, seed in enumerate(seeds_of_this_pass(models)):
            own = {name: each[model] for name, each in tensors.items()}
            with torch.random.fork_rng(_gpus(layer)), AsInAStack(None) if layer.training else contextlib.nullcontext():
                torch.manual_seed(seed)
                results.append(called(layer, own, mapped(itemgetter(model), x)))
    return stacked(results)


@contextlib.contextmanager
def _as_stacks_need(layer: nn.Module) -> Iterator[None]:
    with _plain_attention(), without_checkpoints(), _leaving_nothing(layer):
        yield


@contextlib.contextmanager
def _leaving_nothing(layer: nn.Module) -> Iterator[None]:
    """Tensors that a forward or its hooks note on modules, as the old weight norm does, are of one model: they go."""
    try:
        yield
    finally:
        for module in layer.modules():
            for name in [name for name, value in vars(module).items() if isinstance(value, Tensor)]:
                delattr(module, name)


def _gpus(layer: nn.Module) -> list[int]:
    return sorted({each.get_device() for each in layer.parameters() if each.is_cuda})


@contextlib.contextmanager
def _plain_attention() -> Iterator[None]:
    """Without torch's fast attention of evaluation mode: it has no derivative, which vmap does not see, and no rule."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)
