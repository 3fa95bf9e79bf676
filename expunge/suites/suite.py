"""What is to be forgotten: data, network, recipe and forget sets, in one frozen record with a digest."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import cloudpickle
import numpy as np
import torch
from jaxtyping import Int
from numpy import ndarray
from torch import Tensor, nn

from expunge.engine import warn
from expunge.errors import BadSetting
from expunge.fingerprint import source_of
from expunge.records import SplitName
from expunge.suites.arrays import plain
from expunge.suites.data import Data, Examples, require_finite
from expunge.suites.forget_set import GIVEN, ForgetSet, ForgetSets, Unmade
from expunge.suites.indices import Chosen, checked
from expunge.suites.kinds import require_kinds
from expunge.suites.pruning import Pruning, prunable
from expunge.suites.recipe import Recipe
from expunge.suites.request import Request
from expunge.suites.shown import suite_as_html
from expunge.suites.sized import Sized, inner
from expunge.suites.soundness import advice_on, looks_like_shares, made_within, require_steady, require_trainable
from expunge.suites.target import CLASSIFICATION, Target

__all__ = ["Data", "Examples", "ForgetSet", "ForgetSets", "Recipe", "Split", "Suite", "Unmade"]


@dataclass(frozen=True, eq=False)
class Split:
    """What an unlearning method is given: examples to keep, examples to forget, how the models were trained.

    ``network`` makes a network with new first weights, as the models had them. ``extra`` is what the method's own row
    prepared out of a store, in a type of the method's own; None for most. Where examples are corrected and not removed,
    ``instead`` is what stands in their place; it is the end of ``retain``.
    """

    retain: Examples
    forget: Examples
    classes: int
    recipe: Recipe
    network: Callable[[], nn.Module]
    target: Target = CLASSIFICATION
    extra: Any = None
    instead: Examples | None = None

    @property
    def trained(self) -> int:
        """How many examples the models were trained on."""
        return len(self.retain) + len(self.forget) - (len(self.instead) if self.instead else 0)

    @property
    def retraining(self) -> int:
        """Forward and backward passes of single examples that one retraining takes."""
        return self.recipe.passes * len(self.retain)


@dataclass(frozen=True, eq=False, kw_only=True)
class Suite:
    """A task on which methods are scored. Raise ``version`` when ``network`` changes what it computes."""

    name: str
    version: int
    data: Data
    network: Callable[[], nn.Module]
    recipe: Recipe
    forget_sets: ForgetSets | Mapping[str, Any]  # what it is made of; it becomes ForgetSets
    derive: Callable[[ndarray, ndarray], ForgetSets] | None = None  # further forget sets, from `subsets`
    models: int  # how many pretrained models, and oracles of each forget set, the suite has
    subsets: int = 0  # how many models trained on random halves
    chunk: int = 25  # models that train together: fixed, for bytes depend on it
    architecture: str = ""  # names the network in the digest; default: its repr, which versions of torch may change
    images: tuple[int, int] | None = None  # height and width, where an input can be shown as a picture
    published: bool = False  # whether `expunge fetch` finds its ensembles at the hub
    place: str = ""  # the file.py:function it was loaded from, where it is the user's own

    def __post_init__(self) -> None:
        for each in ("version", "models", "subsets", "chunk"):
            object.__setattr__(self, each, plain(getattr(self, each)))  # a number of numpy's is no JSON
        require_kinds(self)
        if self.models < 1 or self.subsets < 0 or self.chunk < 1:
            raise BadSetting(
                f"suite {self.name!r}: expected at least 1 model in all and in a chunk, got models={self.models}, "
                f"subsets={self.subsets}, chunk={self.chunk}"
            )
        object.__setattr__(self, "forget_sets", ForgetSets(self.forget_sets).fitting(self.data.sizes[0], self.name))
        object.__setattr__(self, "network", Sized(inner(self.network), self.data))

    def __getstate__(self) -> dict[str, object]:
        """A suite from a file of the user's own is pickled with its classes and functions: workers cannot import it."""
        if not self.place:
            return self.__dict__
        _ = self.digest  # of its source, which a worker cannot read
        return {"packed": cloudpickle.dumps(self.__dict__)}

    def __setstate__(self, state: dict[str, object]) -> None:
        packed = state.get("packed")
        self.__dict__.update(cloudpickle.loads(packed) if isinstance(packed, bytes) else state)

    def _repr_html_(self) -> str:
        """What a notebook shows: its forget sets."""
        return suite_as_html(self)

    @property
    def target(self) -> Target:
        """What is predicted, and how it is judged."""
        return self.data.target

    @property
    def address(self) -> str:
        """What :func:`load_suite` finds it by."""
        return self.place or self.name

    def pruned(self, prune: str) -> "Suite":
        """The suite whose models are sparse: ``METHOD:SPARSITY``, such as ``omp:0.95``, in its recipe.

        Pretrained models and oracles both find their masks on what they are trained on. It is a suite of its own, found
        by its address and ``@omp-0.95``; its forget sets are those of this one. At a sparsity of 0 it is this one.
        """
        if self.recipe.prune:
            raise BadSetting(f"suite {self.name!r} is pruned already: expected one --prune or one @METHOD-SPARSITY")
        pruning = Pruning.parse(prune)
        if not pruning.sparsity:
            return self
        mark = f"@{pruning.method}-{pruning.sparsity!r}"
        return replace(
            self,
            name=self.name + mark,
            place=self.place and self.place + mark,
            recipe=replace(self.recipe, prune=prune),
            derive=None,
            subsets=0,
            published=False,
        )

    def check(self) -> None:
        """Refuse a network that does not give one number for each class; two examples are run through a new one."""
        network, other = self._new_network(), self._new_network()
        if network is other:
            raise BadSetting(f"suite {self.name!r}: expected network() to make a new module at each call, got the same")
        if self.recipe.prune:
            prunable(network)
        for part, name in ((self.data.train, "train"), (self.data.test, "test")):
            require_finite(part.x, f"suite {self.name!r}, inputs to {name}")
            for size in (2, 1):  # a batch of one, as methods and last minibatches have
                self._check_output(network.eval(), part.take(np.arange(min(size, len(part)))))

    def _new_network(self) -> nn.Module:
        try:
            with torch.random.fork_rng(devices=[]):  # building a network draws its initial weights
                network = self.network()
            require_trainable(network)
            return network
        except BadSetting as error:
            raise BadSetting(f"suite {self.name!r}: {error}") from error
        except Exception as error:  # the user's function may raise anything
            reason = f"{type(error).__name__}: " + str(error).partition("\n")[0]
            raise BadSetting(f"suite {self.name!r}: network() raised {reason}") from error

    def _check_output(self, network: nn.Module, examples: Examples) -> None:
        x, expected = examples.x, self.target.output_shape(examples.y, self.data.classes)
        failure: Exception | None = None
        with made_within(network) as made:
            try:
                with torch.no_grad():
                    logits = network(x.clone())  # which it may change in place
            except Exception as error:  # the user's network may raise anything
                failure = error
        if made:  # for it may be what failed
            raise BadSetting(
                f"suite {self.name!r}: the network makes {made[0]} in its forward, which no optimizer would know of; "
                "make it in __init__, of lazy layers such as nn.LazyLinear where sizes are not known"
            )
        if failure is not None:
            reason = f"{type(failure).__name__} on an input of {tuple(x.shape)}: " + str(failure).partition("\n")[0]
            raise BadSetting(f"suite {self.name!r}: the network raised {reason}{advice_on(failure, x)}") from failure
        found = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        if found != expected:
            axes = "(batch, classes)" if len(expected) == 2 else "(batch, ..., classes)"
            raise BadSetting(
                f"suite {self.name!r}: expected the network to turn an input of {tuple(x.shape)} into logits of "
                f"{expected}, {axes}, got {found}"
            )
        try:
            require_steady(network, x)
        except BadSetting as error:
            raise BadSetting(f"suite {self.name!r}: {error}") from error
        if len(x) > 1 and looks_like_shares(logits):
            warn(
                f"suite {self.name!r}: the network's outputs look like shares that sum to 1, as after a softmax; "
                "logits are expected, before any softmax"
            )

    @cached_property
    def digest(self) -> str:
        """First 16 hexadecimal digits of the SHA-256 of all that changes a trained weight.

        Of a suite in a file of one's own that is also the source of its network: another forward, another digest.
        """
        network = self._new_network()
        shapes = {key: list(value.shape) for key, value in network.state_dict().items()}
        recipe = {**self.recipe.facts, "chunk": self.chunk}
        facts = [self.name, self.version, self.data.sha256, self.architecture or repr(network), shapes, recipe]
        if self.target != CLASSIFICATION:  # of which a suite of before did not speak
            facts += [self.target.name, source_of(type(self.target))]
        if self.place:
            facts.append(source_of(inner(self.network)))
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]

    def forget_set(self, given: object) -> ForgetSet:
        """A forget set as it is, by its name, or of whatever one can be made: indices or a boolean mask."""
        if isinstance(given, ForgetSet):
            given.require_fit(self.data.sizes[0], self.name)
            return given
        if isinstance(given, str):
            return ForgetSets(self.forget_sets).fitted(given)
        made, kind = (given.made or GIVEN, given.kind) if isinstance(given, Chosen) else (GIVEN, "")
        return ForgetSet("given", checked(given, self.data.sizes[0], "forget set"), made, kind)

    def retain(self, forget: ForgetSet) -> Int[ndarray, " retain"]:
        """Indices of the training examples outside ``forget``."""
        train, _ = self.data.sizes
        forget.require_fit(train, self.name)
        return np.setdiff1d(np.arange(train), forget.indices)

    def columns(self, forget: ForgetSet) -> dict[SplitName, Int[ndarray, " columns"]]:
        """Columns of the margins that belong to each split: forget, retain, test."""
        return {split: self.columns_of(examples) for split, examples in self.parts(forget).items()}

    def parts(self, forget: ForgetSet) -> dict[SplitName, Int[ndarray, " examples"]]:
        """The examples of each split, numbered train then test."""
        train, total = self.data.sizes[0], self.data.examples
        return {"forget": forget.indices, "retain": self.retain(forget), "test": np.arange(train, total)}

    def columns_of(self, examples: Int[ndarray, " examples"]) -> Int[ndarray, " columns"]:
        """Columns of the margins of these examples, numbered train then test, rising."""
        return np.flatnonzero(np.isin(self.data.owners, examples))

    def request(self, forget: ForgetSet, owner: str = "") -> Request:
        """The honest request to remove a forget set: its examples as they lie in the training data."""
        self.retain(forget)  # refuses one that does not fit
        return Request(self.data.train.take(forget.indices), forget.indices, owner)

    def split(self, forget: "ForgetSet | Request", gone: Int[ndarray, " gone"] | None = None) -> Split:
        """The view of the data that an unlearning method gets: of a forget set, or of any request.

        What is forgotten are the examples that a request holds, what is kept all but those at the indices it claims:
        of an honest request that is one and the same. Examples that are ``gone``, removed by earlier requests, are in
        neither. What a request puts in their place is kept.
        """
        request = forget if isinstance(forget, Request) else self.request(forget)
        keep = np.setdiff1d(np.arange(self.data.sizes[0]), request.indices)
        keep = keep if gone is None else np.setdiff1d(keep, gone)
        retain, instead = self.data.train.take(keep), request.instead
        if instead is not None:
            retain = Examples(torch.cat([retain.x, instead.x]), torch.cat([retain.y, instead.y]))
        return Split(
            retain,
            request.examples,
            self.data.classes,
            self.recipe,
            self.network,
            self.target,
            instead=instead,
        )
