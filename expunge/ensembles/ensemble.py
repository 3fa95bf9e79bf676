"""Models of one network, stacked: every parameter and buffer carries a leading model axis."""

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, SupportsIndex, overload

import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor, nn

from expunge.ensembles import layers
from expunge.ensembles.called import tensors_of
from expunge.ensembles.chance import Chance, drawing_from
from expunge.ensembles.origin import Meter, Origin
from expunge.ensembles.seeds import seed_of
from expunge.errors import BadSetting
from expunge.suites.data import Data


class Ensemble(nn.Module):
    """``M`` models of one network as one module.

    ``ensemble(x)`` takes ``(models, batch, ...)``, or one ``(batch, ...)`` for all models, and returns
    ``(models, batch, classes)``, or whatever shape the target asks for. Models share no parameter, so the gradient of a
    sum of per-model losses is each model's own gradient, and every elementwise optimizer works unchanged.
    ``ensemble[i]`` is an ordinary module.

    Sparse models have :attr:`masks`, which all copies share; see :meth:`obey`.
    """

    def __init__(
        self, network: nn.Module, origin: Origin, sample_shape: Sequence[int], masks: Mapping[str, Tensor] | None = None
    ) -> None:
        super().__init__()
        self.network = network
        self.origin = origin
        self.sample_shape = tuple(sample_shape)
        self.meter = Meter()
        self.chance = Chance(
            [seed_of(origin.digest, origin.kind, str(origin.forget_set), each) for each in origin.models]
        )
        lengths = {len(tensor) for tensor in network.state_dict().values()}
        if lengths != {len(origin.models)}:
            raise BadSetting(f"expected {len(origin.models)} models in every tensor, got {sorted(lengths)}")
        self._held: list[tuple[Tensor, Tensor]] = []  # each masked parameter, and where it is kept
        self._hooks: list[Any] = []
        self.obey(masks or {})

    @classmethod
    def stack(cls, networks: Sequence[nn.Module], origin: Origin, sample_shape: Sequence[int]) -> "Ensemble":
        """Stack ordinary modules of one architecture; they are copied, not shared."""
        states = [network.state_dict() for network in networks]
        state = {key: torch.stack([each[key] for each in states]) for key in states[0]}
        return cls.from_state(networks[0], state, origin, sample_shape)

    @classmethod
    def from_state(
        cls,
        network: nn.Module,
        state: Mapping[str, Tensor],
        origin: Origin,
        sample_shape: Sequence[int],
        masks: Mapping[str, Tensor] | None = None,
    ) -> "Ensemble":
        """``network`` gives the architecture, ``state`` its tensors with a leading model axis, ``masks`` likewise.

        A state of another architecture is refused: its tensors would be left out, and those of ``network`` stay.
        """
        if strange := state.keys() - _names_of(network):
            raise BadSetting(
                f"expected tensors of the network, got {min(strange)!r}, of which it has none by that name"
            )
        return cls(_with_state(network, state), origin, sample_shape, masks)

    def obey(self, masks: Mapping[str, Tensor]) -> "Ensemble":
        """Keep these models sparse from now on: a weight where its mask, ``(models, ...)`` of bool, is False is 0.

        No gradient reaches such a weight, so no optimizer moves it; whatever else may have written there, noise or new
        weights, is undone before the next forward pass. ``{}`` ends it. Copies obey the same masks.
        """
        parameters = tensors_of(self.network)  # frozen parts are held
        for name, mask in masks.items():
            if name not in parameters or mask.shape != parameters[name].shape or mask.dtype != torch.bool:
                found = f"{mask.dtype} of shape {tuple(mask.shape)}"
                raise BadSetting(f"expected masks of bool in the shapes of the parameters, got {name!r}: {found}")
        for hook in self._hooks:
            hook.remove()
        self.masks = {name: mask.to(self.device) for name, mask in masks.items()}
        self._held = [(parameters[name], mask) for name, mask in self.masks.items()]
        self._hooks = [hook for parameter, mask in self._held if (hook := _guard(parameter, mask))]
        self.project()
        return self

    def project(self) -> None:
        """Set what is masked to 0, where anything wrote there."""
        for parameter, mask in self._held:  # as data: that a 0 is 0 again is no change that a loss must know of
            parameter.data.masked_fill_(~mask, 0)

    def forward(self, x: Tensor) -> Float[Tensor, "models batch ..."]:
        """Pictures, samples of three dimensions, may differ from ``sample_shape`` in height and width.

        Inputs stored as float16 are computed on in float32.
        """
        given = tuple(x.shape)
        if x.ndim == 1 + len(self.sample_shape):
            x = x.expand(len(self), *given)
        if x.ndim != 2 + len(self.sample_shape) or len(x) != len(self) or not self._fits(x.shape[2:]):
            raise BadSetting(
                f"expected input ({len(self)}, batch, {self.sample_shape}) or (batch, {self.sample_shape}), got {given}"
            )
        self.meter.count(x.shape[0] * x.shape[1])
        self.project()
        try:
            with drawing_from(self.chance):
                logits = layers.run(self.network, x.float() if x.dtype == torch.float16 else x)
        except RuntimeError as error:
            self._explain(error, x.shape[2:])
            raise
        if not isinstance(logits, Tensor) or logits.ndim < 3 or logits.shape[:2] != x.shape[:2]:
            found = tuple(logits.shape[1:]) if isinstance(logits, Tensor) else type(logits).__name__
            raise BadSetting(
                f"expected a network that returns ({x.shape[1]}, classes) for {x.shape[1]} inputs, got {found}"
            )
        return logits

    def _explain(self, error: RuntimeError, shape: Sequence[int]) -> None:
        """Raise in words of the user's what torch says in its own."""
        text = str(error).splitlines()[0]
        if isinstance(error, torch.OutOfMemoryError):
            return
        if "vmap" in text or "Batching rule" in text:
            raise BadSetting(
                f"the network cannot be stacked: torch.func.vmap says {text!r}; write its forward in other operations"
            ) from error
        if tuple(shape) != self.sample_shape:
            raise BadSetting(
                f"the network takes inputs of {self.sample_shape}, but not of {tuple(shape)}: {text}; bring the test "
                "inputs to the size of the train inputs"
            ) from error

    def _fits(self, shape: Sequence[int]) -> bool:
        fixed = 1 if len(self.sample_shape) == 3 else None  # the channels of a picture, else all
        return tuple(shape[:fixed]) == self.sample_shape[:fixed]

    @property
    def device(self) -> torch.device:
        """Where the models are; ``ensemble.to(device)`` moves them."""
        return next(iter(self.state().values())).device

    def __len__(self) -> int:
        return len(self.origin.models)

    def __repr__(self) -> str:
        """In a line; ``ensemble.network`` shows the layers, of which every tensor holds all models."""
        return f"Ensemble({self.origin.told()}, {type(self.network).__name__} for inputs {self.sample_shape})"

    @overload
    def __getitem__(self, index: SupportsIndex) -> nn.Module: ...

    @overload
    def __getitem__(self, index: slice) -> "Ensemble": ...

    def __getitem__(self, index: SupportsIndex | slice) -> "nn.Module | Ensemble":
        """Model ``index`` as an ordinary module with the ordinary state-dict keys, on tensors of its own.

        No gradient reaches what is masked in it. A slice is an ensemble of its own.
        """
        if isinstance(index, slice):
            if not (rows := range(len(self))[index]):
                raise BadSetting(f"expected at least one of the {len(self)} models of the ensemble, got none")
            return self.take(rows)
        row = range(len(self))[index]
        return keep_sparse(self.dense(row), {name: mask[row] for name, mask in self.masks.items()})

    def dense(self, index: int) -> nn.Module:
        """The same, but gradients reach all of it: what can be pickled, for hooks do not travel."""
        return _with_state(self.network, {key: tensor[index] for key, tensor in self.state().items()})

    def __iter__(self) -> Iterator[nn.Module]:
        return (self[index] for index in range(len(self)))

    def take(self, indices: Iterable[int]) -> "Ensemble":
        """The models at ``indices`` as an ensemble of their own."""
        rows = list(indices)
        origin = replace(self.origin, models=tuple(self.origin.models[row] for row in rows))
        state = {key: tensor[rows] for key, tensor in self.state().items()}
        masks = {name: mask[rows] for name, mask in self.masks.items()}
        result = Ensemble.from_state(self.network, state, origin, self.sample_shape, masks)
        result.chance = self.chance.take(rows)
        return result

    def margins(self, data: Data) -> Float[ndarray, "models columns"]:
        """The margin of every example of ``data``, train then test, of each model in evaluation mode, float32."""
        from expunge.ensembles.train import measure  # which knows ensembles

        values: ndarray = measure(self, data)[0].numpy()
        return values

    def state(self) -> dict[str, Tensor]:
        """Parameters and buffers by their ordinary names, each with a leading model axis."""
        state: dict[str, Tensor] = self.network.state_dict()
        return state

    def copy(self) -> "Ensemble":
        """An independent copy without gradients, in the same mode; it shares the meter and the chance of its layers."""
        result = Ensemble.from_state(self.network, self.state(), self.origin, self.sample_shape, self.masks)
        result.meter, result.chance = self.meter, self.chance
        return result.train(self.training)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "Ensemble":
        """What ``to`` does to parameters it does to masks."""
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self.obey({name: fn(mask) for name, mask in self.masks.items()})

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_held": [], "_hooks": []}  # hooks do not travel

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        self.obey(self.masks)


