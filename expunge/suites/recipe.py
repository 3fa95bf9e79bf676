"""How one model is trained, in one frozen record."""

import math
from dataclasses import dataclass, fields
from typing import Literal, get_args

from expunge.errors import BadSetting

Augment = Literal["none", "flip", "flip-crop"]
Precision = Literal["float32", "bfloat16"]


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

    def __post_init__(self) -> None:
        rules = {
            "epochs": (isinstance(self.epochs, int) and self.epochs >= 1, "a whole number of at least 1"),
            "batch_size": (isinstance(self.batch_size, int) and self.batch_size >= 1, "a whole number of at least 1"),
            "lr": (0 < self.lr < math.inf, "a number above 0"),
            "momentum": (0 <= self.momentum < 1, "a number in [0, 1)"),
            "weight_decay": (0 <= self.weight_decay < math.inf, "a number of at least 0"),
            "warmup": (0 <= self.warmup <= 1, "a share of the steps, in [0, 1]"),
            "label_smoothing": (0 <= self.label_smoothing < 1, "a number in [0, 1)"),
            "augment": (self.augment in get_args(Augment), f"one of {', '.join(get_args(Augment))}"),
            "precision": (self.precision in get_args(Precision), f"one of {', '.join(get_args(Precision))}"),
        }
        for name, (holds, expected) in rules.items():
            if not holds:
                raise BadSetting(f"recipe: expected {name} to be {expected}, got {getattr(self, name)!r}")

    @property
    def facts(self) -> dict[str, object]:
        """All settings, but for younger ones at their defaults: a suite keeps its digest when a setting is added."""
        young = ("from_zero", "label_smoothing", "decay_norm", "augment", "precision")
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
