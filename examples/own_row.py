"""A method of one's own in the library's form: settings and a generator over all models at once.

It is written as the rows of `expunge list methods` are, and runs as fast; it lies in a file of one's own, and not in
the package.

    expunge info examples/own_row.py:METHOD
    expunge bench digits --method examples/own_row.py:METHOD --set METHOD.beta=0.9 --forget-set class-3
    expunge tune examples/own_row.py:METHOD digits --kind class
"""

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor

from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.seeds import Generators
from expunge.ensembles.train import Batch
from expunge.methods.method import Method
from expunge.methods.needs import RETAIN_DATA
from expunge.methods.parts.walks import PairedWalk, descend, paired, training_loss
from expunge.methods.spaces import RATES, Between
from expunge.suites.suite import Split


@dataclass(frozen=True, kw_only=True)
class Capped(PairedWalk):
    """Minimise ``beta * CE(retain) - (1 - beta) * min(CE(forget), cap)``: nothing is gained beyond the cap."""

    epochs: int = 2
    lr: float = 0.01
    beta: float = 0.95
    cap: float = 2.3  # nats; that of a guess among ten classes

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.beta <= 1:
            raise ValueError(f"beta must lie in [0, 1], got {self.beta}")


def capped(ensemble: Ensemble, split: Split, cfg: Capped, rng: Generators) -> Iterator[Ensemble]:
    """Yield the ensemble after each pass over the retained examples; the loss has one value a model."""
    ce = training_loss(split)

    def loss(student: Ensemble, batch: tuple[Batch, Batch]) -> Tensor:
        retain, forget = batch
        return cfg.beta * ce(student, retain) - (1 - cfg.beta) * ce(student, forget).clamp(max=cfg.cap)

    yield from descend(ensemble, cfg, ([(loss, batches)] for batches in paired(split, cfg, rng)))


METHOD = Method(
    unlearn=capped,
    config=Capped,
    summary="descends on what is kept, ascends on the rest up to a cap",
    needs=(RETAIN_DATA,),
    search={"lr": RATES, "epochs": Between(1, 5, whole=True), "beta": Between(0.5, 1.0), "cap": Between(0.5, 5.0)},
)
