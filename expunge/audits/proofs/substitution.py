"""Which retained records take the place of removed ones in a batch: what the adversarial processes choose by.

Source: Zhang et al. 2024, arXiv:2408.00929, algorithm 1. Where their public code departs from that, the algorithm is
followed: gradients are compared whole, not as a sum over layers, and no substitute is in the batch already.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray
from torch import Tensor, nn

from expunge.audits.proofs.gradients import SetGradients, set_gradients
from expunge.ensembles.layer_inputs import LayerInputs
from expunge.errors import BadSetting
from expunge.suites.suite import ForgetSet, Suite

Space = Literal["pixel", "feature", "gradient"]
Select = Callable[[nn.Module, ndarray], ndarray]  # the batch without removed records, by where the model stands


@dataclass(frozen=True, eq=False)
class Nearest:
    """Adv-N: every removed record gives way to the nearest retained one of its class, by cosine, in one space.

    The list is made once, by the original model; a step costs nothing.
    """

    forget: ForgetSet
    nearest: dict[int, ndarray]  # of each removed record the retained ones of its class, nearest first

    @classmethod
    def in_space(cls, suite: Suite, forget: ForgetSet, space: Space, original: nn.Module) -> "Nearest":
        """By raw inputs, by what goes into the last layer, or by gradients at the ``original`` model."""
        if space not in get_args(Space):
            raise BadSetting(f"expected one of the spaces {', '.join(get_args(Space))}, got {space!r}")
        labels, kept = suite.data.train.y.numpy(), suite.retain(forget)
        nearest = {}
        for removed in map(int, forget.indices):
            candidates = kept[labels[kept] == labels[removed]]
            if not len(candidates):
                raise BadSetting(
                    f"removed record {removed}: no retained record has its class, {labels[removed]}, so nothing can "
                    "take its place; choose a forget set that leaves some of each class"
                )
            places = vectors(suite, space, original, np.append(candidates, removed))
            nearest[removed] = candidates[_by_cosine(places[:-1], places[-1])]
        return cls(forget, nearest)

    def __call__(self, model: nn.Module, batch: ndarray) -> ndarray:
        """``batch`` with substitutes: the nearest that are not in it."""
        taken = set(map(int, batch))
        found = batch.copy()
        for place in np.flatnonzero(np.isin(batch, self.forget.indices)):
            free = [each for each in map(int, self.nearest[int(batch[place])]) if each not in taken]
            if not free:
                raise BadSetting(f"removed record {batch[place]}: every retained record of its class is in the batch")
            found[place] = free[0]
            taken.add(free[0])
        return found


@dataclass(frozen=True, eq=False)
class RandomSearch:
    """Adv-R: of ``candidates`` random sets of retained records the one whose gradient is nearest to the removed part's.

    ``mismatch`` keeps what distance was reached in each step, as a share of the norm of the gradient that is replaced.
    """

    suite: Suite
    forget: ForgetSet
    candidates: int = 50
    seed: int = 0
    mismatch: list[float] = field(default_factory=list)
    rng: np.random.Generator = field(init=False)
    _gradients: SetGradients = field(init=False)

    def __post_init__(self) -> None:
        if self.candidates < 1:
            raise BadSetting(f"candidates: expected 1 or more, got {self.candidates}")
        object.__setattr__(self, "rng", np.random.default_rng(self.seed))
        object.__setattr__(self, "_gradients", SetGradients(self.suite))

    def __call__(self, model: nn.Module, batch: ndarray) -> ndarray:
        """``batch`` with the best candidate in the places of removed records."""
        places = np.flatnonzero(np.isin(batch, self.forget.indices))
        if not len(places):
            return batch
        free = np.setdiff1d(self.suite.retain(self.forget), batch)
        if len(free) < len(places):
            raise BadSetting(
                f"a batch of {len(batch)} leaves {len(free)} retained records to take the place of {len(places)}: the "
                "batch is determined, and nothing can be chosen"
            )
        sets = np.stack([self.rng.choice(free, len(places), replace=False) for _ in range(self.candidates)])
        every = torch.as_tensor(np.concatenate([batch[places][None], sets]).astype(np.int64))
        gradients = self._gradients(model, every)
        apart = (gradients[1:] - gradients[0]).norm(dim=1)
        best = int(apart.argmin())
        self.mismatch.append(float(apart[best] / gradients[0].norm()))
        found = batch.copy()
        found[places] = sets[best]
        return found


def vectors(suite: Suite, space: Space, model: nn.Module, rows: Int[ndarray, " rows"]) -> Float[Tensor, "rows width"]:
    """Where records lie in a space."""
    chosen = torch.as_tensor(rows.astype(np.int64))
    x = suite.data.train.x[chosen]
    if space == "pixel":
        return x.flatten(1).float()
    if space == "gradient":
        return set_gradients(model, suite, chosen[:, None])
    linear = [path for path, each in model.named_modules() if isinstance(each, nn.Linear)]
    if not linear:
        raise BadSetting("the network has no linear layer, whose inputs would be features; take pixel or gradient")
    training = model.training
    with torch.no_grad():
        seen = LayerInputs(model.eval(), [linear[-1]], _flat)(x)
    model.train(training)
    found: Tensor = seen[linear[-1]][0]
    return found


def _flat(layer: nn.Module, given: Tensor) -> Tensor:
    return given.flatten(1)


def _by_cosine(others: Float[Tensor, "others width"], one: Float[Tensor, " width"]) -> ndarray:
    """Places of the others, nearest first."""
    alike = torch.nn.functional.cosine_similarity(others, one[None], dim=1)
    order: ndarray = alike.argsort(descending=True, stable=True).numpy()
    return order


def least_mismatch(suite: Suite, forget: ForgetSet, model: nn.Module) -> float:
    """What a forger of full batches cannot get below: the distance of the gradients of all records and of the kept.

    A full batch without the removed records is one set and no other; 0 would mean that they had no part in the step.
    """
    everything = torch.arange(suite.data.sizes[0])[None]
    kept = torch.as_tensor(suite.retain(forget))[None]
    gradients = [set_gradients(model, suite, rows) for rows in (everything, kept)]
    return float((gradients[0] - gradients[1]).norm())
