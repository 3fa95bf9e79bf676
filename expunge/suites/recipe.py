"""How one model is trained, in one frozen record."""

import math
from dataclasses import dataclass, fields
from itertools import count, takewhile
from typing import Any, Literal, get_args

from expunge.errors import BadSetting
from expunge.suites.arrays import plain
from expunge.suites.pruning import Pruning

Augment = Literal["none", "flip", "flip-crop"]
Precision = Literal["float32", "bfloat16"]
Batches = Literal["shuffled", "fixed"]


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Minibatch SGD with momentum; step by step, the learning rate climbs linearly to ``lr``, then falls to 0."""

    epochs: int
    batch_size: int
    lr: float
    momentum: float = 0.9
    weight_decay: float = 5e-4
    warmup: float = 0.2  # share of all steps in which the learning rate climbs
    from_zero: bool = False  # the first step has rate 0, as in the published recipes; else the first above it
    label_smoothing: float = 0.0
    decay_norm: bool = True  # weight decay also on the scale and shift of normalisation layers
    augment: Augment = "none"  # left-right flips; and crops after padding by 4 pixels
    precision: Precision = "float32"  # of the forward pass; bfloat16 by autocast
    prune: str = ""  # METHOD:SPARSITY of what is pruned while it is trained, "" for nothing; see PRUNINGS
    rewind: int | None = None  # after which epoch pruned weights begin again; None: 8 of 182 epochs, at least 1
    batches: Batches = "shuffled"  # fixed: neighbours in the data share a batch in every epoch; its place is drawn

    def __post_init__(self) -> None:
        for each in fields(self):
            object.__setattr__(self, each.name, plain(getattr(self, each.name)))  # a number of numpy's is no JSON
        self._require_kinds()
        rules = {
            "epochs": (self.epochs >= 1, "a whole number of at least 1"),
            "batch_size": (self.batch_size >= 1, "a whole number of at least 1"),
            "lr": (0 < self.lr < math.inf, "a number above 0"),
            "momentum": (0 <= self.momentum < 1, "a number in [0, 1)"),
            "weight_decay": (0 <= self.weight_decay < math.inf, "a number of at least 0"),
            "warmup": (0 <= self.warmup <= 1, "a share of the steps, in [0, 1]"),
            "label_smoothing": (0 <= self.label_smoothing < 1, "a number in [0, 1)"),
            "augment": (self.augment in get_args(Augment), f"one of {', '.join(get_args(Augment))}"),
            "rewind": (self.rewind is None or 0 <= self.rewind < self.epochs, "an epoch before the last, from 0 on"),
            "batches": (self.batches in get_args(Batches), f"one of {', '.join(get_args(Batches))}"),
            "precision": (self.precision in get_args(Precision), f"one of {', '.join(get_args(Precision))}"),
        }
        for name, (holds, expected) in rules.items():
            if not holds:
                raise BadSetting(f"recipe: expected {name} to be {expected}, got {getattr(self, name)!r}")
        pruning = Pruning.parse(self.prune) if self.prune else None
        spelled = str(pruning) if pruning and pruning.sparsity else ""  # one way, so that one recipe has one digest
        object.__setattr__(self, "prune", spelled)

    def _require_kinds(self) -> None:
        """Refuse what is of another type than its field: a number in quotes is none, and neither is True."""
        kinds: dict[Any, tuple[Any, str]] = {
            int: (int, "a whole number of at least 1"),
            float: (int | float, "a number"),
            bool: (bool, "True or False"),
            str: (str, "a word"),
            int | None: (int | None, "a whole number, or None"),
        }
        for each in [each for each in fields(self) if each.type in kinds]:  # words of which there are few come later
            kind, expected = kinds[each.type]
            value = getattr(self, each.name)
            if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
                raise BadSetting(f"recipe: expected {each.name} to be {expected}, got {value!r:.80}")

    @property
    def pruning(self) -> Pruning | None:
        """What is pruned; None for nothing."""
        return Pruning.parse(self.prune) if self.prune else None

    @property
    def rewound(self) -> int:
        """After how many epochs the weights are as they are rewound to: 8 of 182 in Jia et al. 2023."""
        return min(max(1, round(self.epochs * 8 / 182)), self.epochs - 1) if self.rewind is None else self.rewind

    @property
    def passes(self) -> int:
        """How many times a model sees each of its examples until it is trained, pruning included."""
        pruning = self.pruning
        if pruning is None or pruning.method == "synflow":
            return self.epochs
        return self.epochs + len(self.rounds) * (self.epochs - self.rewound)

    @property
    def rounds(self) -> list[float]:
        """The sparsity after each pruning between trainings.

        >>> [round(each, 3) for each in Recipe(epochs=9, batch_size=1, lr=1.0, prune="imp:0.5").rounds]
        [0.2, 0.36, 0.488, 0.5]
        """
        pruning = self.pruning
        if pruning is None or pruning.method == "synflow":
            return []
        steps = (1 - 0.8**number for number in count(1)) if pruning.method == "imp" else iter(())
        return [*takewhile(lambda sparsity: sparsity < pruning.sparsity, steps), pruning.sparsity]

    @property
    def facts(self) -> dict[str, object]:
        """All settings, but for younger ones at their defaults: a suite keeps its digest when a setting is added."""
        young = ("from_zero", "label_smoothing", "decay_norm", "augment", "precision", "prune", "rewind", "batches")
        return {
            each.name: getattr(self, each.name)
            for each in fields(self)
            if each.name not in young or getattr(self, each.name) != each.default
        }

    def lr_at(self, step: int, steps: int) -> float:
        """Learning rate of ``step`` out of ``steps``, counted from 0; only with ``from_zero`` the first has rate 0.

        >>> r = Recipe(epochs=1, batch_size=1, lr=1.0, warmup=0.5)
        >>> [r.lr_at(step, 4) for step in range(4)]
        [0.5, 1.0, 0.6666666666666666, 0.3333333333333333]
        """
        peak = max(1, round(self.warmup * steps))
        if self.from_zero:
            return self.lr * min(step / peak, (steps - step) / max(1, steps - peak))
        return self.lr * min((step + 1) / peak, (steps - step) / (steps - peak + 1))
