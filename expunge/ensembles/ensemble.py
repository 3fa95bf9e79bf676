"""Models of one network, stacked: every parameter and buffer carries a leading model axis."""

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from expunge.ensembles import layers
from expunge.errors import BadSetting, MismatchedEnsembles
from expunge.records import Setting

Kind = Literal["pretrained", "oracle", "subset", "unlearned"]


@dataclass(frozen=True)
class Making:
    """How an unlearned ensemble was made: by which method, with which settings, at what cost.

    ``cost`` is the share of one retraining, ``seconds`` the wall time for one model.
    """

    method: str
    settings: Mapping[str, Setting]
    seed: int
    epoch: int
    cost: float
    seconds: float


@dataclass(frozen=True)
class Origin:
    """Where an ensemble comes from: what two ensembles must share to be compared."""

    suite: str
    digest: str
    kind: Kind
    forget_set: str | None  # name and digest of the indices; None for models that saw all examples
    models: tuple[int, ...]  # numbers of the models within their kind
    made: "Making | None" = None  # for kind "unlearned"

    def require_same_suite(self, other: "Origin") -> None:
        if self.digest != other.digest:
            raise MismatchedEnsembles(
                f"expected ensembles of one suite, got {self.suite} ({self.digest}) and {other.suite} ({other.digest})"
            )
        if self.forget_set and other.forget_set and self.forget_set != other.forget_set:
            raise MismatchedEnsembles(f"expected one forget set, got {self.forget_set} and {other.forget_set}")


@dataclass
class Meter:
    """Work done by an ensemble and all its copies, in forward passes of one example through one model.

    A forward pass that autograd records counts as 3: going backward costs about twice as much as going forward.
    """

    units: int = 0

    def count(self, examples: int) -> None:
        self.units += 3 * examples if torch.is_grad_enabled() else examples


class Ensemble(nn.Module):
    """``M`` models of one network as one module.

    ``ensemble(x)`` takes ``(models, batch, ...)``, or one ``(batch, ...)`` for all, and returns
    ``(models, batch, classes)``. Models share no parameter, so the gradient of a sum of per-model losses is each
    model's own, and every elementwise optimizer is right as it stands. ``ensemble[i]`` is an ordinary module.
    """

    def __init__(self, network: nn.Module, origin: Origin, sample_shape: Sequence[int]) -> None:
        super().__init__()
        self.network = network
        self.origin = origin
        self.sample_shape = tuple(sample_shape)
        self.meter = Meter()
        lengths = {len(tensor) for tensor in network.state_dict().values()}
        if lengths != {len(origin.models)}:
            raise BadSetting(f"expected {len(origin.models)} models in every tensor, got {sorted(lengths)}")

    @classmethod
    def stack(cls, networks: Sequence[nn.Module], origin: Origin, sample_shape: Sequence[int]) -> "Ensemble":
        """Stack ordinary modules of one architecture; they are copied, not shared."""
        states = [network.state_dict() for network in networks]
        state = {key: torch.stack([each[key] for each in states]) for key in states[0]}
        return cls.from_state(networks[0], state, origin, sample_shape)

    @classmethod
    def from_state(
        cls, network: nn.Module, state: Mapping[str, Tensor], origin: Origin, sample_shape: Sequence[int]
    ) -> "Ensemble":
        """``network`` gives the architecture, ``state`` its tensors with a leading model axis."""
        return cls(_with_state(network, state), origin, sample_shape)

    def forward(self, x: Tensor) -> Float[Tensor, "models batch classes"]:
        if x.shape[1:] == self.sample_shape:
            x = x.expand(len(self), *x.shape)
        if x.shape[2:] != self.sample_shape or len(x) != len(self):
            raise BadSetting(
                f"expected input ({len(self)}, batch, {self.sample_shape}) or (batch, {self.sample_shape}), "
                f"got {tuple(x.shape)}"
            )
        self.meter.count(x.shape[0] * x.shape[1])
        return layers.run(self.network, x)

    def __len__(self) -> int:
        return len(self.origin.models)

    def __getitem__(self, index: int) -> nn.Module:
        """Model ``index`` as an ordinary module with the ordinary state-dict keys, on tensors of its own."""
        return _with_state(self.network, {key: tensor[index] for key, tensor in self.state().items()})

    def __iter__(self) -> Iterator[nn.Module]:
        return (self[index] for index in range(len(self)))

    def take(self, indices: Iterable[int]) -> "Ensemble":
        """The models at ``indices`` as an ensemble of their own."""
        rows = list(indices)
        origin = replace(self.origin, models=tuple(self.origin.models[row] for row in rows))
        state = {key: tensor[rows] for key, tensor in self.state().items()}
        return Ensemble.from_state(self.network, state, origin, self.sample_shape)

    def state(self) -> dict[str, Tensor]:
        """Parameters and buffers by their ordinary names, each with a leading model axis."""
        state: dict[str, Tensor] = self.network.state_dict()
        return state

    def copy(self) -> "Ensemble":
        """An independent copy without gradients, in the same mode; its work counts on the same meter."""
        result = Ensemble.from_state(self.network, self.state(), self.origin, self.sample_shape)
        result.meter = self.meter
        return result.train(self.training)


def _with_state(network: nn.Module, state: Mapping[str, Tensor]) -> nn.Module:
    """A copy of ``network`` that holds copies of ``state``, whatever the shapes; tied tensors stay tied."""
    network.zero_grad(set_to_none=True)
    result = copy.deepcopy(network)
    seen: dict[int, Tensor] = {}
    for path, module in result.named_modules():
        prefix = f"{path}." if path else ""
        for table in (module._parameters, module._buffers):
            for name, old in table.items():
                if old is None or prefix + name not in state:
                    continue
                if id(old) not in seen:
                    value = state[prefix + name].detach().clone()
                    seen[id(old)] = nn.Parameter(value, old.requires_grad) if isinstance(old, nn.Parameter) else value
                table[name] = seen[id(old)]
    return result
