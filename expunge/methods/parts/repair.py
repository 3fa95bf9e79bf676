"""Ordinary fine-tuning of what is released: it reads retained examples alone, so no claim changes by it."""

from dataclasses import dataclass

from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.seeds import Generators
from expunge.methods.parts.privacy import Privacy
from expunge.methods.parts.walks import Walk, descend_from, passes, require, training_loss
from expunge.methods.spaces import Between
from expunge.suites.suite import Split

REPAIR_SEARCH = {"repair_epochs": Between(0, 8, whole=True), "repair_lr": Between(1e-3, 1.0, log=True)}


@dataclass(frozen=True, kw_only=True)
class Repair(Privacy):
    """Epochs of SGD with momentum 0.9 in batches of 64 on what is kept, after the last noise; 0 for none."""

    repair_epochs: int = 0
    repair_lr: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.repair_epochs >= 0, "repair_epochs must be at least 0", self.repair_epochs)
        require(self.repair_lr > 0, "repair_lr must be above 0", self.repair_lr)


def repaired(ensemble: Ensemble, split: Split, cfg: Repair, rng: Generators) -> Ensemble:
    """The models after the epochs; running statistics follow retained batches."""
    if not cfg.repair_epochs:
        return ensemble
    walk = Walk(epochs=cfg.repair_epochs, lr=cfg.repair_lr)
    *_, student = descend_from(ensemble.copy(), walk, passes(training_loss(split), split.retain, walk, rng))
    return student
