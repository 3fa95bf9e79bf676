"""States of a training as rows of numbers: parameters, momenta, buffers, counters; and the hashes of them."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from expunge.audits.proofs.manifest import Part
from expunge.audits.proofs.manifest import Tensor as Told
from expunge.ensembles.train import Descent
from expunge.errors import BadSetting

Layout = Sequence[Told]
PARTS: tuple[Part, ...] = ("parameters", "buffers", "counters")


@dataclass(frozen=True)
class States:
    """Some states, one a row."""

    parameters: Float[Tensor, "rows parameters"]
    momenta: Float[Tensor, "rows parameters"]  # zeros before the first step
    buffers: Float[Tensor, "rows buffers"]
    counters: Int[Tensor, "rows counters"]

    @classmethod
    def empty(cls, rows: int, layout: Layout) -> "States":
        """Room for so many."""
        widths = widths_of(layout)
        floats = [torch.zeros(rows, widths[part]) for part in ("parameters", "parameters", "buffers")]
        return cls(*floats, torch.zeros(rows, widths["counters"], dtype=torch.int64))

    def __len__(self) -> int:
        return len(self.parameters)

    def take(self, rows: slice | Sequence[int]) -> "States":
        """These of them."""
        chosen = rows if isinstance(rows, slice) else list(rows)
        return States(*(each[chosen] for each in self.named().values()))

    def named(self) -> dict[str, Tensor]:
        """As they lie in a file."""
        return {
            "parameters": self.parameters,
            "momenta": self.momenta,
            "buffers": self.buffers,
            "counters": self.counters,
        }

    def digest(self, row: int) -> bytes:
        """The SHA-256 of one state."""
        found = hashlib.sha256()
        for each in self.named().values():
            found.update(each[row].numpy())
        return found.digest()

    def model_digest(self, row: int) -> str:
        """The SHA-256 of the model alone, without what only its training needs."""
        found = hashlib.sha256()
        for each in (self.parameters, self.buffers, self.counters):
            found.update(each[row].numpy())
        return found.hexdigest()

    def tensors(self, layout: Layout) -> dict[str, Tensor]:
        """The tensors of the network by name, each with a leading axis of rows."""
        flat = {"parameters": self.parameters, "buffers": self.buffers, "counters": self.counters}
        found, at = {}, dict.fromkeys(PARTS, 0)
        for each in layout:
            size = prod(each.shape)
            found[each.name] = flat[each.part][:, at[each.part] : at[each.part] + size].reshape(-1, *each.shape)
            at[each.part] += size
        return found

    def put(self, row: int, others: "States") -> None:
        """Write the only row of ``others`` at ``row``."""
        for mine, theirs in zip(self.named().values(), others.named().values(), strict=True):
            mine[row] = theirs[0]


def widths_of(layout: Layout) -> dict[Part, int]:
    """How many numbers each part of a state has."""
    return {part: sum(prod(each.shape) for each in layout if each.part == part) for part in PARTS}


def size_of(layout: Layout) -> int:
    """Bytes of one state."""
    widths = widths_of(layout)
    return 8 * widths["parameters"] + 4 * widths["buffers"] + 8 * widths["counters"]


@torch.no_grad()
def write_states(into: States, network: nn.Module, momenta: Sequence[Tensor | None], layout: Layout) -> None:
    """Write where a training stands into the rows of ``into``: of a stack a row for each model, else one."""
    held, rows = network.state_dict(keep_vars=True), len(into)
    flat: dict[str, list[Tensor]] = {part: [] for part in PARTS}
    for each in layout:
        flat[each.part].append(held[each.name].detach().reshape(rows, -1))
    parameters = flat["parameters"]
    carried = zip(momenta, parameters, strict=True)
    _join([torch.zeros_like(like) if each is None else each.reshape(rows, -1) for each, like in carried], into.momenta)
    _join(parameters, into.parameters)
    _join(flat["buffers"], into.buffers)
    _join(flat["counters"], into.counters)


def _join(flat: list[Tensor], into: Tensor) -> None:
    if not flat:
        return
    if flat[0].device == into.device:
        torch.cat(flat, dim=1, out=into)
    else:
        into.copy_(torch.cat(flat, dim=1))


def model_states(tensors: Mapping[str, Tensor], layout: Layout) -> States:
    """One row: a model by its state dict, without momenta; BadSetting where it is no model of this layout."""
    for each in layout:
        found = tensors.get(each.name)
        if found is None or tuple(found.shape) != each.shape:
            shape = "none" if found is None else tuple(found.shape)
            raise BadSetting(f"the deployed model: expected a tensor {each.name!r} of shape {each.shape}, got {shape}")
    states = States.empty(1, layout)
    for name, into in states.tensors(layout).items():
        into[0] = tensors[name]
    return states


def require_recordable(network: nn.Module) -> None:
    """Refuse a network whose numbers a bundle has no room for."""
    for name, each in network.state_dict().items():
        if each.is_complex() or (each.is_floating_point() and each.dtype != torch.float32):
            raise BadSetting(f"expected float32 tensors in what is recorded, got {name!r} of {each.dtype}")


def momenta_of(optimizer: Descent | torch.optim.SGD, network: nn.Module) -> list[Tensor | None]:
    """What an optimizer carries from step to step, for each parameter of the network."""
    if isinstance(optimizer, Descent):
        return optimizer.momenta
    return [optimizer.state.get(parameter, {}).get("momentum_buffer") for parameter in network.parameters()]
