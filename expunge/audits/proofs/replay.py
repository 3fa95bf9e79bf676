"""The verifier's side: steps done again from the states of a bundle, many at once as the models of a stack.

Segments start from states that are given, so they do not wait for one another. The arithmetic of SGD is the verifier's
own: every segment has another rate, and a fault of the provider's optimizer must not be repeated.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy import ndarray
from torch import Tensor, nn

from expunge.audits.proofs.bundle import Bundle
from expunge.audits.proofs.states import Flattened, Layout, States, size_of
from expunge.ensembles.chance import Chance
from expunge.ensembles.device import exact_arithmetic
from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.optimizers import of_norms
from expunge.ensembles.origin import Origin
from expunge.ensembles.plan import new_networks
from expunge.ensembles.train import Batch, loss_of
from expunge.suites.suite import Suite

TOGETHER, ROOM = 25, 64 << 20  # segments in a stack, and bytes of their states
Stir = Callable[[Tensor], Tensor]  # of all models of a stack
GROUPS = ("parameters", "buffers", "momenta")


class Segment(NamedTuple):
    """What is replayed in one go: from state ``start`` to state ``end``, by their numbers."""

    start: int
    end: int


@dataclass(frozen=True)
class Errors:
    """How far replayed segments ended from the states that the bundle has: L2 norms of the differences."""

    parameters: Float[ndarray, " segments"]
    buffers: Float[ndarray, " segments"]
    momenta: Float[ndarray, " segments"]

    def named(self) -> dict[str, ndarray]:
        return {"parameters": self.parameters, "buffers": self.buffers, "momenta": self.momenta}

    def largest(self) -> Float[ndarray, " segments"]:
        """The largest of the three errors of each segment."""
        found: ndarray = np.max(list(self.named().values()), axis=0)
        return found

    def beyond(self, limits: Mapping[str, float]) -> Bool[ndarray, " segments"]:
        """Of each segment whether one of its errors is above its limit; a group without a limit is not looked at."""
        found: ndarray = np.any([self.named()[name] > limit for name, limit in limits.items()], axis=0)
        return found

    def replaced(self, rows: Sequence[int], others: "Errors") -> "Errors":
        """With the errors of ``others`` at these rows."""
        found = {name: each.copy() for name, each in self.named().items()}
        for name, each in others.named().items():
            found[name][list(rows)] = each
        return Errors(**found)

    @classmethod
    def joined(cls, parts: Sequence["Errors"], order: Sequence[int]) -> "Errors":
        """All parts as one; the entries were of these segments."""
        back = np.argsort(np.array(order, dtype=int))
        found = {name: np.concatenate([each.named()[name] for each in parts])[back] for name in GROUPS}
        return cls(**found)


@dataclass(frozen=True, eq=False)
class Replayer:
    """Does steps of a bundle again, on the data of the verifier's own suite."""

    bundle: Bundle
    suite: Suite
    network: nn.Module

    @classmethod
    def of(cls, bundle: Bundle, suite: Suite) -> "Replayer":
        return cls(bundle, suite, new_networks(suite.network, [0])[0])

    @property
    def layout(self) -> Layout:
        return self.bundle.manifest.layout

    @property
    def together(self) -> int:
        """How many segments make one stack: as many as there is room for; one where layers draw by chance."""
        if self.bundle.manifest.chance is not None:
            return 1
        return max(1, min(TOGETHER, ROOM // max(1, size_of(self.layout))))

    def sizes(self, segment: Segment) -> tuple[int, ...]:
        """How many records each step of a segment takes: what segments of one stack share."""
        steps = slice(self.bundle.step_of(segment.start), self.bundle.step_of(segment.end))
        return tuple(map(int, (self.bundle.batches[steps] >= 0).sum(1)))

    def stacks(self, segments: Sequence[Segment]) -> Iterator[list[int]]:
        """The segments, by their places, that are replayed together."""
        kinds: dict[tuple[int, ...], list[int]] = {}
        for place, segment in enumerate(segments):
            kinds.setdefault(self.sizes(segment), []).append(place)
        for places in kinds.values():
            for start in range(0, len(places), self.together):
                yield places[start : start + self.together]

    def batches(self, segments: Sequence[Segment]) -> list[ndarray]:
        """The records of each step, ``(segments, batch)``."""
        starts = [self.bundle.step_of(segment.start) for segment in segments]
        length = len(self.sizes(segments[0]))
        return [np.stack([self.bundle.batch(start + step) for start in starts]) for step in range(length)]

    def errors(self, segments: Sequence[Segment]) -> Errors:
        """How far each of them ends from the state that the bundle has there."""
        parts, order = [], list[int]()
        for places in self.stacks(segments):
            chosen = [segments[place] for place in places]
            ended = self.ended(chosen, self.batches(chosen))
            parts.append(distances(ended, self.bundle.states([segment.end for segment in chosen])))
            order += places
        return Errors.joined(parts, order)

    def ended(self, segments: Sequence[Segment], batches: Sequence[ndarray], stir: Stir | None = None) -> States:
        """Where segments of the same sizes end that take ``batches``; ``stir`` may move what goes in a little."""
        states = self.bundle.states([segment.start for segment in segments])
        if stir:
            states = replace(states, parameters=stir(states.parameters))
        starts = [self.bundle.step_of(segment.start) for segment in segments]
        ensemble = self.stacked(states, starts[0])
        momenta = as_momenta(states, self.layout)
        for step, rows in enumerate(batches):
            rates = torch.tensor([self.bundle.rates[start + step] for start in starts], dtype=torch.float32)
            chosen = torch.as_tensor(rows.astype(np.int64))
            x, y = self.suite.data.train.x[chosen], self.suite.data.train.y[chosen]
            self._step(ensemble, momenta, (stir(x) if stir and x.is_floating_point() else x, y), rates)
        found = States.empty(len(segments), self.layout)
        Flattened(ensemble.network, momenta, self.layout, len(segments)).write(found)
        return found

    def stacked(self, states: States, step: int) -> Ensemble:
        """The models of states in training mode, as they are after so many steps."""
        rows = range(len(states))
        origin = Origin(self.suite.address, self.suite.digest, "oracle", None, tuple(rows))
        tensors = states.tensors(self.layout)
        canonical = {id(each): name for name, each in reversed(list(self.network.state_dict(keep_vars=True).items()))}
        named = self.network.state_dict(keep_vars=True)
        state = {name: tensors[canonical[id(each)]] for name, each in named.items()}  # one that is tied has two names
        ensemble = Ensemble.from_state(self.network, state, origin, self.suite.data.train.x.shape[1:]).train()
        seed = self.bundle.manifest.chance
        ensemble.chance = Chance([0 if seed is None else seed] * len(states), step)
        return ensemble

    def _step(self, ensemble: Ensemble, momenta: list[Tensor], batch: Batch, rates: Float[Tensor, " models"]) -> None:
        """One step of SGD for each model at its own rate: v = momentum v + gradient + decay w; w = w - rate v."""
        recipe, parameters = self.suite.recipe, list(ensemble.parameters())
        with exact_arithmetic():
            loss_of(recipe, self.suite.target)(ensemble, batch).sum().backward()
        spared = set() if recipe.decay_norm else of_norms(ensemble)
        with torch.no_grad():
            for parameter, momentum in zip(parameters, momenta, strict=True):
                if parameter.grad is None:
                    continue
                decay = 0.0 if id(parameter) in spared else recipe.weight_decay
                change = parameter.grad.add_(parameter, alpha=decay) if decay else parameter.grad
                momentum.mul_(recipe.momentum).add_(change)
                parameter.sub_(momentum * rates.view(-1, *[1] * (parameter.ndim - 1)))
                parameter.grad = None


def as_momenta(states: States, layout: Layout) -> list[Tensor]:
    """The momenta of states in the shapes of the parameters, with a leading axis of rows; they are copies."""
    momenta = replace(states, parameters=states.momenta).tensors(layout)
    return [momenta[each.name].clone() for each in layout if each.part == "parameters"]


def distances(one: States, other: States) -> Errors:
    """L2 distances of the same rows; infinite where a number is none."""
    found = {}
    for name in GROUPS:
        difference = one.named()[name].double() - other.named()[name].double()
        norms = difference.norm(dim=1) if difference.shape[1] else torch.zeros(len(one), dtype=torch.float64)
        found[name] = norms.nan_to_num(nan=np.inf, posinf=np.inf).numpy()
    found["buffers"] = np.where((one.counters == other.counters).all(1).numpy(), found["buffers"], np.inf)
    return Errors(**found)


def segments_of(bundle: Bundle, length: int) -> list[Segment]:
    """The whole training in segments of so many states."""
    last = bundle.manifest.states - 1
    return [Segment(start, min(start + length, last)) for start in range(0, last, length)]