def keep_sparse(model: nn.Module, masks: Mapping[str, Tensor]) -> nn.Module:
    """An ordinary module, whose parameters no gradient reaches where their masks are False."""
    for name, mask in masks.items():
        _guard(model.get_parameter(name), mask)
    return model


def _guard(parameter: Tensor, mask: Tensor) -> Any:
    """Let no gradient through where ``mask`` is False; the hook that does, None for a parameter that takes none."""
    return parameter.register_hook(partial(_masked, mask)) if parameter.requires_grad else None


def _masked(mask: Tensor, gradient: Tensor) -> Tensor:
    return gradient.masked_fill(~mask, 0)


def _names_of(network: nn.Module) -> set[str]:
    """The names of all tensors, those that are tied by all of theirs."""
    tensors = network.named_parameters(remove_duplicate=False), network.named_buffers(remove_duplicate=False)
    return {name for each in tensors for name, _ in each}


def _with_state(network: nn.Module, state: Mapping[str, Tensor]) -> nn.Module:
    """A copy of ``network`` that holds copies of ``state``, whatever the shapes; tied tensors stay tied."""
    network.zero_grad(set_to_none=True)
    _detach_computed(network)
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


def _detach_computed(network: nn.Module) -> None:
    """Let what hooks computed, as the old weight norm does, be copied: it is computed anew when it is used."""
    for module in network.modules():
        for name, value in vars(module).items():
            if isinstance(value, Tensor) and not value.is_leaf:
                setattr(module, name, value.detach())
