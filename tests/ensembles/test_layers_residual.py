"""Networks with residual connections: trained together, they are what they are trained one by one."""

from collections.abc import Callable, Sequence

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from expunge.ensembles import Ensemble, Origin
from expunge.ensembles.layers import LAYERS
from expunge.ensembles.seeds import Generators
from expunge.ensembles.train import train
from expunge.suites import Examples, Recipe
from expunge.suites.networks import AsFloat, Residual, Scale

RECIPE = Recipe(epochs=2, batch_size=8, lr=0.1, weight_decay=5e-3)
MODELS, EXAMPLES = 3, 19


def block(channels: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels), nn.ReLU())


def residual() -> nn.Module:
    """An identity and a projected shortcut, one inside the other, and the parts of ResNet-9."""
    projected = Residual(
        nn.Sequential(nn.Conv2d(4, 6, 3, stride=2, padding=1), Residual(block(6))),
        nn.Sequential(nn.Conv2d(4, 6, 1, stride=2, bias=False), nn.BatchNorm2d(6)),
    )
    head = [nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(6, 3, bias=False), Scale(0.2)]
    return nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), Residual(block(4)), projected, nn.ReLU(), *head)


@pytest.fixture
def data() -> Examples:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(EXAMPLES, 2, 4, 4, dtype=torch.float64, generator=generator)
    return Examples(x, torch.randint(3, (EXAMPLES,), generator=generator))


def one_by_one(network: nn.Module, data: Examples, orders: Tensor) -> nn.Module:
    """The plain PyTorch loop on one model; ``orders`` is (epochs, examples)."""
    optimizer = torch.optim.SGD(network.train().parameters(), lr=0.1, momentum=0.9, weight_decay=RECIPE.weight_decay)
    batches = [rows for order in orders for rows in order.split(RECIPE.batch_size)]
    for step, rows in enumerate(batches):
        optimizer.param_groups[0]["lr"] = RECIPE.lr_at(step, len(batches))
        optimizer.zero_grad()
        F.cross_entropy(network(data.x[rows]), data.y[rows]).backward()
        optimizer.step()
    return network


def stack(networks: Sequence[nn.Module]) -> Ensemble:
    return Ensemble.stack(networks, Origin("test", "0", "pretrained", None, tuple(range(len(networks)))), (2, 4, 4))


def test_stacked_training_of_residual_networks_is_training_one_by_one(data: Examples) -> None:
    torch.manual_seed(0)
    networks = [residual().double() for _ in range(MODELS)]
    drawn = Generators(range(MODELS))
    orders = torch.stack([drawn.permutation(EXAMPLES) for _ in range(RECIPE.epochs)], dim=1)
    rows = torch.arange(EXAMPLES).expand(MODELS, -1)

    stacked = train(stack(networks), data, rows, RECIPE, Generators(range(MODELS)))

    for index, each in enumerate(networks):
        expected, found = one_by_one(each, data, orders[index]).state_dict(), stacked[index].state_dict()
        assert expected.keys() == found.keys()
        for key, tensor in expected.items():
            torch.testing.assert_close(found[key], tensor, rtol=0, atol=1e-10, msg=key)


@pytest.mark.parametrize("layer", [Residual, Scale, AsFloat])
def test_the_rules_give_what_vmap_gives(
    layer: type[nn.Module], data: Examples, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In evaluation mode, where vmap can run BatchNorm too."""
    build: Callable[[], nn.Module] = (
        residual if layer is not AsFloat else lambda: nn.Sequential(AsFloat(), nn.Flatten())
    )
    torch.manual_seed(0)
    networks = [nn.Sequential(build(), nn.LazyLinear(3)) for _ in range(2)]
    for network in networks:
        network(data.x[:2].float())
    ensemble = stack(networks).eval()
    quick = ensemble(data.x.float())
    monkeypatch.delitem(LAYERS, layer)
    torch.testing.assert_close(ensemble(data.x.float()), quick)
