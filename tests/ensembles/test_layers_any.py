"""Ordinary networks, stacked: forward, gradients and training equal those of the models one by one."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from expunge.ensembles.chance import kept
from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.origin import Origin
from expunge.ensembles.plan import new_networks
from expunge.ensembles.seeds import Generators
from expunge.ensembles.train import train
from expunge.suites import Examples, Recipe
from expunge.suites.networks import Residual

SHAPE, CLASSES, MODELS = (2, 6, 6), 3, 3


class View(nn.Module):
    """As the models of many public codes flatten."""

    def forward(self, x: Tensor) -> Tensor:
        return x.view(x.size(0), -1)


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.head = nn.Linear(72, 72), nn.Linear(72, 72), nn.Linear(72, CLASSES)
        self.second.weight = self.first.weight

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(torch.tanh(self.second(torch.tanh(self.first(x.flatten(1))))))
        return out


class Aliased(nn.Module):
    """A layer under a name of its own and in a row, as many write who look at it later."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.head = nn.Linear(72, 8), nn.Linear(8, CLASSES)
        self.net = nn.Sequential(self.first, nn.Tanh(), self.head)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.net(x.flatten(1))
        return out


class Siamese(nn.Module):
    """One part under two names, with statistics, and both are used."""

    def __init__(self) -> None:
        super().__init__()
        self.left = nn.Sequential(nn.Linear(36, 8), nn.BatchNorm1d(8), nn.Tanh())
        self.right, self.head = self.left, nn.Linear(16, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        left, right = x.flatten(2).unbind(1)
        out: Tensor = self.head(torch.cat([self.left(left), self.right(right)], 1))
        return out


class Checkpointed(nn.Module):
    """What is dropped within a checkpoint too."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.head = nn.Linear(72, 8), nn.Linear(8, CLASSES)

    def middle(self, x: Tensor) -> Tensor:
        return F.dropout(torch.tanh(self.first(x)), 0.3, self.training)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(checkpoint(self.middle, x.flatten(1), use_reentrant=False))
        return out


class Halved(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.mul_(0.5)


class InPlaceBranches(nn.Module):
    """It changes its input, and asks a number what to do."""

    def forward(self, x: Tensor) -> Tensor:
        x += 0.25
        return (x if float(x.detach().sum()) > 0 else x * 2).flatten(1)


def twice() -> nn.Module:
    layer = nn.Linear(72, 72)
    return nn.Sequential(nn.Flatten(), layer, nn.Tanh(), layer, nn.Tanh(), nn.Linear(72, CLASSES))


class Recurrent(nn.Module):
    def __init__(self, kind: type[nn.LSTM | nn.GRU], **settings: float) -> None:
        super().__init__()
        self.cells, self.head = kind(12, 5, batch_first=True, **settings), nn.Linear(5, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        states, _ = self.cells(x.transpose(1, 2).flatten(2))
        out: Tensor = self.head(states[:, -1])
        return out


class First(nn.Module):
    def forward(self, given: tuple[Tensor, Tensor]) -> Tensor:
        return given[0][:, -1]


class Drops(nn.Module):
    """Dropout as a module inside a module, and as a function."""

    def __init__(self) -> None:
        super().__init__()
        self.drop, self.body, self.head = nn.Dropout(0.3), nn.Linear(72, 8), nn.Linear(8, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(F.dropout(torch.relu(self.body(self.drop(x.flatten(1)))), 0.4, self.training))
        return out


class Noisy(nn.Module):
    """Chance that is no dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(72, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(1)
        out: Tensor = self.head(x + torch.randn_like(x) if self.training else x)
        return out


class Branches(nn.Module):
    """What vmap cannot do: a step that depends on the numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.head = nn.BatchNorm1d(72), nn.Linear(72, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(x.flatten(1))
        out: Tensor = self.head(x if x.sum().item() > 0 else -x)
        return out


class AliasedBranches(Branches):
    """A layer of two names, model by model."""

    def __init__(self) -> None:
        super().__init__()
        self.last = self.head


class InPlace(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(72, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(1) * 1
        x += 1
        x[:, 0] = 0
        out: Tensor = self.head(x)
        return out


def frozen() -> nn.Module:
    network = nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, CLASSES))
    network[0].requires_grad_(False)
    return network


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "view after a convolution": lambda: nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), View(), nn.Linear(64, CLASSES)),
    "group norm": lambda: nn.Sequential(nn.Conv2d(2, 4, 3), nn.GroupNorm(2, 4), nn.Flatten(), nn.Linear(64, CLASSES)),
    "layer norm": lambda: nn.Sequential(nn.Flatten(), nn.LayerNorm(72), nn.Linear(72, CLASSES)),
    "layer norm of pictures": lambda: nn.Sequential(
        nn.Conv2d(2, 4, 3), nn.LayerNorm([4, 4, 4]), nn.Flatten(), nn.Linear(64, CLASSES)
    ),
    "rms norm": lambda: nn.Sequential(nn.Flatten(), nn.RMSNorm(72), nn.Linear(72, CLASSES)),
    "instance norm": lambda: nn.Sequential(
        nn.Conv2d(2, 4, 3), nn.InstanceNorm2d(4, affine=True), nn.Flatten(), nn.Linear(64, CLASSES)
    ),
    "one-dimensional convolution": lambda: nn.Sequential(
        nn.Flatten(2), nn.Conv1d(2, 3, 3), nn.BatchNorm1d(3), nn.Flatten(), nn.Linear(102, CLASSES)
    ),
    "transposed convolution": lambda: nn.Sequential(
        nn.ConvTranspose2d(2, 3, 2), nn.Flatten(), nn.Linear(147, CLASSES)
    ),
    "dropout": lambda: nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(72, CLASSES)),
    "dropout of channels": lambda: nn.Sequential(
        nn.Conv2d(2, 8, 3), nn.Dropout2d(0.5), nn.Flatten(), nn.Linear(128, CLASSES)
    ),
    "dropout within": Drops,
    "alpha dropout": lambda: nn.Sequential(nn.Flatten(), nn.AlphaDropout(0.3), nn.Linear(72, CLASSES)),
    "noise": Noisy,
    "branches": Branches,
    "in place": InPlace,
    "relu in place, first": lambda: nn.Sequential(nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(72, CLASSES)),
    "tied": Tied,
    "an alias": Aliased,
    "an alias, both used": Siamese,
    "an alias, model by model": AliasedBranches,
    "one layer twice in a row": twice,
    "frozen": frozen,
    "lstm": lambda: Recurrent(nn.LSTM),
    "gru of two layers with dropout": lambda: Recurrent(nn.GRU, num_layers=2, dropout=0.2),
    "lstm in a row": lambda: nn.Sequential(
        nn.Flatten(2), nn.LSTM(36, 5, batch_first=True), First(), nn.Linear(5, CLASSES)
    ),
    "weight norm": lambda: nn.Sequential(
        nn.Flatten(), nn.utils.parametrizations.weight_norm(nn.Linear(72, 8)), nn.Linear(8, CLASSES)
    ),
    "spectral norm": lambda: nn.Sequential(
        nn.Flatten(), nn.utils.parametrizations.spectral_norm(nn.Linear(72, 8)), nn.Linear(8, CLASSES)
    ),
    "old weight norm": lambda: nn.Sequential(nn.Flatten(), old_weight_norm(nn.Linear(72, 8)), nn.Linear(8, CLASSES)),
    "a hook": lambda: hooked(nn.Sequential(nn.Flatten(), nn.Linear(72, 8), nn.ReLU(), nn.Linear(8, CLASSES))),
    "attention": lambda: nn.Sequential(
        nn.Flatten(2), nn.TransformerEncoderLayer(36, 4, 16, dropout=0.1, batch_first=True), nn.Flatten(),
        nn.Linear(72, CLASSES),
    ),
    "a checkpoint": Checkpointed,
    "in place, model by model": lambda: nn.Sequential(InPlaceBranches(), nn.Linear(72, CLASSES)),
    "a residual in place": lambda: nn.Sequential(
        nn.Conv2d(2, 2, 1), Residual(nn.Sequential(nn.ReLU(inplace=True), nn.Conv2d(2, 2, 1))), nn.Flatten(),
        nn.Linear(72, CLASSES),
    ),
    "a residual of ones own in place": lambda: nn.Sequential(
        nn.Conv2d(2, 2, 1), Residual(nn.Sequential(Halved(), nn.Conv2d(2, 2, 1))), nn.Flatten(), nn.Linear(72, CLASSES)
    ),
    "embedding": lambda: nn.Sequential(AsNumbers(), nn.Embedding(4, 3), nn.Flatten(), nn.Linear(216, CLASSES)),
}  # fmt: skip


class AsNumbers(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.detach().flatten(1).mul(10).long().remainder(4)


def old_weight_norm(layer: nn.Module) -> nn.Module:
    with pytest.warns(FutureWarning, match="weight_norm"):
        normed: nn.Module = nn.utils.weight_norm(layer)
    return normed


def hooked(network: nn.Module) -> nn.Module:
    network[1].register_forward_hook(lambda layer, inputs, output: 2 * output)  # type: ignore[index]
    return network


def ensemble_of(networks: list[nn.Module], first: int = 0) -> Ensemble:
    numbers = tuple(range(first, first + len(networks)))
    return Ensemble.stack(networks, Origin("test", "0", "pretrained", None, numbers), SHAPE)


def examples(count: int = 20) -> Examples:
    rng = torch.Generator().manual_seed(0)
    x = torch.rand(count, *SHAPE, generator=rng, dtype=torch.float64) - 0.5
    return Examples(x, torch.arange(count) % CLASSES)


def made(name: str) -> list[nn.Module]:
    return [network.double() for network in new_networks(NETWORKS[name], range(MODELS))]


@pytest.mark.parametrize("name", NETWORKS)
def test_training_stacked_equals_training_one_by_one(name: str) -> None:
    data, recipe = examples(), Recipe(epochs=2, batch_size=8, lr=0.05)
    networks = made(name)
    rows = torch.arange(len(data)).expand(MODELS, -1)
    together = train(ensemble_of(networks), data, rows, recipe, Generators(range(MODELS)))
    for model, network in enumerate(networks):
        alone = train(ensemble_of([network], first=model), data, rows[:1], recipe, Generators([model]))
        for key, tensor in alone.state().items():
            torch.testing.assert_close(together.state()[key][model], tensor[0], rtol=0, atol=1e-10)
        with torch.no_grad():
            torch.testing.assert_close(together(data.x)[model], alone(data.x)[0], rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_model_of_the_stack_is_the_networks_own(name: str) -> None:
    """In evaluation mode, as an ordinary module, with the ordinary names."""
    data, networks = examples(), made(name)
    stacked = ensemble_of(networks).eval()
    with torch.no_grad():
        found = stacked(data.x)
        for model, network in enumerate(networks):
            torch.testing.assert_close(found[model], network.eval()(data.x.clone()), rtol=0, atol=1e-10)
            torch.testing.assert_close(stacked[model].eval()(data.x.clone()), found[model], rtol=0, atol=1e-10)
            assert list(stacked[model].state_dict()) == list(network.state_dict())


@pytest.mark.parametrize("name", ["dropout", "dropout of channels", "dropout within", "noise", "alpha dropout"])
def test_models_and_passes_have_chance_of_their_own(name: str) -> None:
    data, network = examples(4), made(name)[0]
    stacked = ensemble_of([network] * 2).train()
    first, second = stacked(data.x), stacked(data.x)
    assert not torch.allclose(first[0], first[1])
    assert not torch.allclose(first, second)


def test_dropout_drops_its_share_and_keeps_the_mean() -> None:
    """Over many seeds and elements: a share of p, within four standard errors; neighbours are independent."""
    seeds = torch.randint(-(2**31), 2**31, (40,), dtype=torch.int32, generator=torch.Generator().manual_seed(0))
    for p in (0.1, 0.5, 0.9):
        found = kept(seeds, (100, 250), p).double().numpy()
        errors = (found.mean((1, 2)) - (1 - p)) / np.sqrt(p * (1 - p) / 25_000)
        assert abs(errors).max() < 4
        assert 0.6 < errors.std() < 1.4
        assert abs(np.corrcoef(found[:, :, :-1].ravel(), found[:, :, 1:].ravel())[0, 1]) < 0.005
        assert abs(np.corrcoef(found[:-1].ravel(), found[1:].ravel())[0, 1]) < 0.005


def test_an_error_of_the_network_is_said_in_its_own_words() -> None:
    class Wrong(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(7, CLASSES)

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = self.head(x.flatten(1))
            return out

    with pytest.raises(RuntimeError, match="mat1 and mat2 shapes cannot be multiplied"):
        ensemble_of([Wrong().double()])(examples().x)
