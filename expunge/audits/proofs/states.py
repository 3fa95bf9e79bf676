"""States of a training as rows of numbers: parameters, momenta, buffers, counters; and the hashes of them."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from expunge.audits.proofs.manifest import Part
from expunge.audits.proofs.manifest import Tensor as Told
from expunge.ensembles.optimizers import Descent
from expunge.errors import BadSetting

Layout = Sequence[Told]
Momenta = Descent | torch.optim.SGD | Sequence[Tensor | None]  # those of each parameter, or who has them
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
        """Room for so many, with nothing in it yet."""
        widths = widths_of(layout)
        parameters, momenta = torch.empty(rows, widths["parameters"]), torch.empty(rows, widths["parameters"])
        counters = torch.empty(rows, widths["counters"], dtype=torch.int64)
        return cls(parameters, momenta, torch.empty(rows, widths["buffers"]), counters)

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

    def digests(self) -> list[bytes]:
        """The SHA-256 of each state."""
        arrays = [each.numpy() for each in self.named().values()]
        found = []
        for row in range(len(self)):
            one = hashlib.sha256()
            for each in arrays:
                one.update(each[row].data)
            found.append(one.digest())
        return found

    def model_digest(self, row: int) -> str:
        """The SHA-256 of the model alone, without what only its training needs."""
        found = hashlib.sha256()
        for each in (self.parameters, self.buffers, self.counters):
            found.update(each[row].numpy().data)
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


def widths_of(layout: Layout) -> dict[Part, int]:
    """How many numbers each part of a state has."""
    return {part: sum(prod(each.shape) for each in layout if each.part == part) for part in PARTS}


def size_of(layout: Layout) -> int:
    """Bytes of one state."""
    widths = widths_of(layout)
    return 8 * widths["parameters"] + 4 * widths["buffers"] + 8 * widths["counters"]


class Flattened:
    """The tensors of a network and its optimizer as rows, of a stack one for each model, else one.

    They are views, made anew only where a tensor has moved: to look after each step must cost little beside the step.
    """

    def __init__(self, network: nn.Module, momenta: Momenta, layout: Layout, rows: int) -> None:
        self._network, self._momenta, self._rows = network, momenta, rows
        tables = [(f"{path}.{name}".removeprefix("."), table, name) for path, table, name in _tables(network)]
        found = {full: (table, name) for full, table, name in tables}
        self._places = {part: [found[each.name] for each in layout if each.part == part] for part in PARTS}
        self._views: dict[str, tuple[list[int], list[Tensor]]] = {}

    @torch.no_grad()
    def write(self, into: States) -> None:
        """Write where the training stands into the rows of ``into``."""
        targets = {"parameters": into.parameters, "buffers": into.buffers, "counters": into.counters}
        for part, target in zip(PARTS, targets.values(), strict=True):
            held = [tensor for table, name in self._places[part] if (tensor := table[name]) is not None]
            _join(self._flat(part, held), target)
            if part == "parameters":
                momenta = zip(momenta_of(self._momenta, self._network), held, strict=True)
                carried = [torch.zeros_like(like) if each is None else each for each, like in momenta]
                _join(self._flat("momenta", carried), into.momenta)

    def _flat(self, part: str, tensors: list[Tensor]) -> list[Tensor]:
        places = [each.data_ptr() for each in tensors]
        if part in self._views and self._views[part][0] == places:
            return self._views[part][1]
        views = [each.detach().reshape(self._rows, -1) for each in tensors]
        if [each.data_ptr() for each in views] == places:  # else it is a copy, which does not follow
            self._views[part] = places, views
        return views


def _tables(network: nn.Module) -> Iterator[tuple[str, dict[str, Tensor | None], str]]:
    """Where each tensor of a network is held: its module's path, the table there, its name in it."""
    for path, module in network.named_modules(remove_duplicate=False):
        for table in (module._parameters, module._buffers):
            yield from ((path, table, name) for name in table)


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


def momenta_of(optimizer: Momenta, network: nn.Module) -> Sequence[Tensor | None]:
    """What an optimizer carries from step to step, for each parameter of the network."""
    if isinstance(optimizer, Sequence):
        return optimizer
    if isinstance(optimizer, Descent):
        return optimizer.momenta
    return [optimizer.state.get(parameter, {}).get("momentum_buffer") for parameter in network.parameters()]
