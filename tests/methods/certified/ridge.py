"""Ridge regression, whose minimum has a closed form: what every certified step should reach can be solved for."""

from dataclasses import replace

import torch
from jaxtyping import Bool, Float, Int
from numpy import arange, ndarray
from torch import Tensor, nn

from expunge.ensembles import Ensemble, Origin
from expunge.suites import Data, Examples, Recipe, Split, Target

DECAY, KEPT, LOST, FEATURES, MODELS = 0.05, 24, 6, 4, 3


class Squared(Target):
    """A number an example, and half of the squared error."""

    name = "squared"

    def check_labels(self, labels: Tensor, classes: int) -> None:
        """Any number is one."""

    def output_shape(self, labels: Tensor, classes: int) -> tuple[int, ...]:
        return len(labels), 1

    def loss(self, outputs: Tensor, labels: Tensor, smoothing: float = 0.0) -> Float[Tensor, " models"]:
        return (outputs[..., 0] - labels).square().mean(1) / 2

    def margins(self, outputs: Tensor, labels: Tensor) -> Float[Tensor, "models columns"]:
        return -(outputs[..., 0] - labels).abs()

    def correct(self, outputs: Tensor, labels: Tensor) -> Bool[Tensor, "models columns"]:
        return (outputs[..., 0] - labels).abs() < 1

    def owners(self, data: Data) -> Int[ndarray, " columns"]:
        return arange(data.examples)


def regressor() -> nn.Module:
    return nn.Sequential(nn.Linear(FEATURES, 1, bias=False)).double()


def regression(*, lost: int = LOST) -> Split:
    """Examples to keep and to forget; with ``lost`` 0 the former alone."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(KEPT + LOST, FEATURES, dtype=torch.float64, generator=generator)
    y = torch.randn(KEPT + LOST, dtype=torch.float64, generator=generator)
    parts = Examples(x[:KEPT], y[:KEPT]), Examples(x[KEPT : KEPT + lost], y[KEPT : KEPT + lost])
    recipe = Recipe(epochs=1, batch_size=8, lr=0.1, weight_decay=DECAY)
    return Split(*parts, 1, recipe, regressor, Squared())


def whole(split: Split) -> Examples:
    """All of the examples."""
    return Examples(torch.cat([split.retain.x, split.forget.x]), torch.cat([split.retain.y, split.forget.y]))


def optimum(examples: Examples, decay: float = DECAY) -> Tensor:
    """Where ``|X w - y|^2 / (2 n) + decay |w|^2 / 2`` is least."""
    x, y = examples.x, examples.y
    matrix = x.T @ x / len(y) + decay * torch.eye(x.shape[1], dtype=x.dtype)
    solved: Tensor = torch.linalg.solve(matrix, x.T @ y / len(y))
    return solved


def regressors(w: Tensor, models: int = MODELS) -> Ensemble:
    """The same weights, so many times; they know which models they are."""
    network = regressor()
    network.load_state_dict({"0.weight": w[None]})
    return Ensemble.stack([network] * models, Origin("t", "0", "pretrained", None, tuple(range(models))), (FEATURES,))


def without_decay(split: Split) -> Split:
    """The same, trained without a regulariser."""
    return replace(split, recipe=replace(split.recipe, weight_decay=0.0))
