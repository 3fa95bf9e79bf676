"""Where an ensemble comes from, how it was made, and the work that it has done."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch

from expunge.errors import CostsTooMuch, MismatchedEnsembles
from expunge.records import Setting

Kind = Literal["pretrained", "oracle", "subset", "sharded", "logged", "unlearned"]


@dataclass(frozen=True)
class Making:
    """How an unlearned ensemble was made: by which method, with which settings, at what cost.

    ``cost`` is the share of one retraining, ``seconds`` those of work for one model; ``alarms`` say why its models are
    not to be read as having forgotten.
    """

    method: str
    settings: Mapping[str, Setting]
    seed: int
    epoch: int
    cost: float
    seconds: float
    alarms: tuple[str, ...] = ()


@dataclass(frozen=True)
class Origin:
    """Where an ensemble comes from: what two ensembles must share to be compared."""

    suite: str  # its name, or the file.py:function of one's own
    digest: str
    kind: Kind
    forget_set: str | None  # name and digest of the indices; None for models that saw all examples
    models: tuple[int, ...]  # numbers of the models within their kind
    made: "Making | None" = None  # for kind "unlearned"

    def told(self) -> str:
        """How many models of what, in a few words."""
        what = f"models unlearned by {self.made.method}" if self.made else f"{self.kind} models"
        numbers = f", numbers {self.models[0]} to {self.models[-1]}" if self.models else ""
        forget = f", without {self.forget_set}" if self.forget_set and self.kind == "oracle" else ""
        forget = f", to forget {self.forget_set}" if self.forget_set and self.made else forget
        return f"{len(self.models)} {what} of suite {self.suite!r} ({self.digest}){forget}{numbers}"

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

    A forward pass that autograd records counts as 3: going backward costs about twice as much as going forward. The
    pass that goes beyond ``most`` raises :class:`~expunge.errors.CostsTooMuch`. ``seconds`` is what a method of the
    user's own may take for one model; ``away`` the seconds that passed and are no work of the method. Of one of the
    user's own, whose passes are not all seen, ``cpu`` is the CPU time as a share of one retraining's, summed over
    models, and ``alarms`` say what was noticed.
    """

    units: int = 0
    most: float = math.inf
    seconds: float | None = None
    away: float = 0.0
    cpu: float = 0.0
    alarms: tuple[str, ...] = ()

    def count(self, examples: int) -> None:
        self.units += 3 * examples if torch.is_grad_enabled() else examples
        if self.units > self.most:
            raise CostsTooMuch
