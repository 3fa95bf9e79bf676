"""Task vector negation: fine-tune on what is to be forgotten, and go the same way backward."""

from collections.abc import Iterator
from dataclasses import dataclass

from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.seeds import Generators
from expunge.methods.method import Method
from expunge.methods.needs import FORGET_DATA
from expunge.methods.parts.per_sample import flat_weights, with_weights
from expunge.methods.parts.task_vectors import task_vectors
from expunge.methods.parts.walks import Walk, require
from expunge.methods.spaces import Between, Published
from expunge.suites.suite import Split


@dataclass(frozen=True, kw_only=True)
class TaskVector(Walk):
    """``theta_0 - scale (theta_ft - theta_0)``, where theta_ft is fine-tuned from theta_0 on the forget set.

    With scale -1 it is the fine-tune itself. Ilharco et al. 2023, arXiv:2212.04089.
    """

    epochs: int = 2
    lr: float = 0.06
    scale: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.scale != 0, "scale must not be 0", self.scale)


def task_vector(ensemble: Ensemble, split: Split, cfg: TaskVector, rng: Generators) -> Iterator[Ensemble]:
    """Yield, for each epoch of fine-tuning, the ensemble less what was gained; its buffers stay."""
    start = flat_weights(ensemble)
    for gained in task_vectors(ensemble, split, cfg, rng):
        yield with_weights(ensemble, start - cfg.scale * gained)


METHOD = Method(
    unlearn=task_vector,
    config=TaskVector,
    summary="fine-tune on the forget set, and take the change of the weights away from them",
    cite=("ilharco2023",),
    needs=(FORGET_DATA,),
    search={
        "lr": Between(1e-4, 1.0, log=True),
        "scale": Between(0.1, 3.0, log=True),
        "epochs": Between(1, 20, whole=True),
    },
    published=(Published("the example of the authors' code, MNIST of a CLIP", {"scale": 0.5}),),
    deviations="The authors fine-tune large models with AdamW, and choose the scale by validation; here it is SGD. "
    "Running statistics of BatchNorm, which their models have none of, stay what they were.",
)
