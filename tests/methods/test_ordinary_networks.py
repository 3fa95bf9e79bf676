"""Laws over all methods, for networks that people have: frozen parts, tied weights, dropout, one example to forget."""

from collections.abc import Callable
from functools import cache, partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from expunge.bench.rebuild import rebuild
from expunge.ensembles import Ensemble, pretrain
from expunge.errors import MethodFailed
from expunge.methods import METHODS, configure, run_method
from expunge.methods.needs import SEVERAL_LAYERS
from expunge.suites import Data, Examples, ForgetSets, Recipe, Suite
from tests.turns import by_turns

BUILT = ["sisa", "amnesiac", "oracle-matching"]  # whose models of their own are built
RUN = [
    name
    for name, method in METHODS.items()
    if (method.unlearn and name in BUILT) or (method.unlearn and not (method.prepare and name != "unrolling-sgd"))
]


def blocks(*, dropout: float = 0.0) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 6, 2),
        nn.ReLU(),
        nn.Conv2d(6, 6, 2),
        nn.Flatten(),
        nn.Linear(24, 8),
        nn.BatchNorm1d(8),
        nn.ReLU(),
        *([nn.Dropout(dropout)] if dropout else []),
        nn.Linear(8, 3),
    )


def frozen() -> nn.Module:
    network = blocks()
    for parameter in network[0].parameters():  # type: ignore[index]
        parameter.requires_grad_(False)
    return network


class Tied(nn.Module):
    """Two linear layers with one weight."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.norm = nn.Conv2d(1, 6, 2), nn.BatchNorm1d(9)
        self.first, self.second, self.head = nn.Linear(54, 9), nn.Linear(9, 9), nn.Linear(9, 3)
        self.third = nn.Linear(9, 9)
        self.third.weight = self.second.weight

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.norm(self.first(self.body(x).flatten(1))))
        out: Tensor = self.head(torch.relu(self.third(torch.relu(self.second(x)))))
        return out


class Aliased(nn.Module):
    """Layers under names of their own and in a row; one of them is frozen."""

    def __init__(self) -> None:
        super().__init__()
        net: Any = blocks()
        self.net, self.body, self.hidden, self.head = net, net[0], net[4], net[7]
        self.early = nn.Sequential(net[2]).requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.net(x)
        return out


class Scaled(nn.Module):
    """A parameter that is one number, and a buffer that is."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks, self.scale = blocks(), nn.Parameter(torch.tensor(1.0))
        self.register_buffer("steps", torch.tensor(0.0))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.blocks(x * self.scale)
        return out


def doubled(network: Callable[[], nn.Module]) -> nn.Module:
    return network().double()


def suite_of(network: Callable[[], nn.Module], forget: list[int]) -> Suite:
    rng = torch.Generator().manual_seed(0)
    x, y = torch.rand(96, 1, 4, 4, generator=rng, dtype=torch.float64), torch.arange(96) % 3
    x[:, 0, :3] += 0.5 * nn.functional.one_hot(y, 3)[..., None].expand(-1, -1, 4)
    return Suite(
        name="ordinary", version=1, data=Data(Examples(x[:72], y[:72]), Examples(x[72:], y[72:]), classes=3),
        network=partial(doubled, network), recipe=Recipe(epochs=3, batch_size=24, lr=0.05), models=4, chunk=2,
        forget_sets=ForgetSets({"few": np.array(forget)}),
    )  # fmt: skip


SUITES: dict[str, Callable[[], Suite]] = {
    "frozen": partial(suite_of, frozen, list(range(6))),
    "tied": partial(suite_of, Tied, list(range(6))),
    "aliased": partial(suite_of, Aliased, list(range(6))),
    "scaled": partial(suite_of, Scaled, list(range(6))),
    "dropout": partial(suite_of, partial(blocks, dropout=0.3), list(range(6))),
    "one example": partial(suite_of, blocks, [7]),
}


@cache
def suite_named(name: str) -> Suite:
    return SUITES[name]()


