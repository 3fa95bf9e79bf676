"""Methods that train the last layers, or all: a network of two linear layers, whose weights are drawn by hand."""

import dataclasses

import torch
from torch import Tensor, nn

from expunge.ensembles import Ensemble, Origin
from expunge.ensembles.seeds import Generators
from tests.methods.equations.case import MEASURED, Case
from tests.methods.equations.toy import RETAIN, SPLIT, W, config_of, method_of

BODY = torch.tensor([[0.5, -1.0], [2.0, 0.25]], dtype=torch.float64)
DECAY = SPLIT.recipe.weight_decay
RATE = SPLIT.recipe.lr_at(0, 1)  # of the only step


def network() -> nn.Module:
    """Two inputs, as many within, three classes, weights newly drawn."""
    body, head = (nn.Linear(2, width, bias=False, dtype=torch.float64) for width in (2, 3))
    return nn.Sequential(body, nn.Sequential(head))


def run(name: str, settings: dict[str, float], models: int = 2) -> list[list[Tensor]]:
    """The weights of both layers of each model after the last epoch."""
    start, split = network(), dataclasses.replace(SPLIT, network=network)
    start.load_state_dict({"0.weight": BODY, "1.0.weight": W})
    origin = Origin("test", "0", "pretrained", None, tuple(range(models)))
    stack = Ensemble.stack([start] * models, origin, (2,))
    *_, last = method_of(name)(stack, split, config_of(name, settings), Generators(range(models)))
    assert all(parameter.requires_grad for parameter in last.parameters())
    return [list(each) for each in zip(last.state()["0.weight"], last.state()["1.0.weight"], strict=True)]


def gradients(body: Tensor, head: Tensor) -> tuple[Tensor, Tensor]:
    """Of the cross-entropy of ``head body x`` on the retained example: ``H^T (p - e) x^T`` and ``(p - e) (B x)^T``."""
    x = RETAIN.x[0]
    error = (head @ body @ x).softmax(0)
    error[0] -= 1
    return (head.T @ error)[:, None] * x, error[:, None] * (body @ x)


def drawn(model: int, *shapes: tuple[int, int]) -> list[Tensor]:
    """What linear layers of these shapes draw one after the other: uniform in ``+-1 / sqrt(inputs)``."""
    seed = int(Generators([model]).integers(2**62, 1))
    generator = torch.Generator().manual_seed(seed)
    return [
        (2 * torch.rand(*shape, generator=generator, dtype=torch.float64) - 1) / shape[1] ** 0.5 for shape in shapes
    ]


def require(found: list[list[Tensor]], *expected: tuple[Tensor, Tensor]) -> None:
    for layers, wanted in zip(found, expected, strict=True):
        for layer, each in zip(layers, wanted, strict=True):
            torch.testing.assert_close(layer, each, rtol=0, atol=1e-12)


def check_fine_tune(name: str) -> None:
    body, head = BODY, W
    for _ in range(2):  # a pull back to where it began shows in the second step only
        down = gradients(body, head)
        body, head = body - 0.1 * down[0], head - 0.1 * down[1]
    require(run(name, {"epochs": 2, "lr": 0.1, "momentum": 0.0}), *[(body, head)] * 2)


def check_cf_k(name: str) -> None:
    head = W
    for _ in range(2):
        head = head - 0.1 * gradients(BODY, head)[1]
    require(run(name, {"layers": 1, "epochs": 2, "lr": 0.1, "momentum": 0.0}), *[(BODY, head)] * 2)


def check_eu_k(name: str) -> None:
    heads = [drawn(model, (2, 2), (3, 2))[1] for model in range(2)]  # of a whole network, its last layer
    after = [head - RATE * (gradients(BODY, head)[1] + DECAY * head) for head in heads]
    require(run(name, {"layers": 1, "passes": 0}), *[(BODY, head) for head in after])


def check_retrain(name: str) -> None:
    expected = []
    for model in range(2):
        body, head = drawn(model, (2, 2), (3, 2))
        down = gradients(body, head)
        expected.append((body - RATE * (down[0] + DECAY * body), head - RATE * (down[1] + DECAY * head)))
    require(run(name, {}), *expected)


FROZEN = frozenset({MEASURED})  # all of BatchNorm lies before the last layer
CASES = {
    "fine-tune": Case(
        check_fine_tune,
        lambda n: n.epochs * n.retain,
        refused=[{"epochs": 0}, {"lr": 0.0}, {"momentum": 1.0}, {"batch_size": 0}],
    ),
    "cf-k": Case(
        check_cf_k,
        lambda n: n.epochs * n.retain,
        refused=[{"layers": -1}],
        last_layers=True,
        moves_statistics=False,
        passes=FROZEN,
    ),
    "eu-k": Case(
        check_eu_k,
        lambda n: 2 * n.retain,
        refused=[{"layers": -1}, {"passes": -1}],
        last_layers=True,
        moves_statistics=False,
        passes=FROZEN,
    ),
    "retrain": Case(check_retrain, lambda n: n.retraining_epochs * n.retain),
}
