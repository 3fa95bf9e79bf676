"""What a method of the user's own may return, where its meaning is plain: the state of the model that it means."""

import inspect
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from expunge.errors import MethodFailed

# What libraries put around a model: torch.compile, DataParallel, distributed and averaged models, opacus, accelerate.
WRAPPERS = ("_orig_mod", "module", "_module", "_fsdp_wrapped_module")
RETURN = "return the model itself"

Shapes = Mapping[str, tuple[torch.dtype, tuple[int, ...]]]


def shapes_of(model: nn.Module) -> dict[str, tuple[torch.dtype, tuple[int, ...]]]:
    """Type and shape of every parameter and buffer of a model, as it was before it was handed out."""
    return {key: (tensor.dtype, tuple(tensor.shape)) for key, tensor in model.state_dict().items()}


def state_of(result: object, model: nn.Module, expected: Shapes) -> dict[str, Tensor]:
    """The tensors that ``result`` means, of the types and shapes of ``expected``, on the CPU.

    ``result`` may be a module, one in the wrapper of a library, compiled, pruned or parametrized; a tuple with one
    module in it; a state dict; or None, where ``model``, what the method was given, was changed in place. Floating
    point of any width is taken. Raises MethodFailed, which says what to return, for anything else.
    """
    result = meant(result, model)
    if isinstance(result, nn.Module):
        found = _of_module(result, expected)
    elif isinstance(result, Mapping) and result and all(isinstance(each, Tensor) for each in result.values()):
        found = _without_prefixes(result, expected)
    else:
        raise MethodFailed(
            f"expected it to return a torch.nn.Module, got {type(result).__name__}; {RETURN}, its state_dict(), or "
            "nothing where it was changed in place"
        )
    nowhere = [key for key, each in found.items() if each.is_meta]
    if nowhere:
        raise MethodFailed(
            f"returned {nowhere[0]} on the meta device, which holds no numbers; {RETURN}, with its weights"
        )
    return {key: _as(found[key], *expected[key]) for key in expected}


def meant(result: object, model: nn.Module) -> object:
    """What is meant by what a function returned: the one module in a tuple, ``model`` where it returned nothing."""
    if inspect.iscoroutine(result):
        result.close()  # or Python complains that nobody waited for it
        raise MethodFailed(f"is an async function, which nobody waits for; {RETURN} of an ordinary one")
    if isinstance(result, tuple | list) and sum(isinstance(each, nn.Module) for each in result) == 1:
        return next(each for each in result if isinstance(each, nn.Module))
    return model if result is None else result


def _of_module(module: nn.Module, expected: Shapes) -> dict[str, Tensor]:
    for inner in unwrapped(module):
        found = _plain_state(inner)
        if _fits(found, expected):
            return found
    raise _of_another_architecture(_plain_state(list(unwrapped(module))[-1]), expected)


def unwrapped(module: nn.Module) -> Iterator[nn.Module]:
    """A module, and what it is wrapped around, the outermost first."""
    yield module
    for name in WRAPPERS:
        inner = module._modules.get(name)
        if inner is not None:
            yield from unwrapped(inner)
            return


def _plain_state(module: nn.Module) -> dict[str, Tensor]:
    """The state of a module, each pruned or parametrized weight as it is used, under its ordinary name."""
    found = {key: each for key, each in module.state_dict().items() if isinstance(each, Tensor)}
    for path, layer in module.named_modules():
        prefix = f"{path}." if path else ""
        for name in [key.removesuffix("_orig") for key in layer._parameters if key.endswith("_orig")]:
            mask = found.pop(f"{prefix}{name}_mask", None)
            if mask is not None:
                found[prefix + name] = found.pop(f"{prefix}{name}_orig") * mask
        if parametrize.is_parametrized(layer):
            for name in list(layer.parametrizations):
                inside = f"{prefix}parametrizations.{name}."
                found = {key: each for key, each in found.items() if not key.startswith(inside)}
                found[prefix + name] = getattr(layer, name)
    return found


def _without_prefixes(state: Mapping[str, Any], expected: Shapes) -> dict[str, Tensor]:
    """A state dict, without what a wrapper puts before each of its names."""
    found = {str(key): each for key, each in state.items()}
    while not _fits(found, expected):
        heads = {key.partition(".")[0] for key in found}
        if len(heads) != 1 or not heads & set(WRAPPERS) or not all("." in key for key in found):
            raise _of_another_architecture(found, expected)
        found = {key.partition(".")[2]: each for key, each in found.items()}
    return found


def _fits(found: Mapping[str, Tensor], expected: Shapes) -> bool:
    return found.keys() == expected.keys() and all(
        tuple(found[key].shape) == shape and _alike(found[key].dtype, dtype) for key, (dtype, shape) in expected.items()
    )


def _alike(found: torch.dtype, wanted: torch.dtype) -> bool:
    """Whether numbers of one type can be taken for those of the other."""
    return found == wanted or (
        found.is_floating_point == wanted.is_floating_point and torch.bool not in (found, wanted)
    )


def _as(tensor: Tensor, dtype: torch.dtype, shape: tuple[int, ...]) -> Tensor:
    return tensor.detach().to("cpu", dtype).reshape(shape).clone(memory_format=torch.contiguous_format)


def _of_another_architecture(found: Mapping[str, Tensor], expected: Shapes) -> MethodFailed:
    shown = {key: f"{each.dtype} {tuple(each.shape)}" for key, each in found.items()}
    wanted = {key: f"{dtype} {shape}" for key, (dtype, shape) in expected.items()}
    wrong = [
        key
        for key in wanted | shown
        if key not in found or key not in expected or not _fits({key: found[key]}, {key: expected[key]})
    ]
    key = min(wrong, key=lambda each: (each in found and each in expected, each))
    return MethodFailed(
        f"returned a model of another architecture: {key} should be {wanted.get(key, 'absent')}, is "
        f"{shown.get(key, 'absent')}; {RETURN}, with the layers that it came with"
    )
