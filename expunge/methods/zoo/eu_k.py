"""EU-k, exact unlearning of the last k layers: draw them anew and train them again, all before them as it was."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch

from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.seeds import Generators
from expunge.ensembles.train import train
from expunge.errors import MethodFailed
from expunge.methods.method import Method
from expunge.methods.needs import RETAIN_DATA, SEVERAL_LAYERS
from expunge.methods.parts.last_layers import freeze_all_but, last_layers, thaw
from expunge.methods.parts.reset import new_seeds, reset_by_seeds
from expunge.methods.parts.walks import require
from expunge.methods.spaces import OneOf, Published
from expunge.suites.suite import Split


@dataclass(frozen=True, kw_only=True)
class EuK:
    """Draw the last ``layers`` layers anew and minimise ``CE(retain)`` over them, by the recipe of the suite.

    The schedule of the recipe is run through in ``passes`` epochs; 0 is as many as the recipe has. ``layers`` counts
    layers with parameters from the output, each with the normalisation that follows it; 0 is all. The layers before
    are frozen in evaluation mode, running statistics too. As many layers as the network has are refused: that is a
    retraining, and no model is left of the given one. Yields once, for a schedule ends where it ends. Goel et al. 2022,
    arXiv:2201.06640.
    """

    layers: int = 1
    passes: int = 2

    def __post_init__(self) -> None:
        require(self.layers >= 0, "layers must be at least 0", self.layers)
        require(self.passes >= 0, "passes must be at least 0", self.passes)


def eu_k(ensemble: Ensemble, split: Split, cfg: EuK, rng: Generators) -> Iterator[Ensemble]:
    """Yield the ensemble once, when its last layers are trained."""
    if len(last_layers(ensemble, cfg.layers)) == len(last_layers(ensemble, 0)):
        raise MethodFailed(
            f"layers={cfg.layers} is every layer of this network, so that nothing is left of the given models: that is "
            "a retraining; take fewer layers, or the method 'retrain'"
        )
    yield train_anew(ensemble, split, cfg, new_seeds(rng), rng)


def train_anew(ensemble: Ensemble, split: Split, cfg: EuK, seeds: Sequence[int], order: Generators) -> Ensemble:
    """First weights by ``seeds``, batches by ``order``; with all layers and a retraining's own, that retraining."""
    student = ensemble.copy()
    paths = last_layers(student, cfg.layers)
    reset_by_seeds(student, paths, split.network, seeds)
    recipe = replace(split.recipe, epochs=cfg.passes or split.recipe.epochs, prune="", rewind=None)
    rows = torch.arange(len(split.retain), device=student.device).expand(len(student), -1)
    train(
        student, split.retain, rows, recipe, order, after=lambda _: freeze_all_but(student, paths), target=split.target
    )
    return thaw(student, ensemble)


METHOD = Method(
    unlearn=eu_k,
    config=EuK,
    summary="draw the last layers anew and train them on the retained examples",
    cite=("goel2022",),
    needs=(RETAIN_DATA, SEVERAL_LAYERS),
    search={
        "layers": OneOf((1, 2, 3)),
        "passes": OneOf((0, 1, 2, 3, 5, 7, 10)),
    },
    published=(
        Published(
            "the authors' script, the fewest layers that it tries, for as many epochs as the training had",
            {"layers": 1, "passes": 0},
        ),
        Published("the authors of Unlearn-WorstCase, its issue 1", {"layers": 1, "passes": 10}),
    ),
    deviations="The authors' code lets running statistics of BatchNorm follow in frozen layers too, and draws anew "
    "convolutions and linear layers only, not BatchNorm's scale and shift. Costs count a whole pass backward, though "
    "it need not reach the frozen layers.",
)
