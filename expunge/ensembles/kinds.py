"""The kinds of ensembles that are built: how each is trained, named, stored and read, in one row each."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy import ndarray
from torch import Tensor

from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.origin import Kind
from expunge.ensembles.plan import Plan
from expunge.ensembles.shards import train_shards
from expunge.ensembles.update_log import train_logged
from expunge.ensembles.whole_models import train_halves, train_whole

# The models as they are measured, arrays that are kept beside their margins, and their weights.
Made = tuple[Ensemble, dict[str, ndarray], dict[str, Tensor]]


@dataclass(frozen=True)
class EnsembleKind:
    """One row of KINDS."""

    summary: str
    folder: str  # below the suite's in a store
    train: Callable[[Plan, Sequence[int], torch.device], Made]
    keeps_weights: bool = False  # always; the others where they are asked for, in a folder of their own
    of_a_forget_set: bool = False  # whether there is an ensemble for each
    dense_only: bool = False  # whether it cannot follow a recipe that prunes
    exact: bool = True  # margins are kept in float32, beside what was correct; else in float16 alone
    benched: bool = False  # whether every bench needs it: messages then count the models that are asked for

    def arrays(
        self, margins: Float[Tensor, "models columns"], correct: Bool[Tensor, "models columns"]
    ) -> dict[str, ndarray]:
        """Margins as they are stored."""
        if not self.exact:
            return {"margins": margins.numpy().astype(np.float16)}
        return {"margins": margins.numpy(), "correct": np.packbits(correct.numpy(), axis=1)}


KINDS: dict[Kind, EnsembleKind] = {
    "pretrained": EnsembleKind("trained on all examples", "pretrained", train_whole, keeps_weights=True, benched=True),
    "oracle": EnsembleKind("trained without a forget set", "oracles", train_whole, of_a_forget_set=True, benched=True),
    "subset": EnsembleKind("each trained on a random half", "subsets", train_halves, exact=False),
    "sharded": EnsembleKind(
        "votes of constituents that were trained on shards, for SISA",
        "sharded",
        train_shards,
        keeps_weights=True,
        dense_only=True,
    ),
    "logged": EnsembleKind(
        "the pretrained ones with the updates that a forget set had a part in, for amnesiac unlearning",
        "logged",
        train_logged,
        keeps_weights=True,
        of_a_forget_set=True,
        dense_only=True,
    ),
}
