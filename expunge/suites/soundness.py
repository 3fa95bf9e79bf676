"""Networks of the user's own that torch takes and that would be wrong in silence: what hides from it, or changes."""

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from expunge.errors import BadSetting


def require_trainable(network: nn.Module) -> None:
    """Refuse a network none of whose parameters is to be trained, or that holds what torch or a stack cannot see."""
    for path, module in network.named_modules():
        if isinstance(module, torch.jit.ScriptModule):
            raise BadSetting(
                f"{path or 'the network'} is compiled by torch.jit, so that no other weights can be put into it, as a "
                "stack of models does; give the module itself, without torch.jit.script or torch.jit.trace"
            )
        if isinstance(module, nn.DataParallel | nn.parallel.DistributedDataParallel):
            raise BadSetting(
                f"{path or 'the network'} is an nn.{type(module).__name__}, and a stack of models is not to be divided "
                "among devices by its network; give the module within it"
            )
    if not any(each.requires_grad for each in network.parameters()):
        raise BadSetting("nothing of the network is to be trained: every parameter has requires_grad=False")
    for doubt in _hidden(network):
        raise BadSetting(doubt)


def _hidden(network: nn.Module) -> Iterator[str]:
    """Layers in plain lists and plain tensors, of modules that are not torch's own."""
    known = {id(each) for each in network.modules()}
    for module in network.modules():
        kind = type(module)
        if kind.__module__.startswith("torch."):  # old weight norm keeps what it computes beside its parameters
            continue
        for name, value in vars(module).items():
            if name.startswith("_") or isinstance(value, nn.Module):
                continue
            if any(isinstance(each, nn.Module) and id(each) not in known for each in _members(value)):
                yield (
                    f"the layers in {kind.__name__}.{name} are not part of the network, so that nothing trains or "
                    "keeps them; make it an nn.ModuleList, nn.ModuleDict or nn.Sequential"
                )
            if any(isinstance(each, Tensor) for each in (value, *_members(value))) and name not in _computed(module):
                yield (
                    f"{kind.__name__}.{name} is a plain tensor, which is no part of the network: it is not kept, nor "
                    f"brought to another device; make it self.register_buffer({name!r}, ...), or an nn.Parameter"
                )


def _members(value: object) -> list[object]:
    if isinstance(value, dict):
        return list(value.values())
    return list(value) if isinstance(value, list | tuple) else []


def _computed(module: nn.Module) -> set[str]:
    """Tensors that hooks compute before each pass: those of torch's old weight and spectral norm, and pruning."""
    return {
        name
        for hook in module._forward_pre_hooks.values()
        for name in (getattr(hook, "name", ""), getattr(hook, "_tensor_name", ""))
    }


@contextlib.contextmanager
def made_within(network: nn.Module) -> Iterator[list[str]]:
    """What is made within this context and would be trained or kept: tensors of ``network``, or layers beside it."""
    own, known, made = {id(module) for module in network.modules()}, set(network.state_dict()), list[str]()

    def note(module: nn.Module, _: str, tensor: Tensor | None) -> None:
        if tensor is not None and id(module) not in own:
            made.append(f"a layer, {type(module).__name__},")

    of_modules = torch.nn.modules.module
    hooks = (
        of_modules.register_module_parameter_registration_hook(note),
        of_modules.register_module_buffer_registration_hook(note),
    )
    try:
        yield made
    finally:
        for hook in hooks:
            hook.remove()
        made[:0] = sorted(set(network.state_dict()) - known)


@torch.no_grad()
def require_steady(network: nn.Module, x: Tensor) -> None:
    """Refuse a network whose outputs for one input differ between two passes in evaluation."""
    one, other = network(x.clone()), network(x.clone())
    if isinstance(one, Tensor) and isinstance(other, Tensor) and not torch.equal(one.nan_to_num(), other.nan_to_num()):
        raise BadSetting(
            "the network gives other outputs for the same input at each pass in evaluation: leave chance to "
            "training, as F.dropout(x, p, self.training) does, and make layers in __init__"
        )


def looks_like_shares(outputs: Tensor) -> bool:
    """Whether outputs are shares that sum to 1, as after a softmax, where logits are expected."""
    inside = bool((outputs >= 0).all() and (outputs <= 1).all())
    return inside and bool(
        torch.allclose(outputs.sum(-1), torch.ones(outputs.shape[:-1], dtype=outputs.dtype), atol=1e-4)
    )


def advice_on(error: Exception, x: Tensor) -> str:
    """What to do about an error of the network, where the input's type made it; else ""."""
    text, kind = str(error), str(x.dtype).removeprefix("torch.")
    if x.is_floating_point() and ("'indices'" in text or "Long" in text):
        return f"; inputs are {kind}: write x.long() in forward"
    if "same dtype" in text or "expected scalar type" in text:
        return f"; inputs are {kind}: have the network's weights of that type, or convert x in forward"
    return ""