@pytest.fixture(scope="module")
def one_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ordinary")


@pytest.fixture(autouse=True)
def trained_once(one_store: Path, own_store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All tests here share a store, so that what methods start from is trained once."""
    monkeypatch.setenv("EXPUNGE_STORE", str(one_store))


def unlearned(name: str, suite: Suite, models: list[int]) -> tuple[Ensemble, Ensemble]:
    """Pretrained models of these numbers before and after a method."""
    if name in BUILT:
        rebuild(suite, methods=[] if name == "oracle-matching" else [name])
    before = pretrain(suite, 2).take(models)
    steps = list(
        run_method(name, METHODS[name], configure(name, METHODS[name], {}), before, suite, suite.forget_sets["few"])
    )
    return before, steps[-1].ensemble


WHOLE = [name for name in RUN if name != "sisa"]  # which gives votes of several models, by other names


@pytest.mark.parametrize("name", WHOLE)
def test_frozen_parts_stay_where_they_are(name: str) -> None:
    before, after = unlearned(name, suite_named("frozen"), [0, 1])
    for key in ("0.weight", "0.bias"):
        assert torch.equal(after.state()[key], before.state()[key])
    assert {key for key, each in after.network.named_parameters() if not each.requires_grad} == {"0.weight", "0.bias"}
    assert list(after.state()) == list(before.state())


@pytest.mark.parametrize("name", WHOLE)
def test_tied_weights_stay_tied(name: str) -> None:
    before, after = unlearned(name, suite_named("tied"), [0, 1])
    assert torch.equal(after.state()["second.weight"], after.state()["third.weight"])
    assert list(after.state()) == list(before.state())


@pytest.mark.parametrize("name", WHOLE)
def test_a_layer_of_two_names_stays_one(name: str) -> None:
    before, after = unlearned(name, suite_named("aliased"), [0, 1])
    state = after.state()
    for alias, own in (("body", "net.0"), ("early.0", "net.2"), ("hidden", "net.4"), ("head", "net.7")):
        assert torch.equal(state[f"{alias}.weight"], state[f"{own}.weight"])
    assert torch.equal(state["net.2.weight"], before.state()["net.2.weight"])  # it is frozen
    assert list(state) == list(before.state())


@pytest.mark.parametrize(("name", "network"), by_turns(product(RUN, ["aliased", "scaled", "dropout"]), 3))
def test_a_model_does_not_depend_on_its_neighbours(name: str, network: str) -> None:
    suite = suite_named(network)
    together, alone = unlearned(name, suite, [0, 1])[1], unlearned(name, suite, [1])[1]
    for key, tensor in alone.state().items():
        torch.testing.assert_close(together.state()[key][1], tensor[0], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", RUN)
def test_one_example_can_be_forgotten_beside_batch_norm(name: str) -> None:
    _, after = unlearned(name, suite_named("one example"), [0, 1])
    assert all(tensor.isfinite().all() for tensor in after.state().values() if tensor.is_floating_point())


def test_a_frozen_layer_is_none_to_draw_anew() -> None:
    def network() -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(16, 8).requires_grad_(False), nn.Linear(8, 3))

    suite = suite_of(network, [1, 2])
    assert SEVERAL_LAYERS.lacking(suite, suite.forget_sets["few"])
    assert not SEVERAL_LAYERS.lacking(suite_of(blocks, [1, 2]), suite.forget_sets["few"])


def test_a_network_that_is_frozen_where_a_method_works_is_said() -> None:
    def network() -> nn.Module:
        made = blocks()
        for row in (0, 2):
            made[row].requires_grad_(False)  # type: ignore[index]
        return made

    suite = suite_of(network, [1, 2])
    with pytest.raises(MethodFailed, match="expected a network with a convolution that is not frozen, found none"):
        list(
            run_method("ct", METHODS["ct"], METHODS["ct"].config(), pretrain(suite, 2), suite, suite.forget_sets["few"])
        )
