"""Whether what a method of the user's own returned computes what the suite's network does with its weights."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from expunge.ensembles.ensemble import Ensemble
from expunge.methods.own.exact_match import spaced
from expunge.methods.own.returned import Shapes, unwrapped

INPUTS = 64  # of each part
MOST = 1 << 18  # numbers of outputs that are compared: those of one text may be millions
TOLERANCE = 1e-3  # of the largest output; stacked and alone, float32 differs by 1e-5


def probe_of(examples: dict[str, Tensor]) -> Tensor:
    """Inputs on which outputs are compared: of forget, of retain and, where inputs can be mixed, between two of these.

    So a table of exceptions, and one that refuses all but what it was given, both show.
    """
    forget, retain = (spaced(examples[f"{part}.x"], INPUTS) for part in ("forget", "retain"))
    parts = [forget, retain]
    if retain.is_floating_point():
        parts.append((retain + retain.roll(1, 0)) / 2)
    probe = torch.cat(parts)
    return probe.float() if probe.dtype == torch.float16 else probe


def outputs_of(module: nn.Module, probe: Tensor, expected: Shapes) -> Tensor:
    """What a returned module, or what it is wrapped around, gives for these inputs; nothing where all fail.

    It is computed with in the types of ``expected``: half precision is the user's, not another architecture.
    """
    kind = next((kind for kind, _ in expected.values() if kind.is_floating_point), torch.float32)
    for each in unwrapped(module):
        if type(each).__module__.startswith("torch._dynamo"):  # compiled: what it wraps computes the same
            continue
        try:
            first = next(each.parameters(), probe)
            if any(parameter.dtype != kind for parameter in each.parameters() if parameter.is_floating_point()):
                each.to(kind)
            return _outputs(each.eval(), probe.to(first.device))
        except Exception:  # of wrappers that need what is gone by now; the module itself then tells
            continue
    return torch.empty(0)


def _outputs(module: nn.Module, probe: Tensor) -> Tensor:
    first = module(probe[:1].clone()).detach().float().cpu()
    most = max(1, MOST // max(first.numel(), 1))  # inputs, of which the outputs are not too many
    return torch.cat([module(x.clone()).detach().float().cpu() for x in probe[:most].split(INPUTS)])


@torch.no_grad()
def computes_otherwise(returned: Ensemble, row: int, outputs: Float[Tensor, "n ..."], probe: Tensor) -> bool:
    """Whether a module gave other outputs than the suite's network, which is scored, has with the same weights."""
    inputs = probe[: len(outputs)].to(returned.device)
    if not len(inputs):
        return True
    alone = returned.take([row])
    ours = alone.eval()(inputs)[0].float().cpu()
    if ours.shape != outputs.shape:
        return True
    scale = max(1.0, ours.abs().nan_to_num(0, 0, 0).max().item())
    return not torch.allclose(ours, outputs, rtol=0, atol=TOLERANCE * scale, equal_nan=True)
