"""Retraining: new first weights, and the recipe of the suite on what is kept. What all others want to do for less."""

from collections.abc import Iterator
from dataclasses import dataclass

from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.seeds import Generators
from expunge.methods.method import Method
from expunge.methods.needs import RETAIN_DATA
from expunge.methods.parts.reset import new_seeds
from expunge.methods.zoo.eu_k import EuK, train_anew
from expunge.suites.suite import Split


@dataclass(frozen=True, kw_only=True)
class Retrain:
    """Draw all weights anew and minimise ``CE(retain)`` by the recipe of the suite, from seeds of its own.

    Its models differ from the oracles by their chance alone. Models that are sparse stay so: it is then retraining
    under the mask of the pretrained models.
    """


def retrain(ensemble: Ensemble, split: Split, cfg: Retrain, rng: Generators) -> Iterator[Ensemble]:
    """Yield the ensemble once, when it is trained."""
    yield train_anew(ensemble, split, EuK(layers=0, passes=0), new_seeds(rng), rng)


METHOD = Method(
    unlearn=retrain,
    config=Retrain,
    summary="train anew on the retained examples: the reference row, at full cost",
    cite=("georgiev2024",),
    needs=(RETAIN_DATA,),
    ranked=False,
    from_scratch=True,
)
