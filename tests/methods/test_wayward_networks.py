"""Networks that do something of their own in forward: methods run on them as on plain ones, or say why not."""

import re
from collections.abc import Callable
from dataclasses import replace
from functools import cache

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm
from torch.utils.checkpoint import checkpoint

from expunge.ensembles import Ensemble, Plan
from expunge.ensembles.whole_models import train_whole
from expunge.errors import MethodFailed
from expunge.methods import METHODS, configure, run_method
from expunge.suites import Data, Examples, Suite
from tests.methods.test_ordinary_networks import BUILT, RUN, suite_of
from tests.turns import by_turns

ALONE = [name for name in RUN if name not in BUILT]  # which need no models of their own
# Those that differentiate twice, or in the inputs, that run two models on one batch, or that work on single layers.
SOME = [
    *("fine-tune", "scrub", "npo", "boundary-shrink", "boundary-expand", "unsir", "mu-mis", "jit", "second-order"),
    *("influence", "prune-first", "eu-k", "cf-k", "gradient-free", "esc"),
]


class Plain(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.head = nn.Linear(16, 6), nn.LayerNorm(6), nn.Linear(6, 3)

    def middle(self, x: Tensor) -> Tensor:
        return torch.tanh(self.norm(x))

    def entrance(self, x: Tensor) -> Tensor:
        return (x - 0.5).flatten(1)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.middle(self.first(self.entrance(x))))
        return out


class InPlace(Plain):
    def entrance(self, x: Tensor) -> Tensor:
        x -= 0.5
        return x.flatten(1)


class InView(Plain):
    """It changes its input by a view, and behind autograd's back."""

    def entrance(self, x: Tensor) -> Tensor:
        x.data[:, 0].sub_(0.5)
        return x.flatten(1)


class Checkpointed(Plain):
    def middle(self, x: Tensor) -> Tensor:
        out: Tensor = checkpoint(super().middle, x, use_reentrant=False)
        return out


class Reentrant(Plain):
    def middle(self, x: Tensor) -> Tensor:
        out: Tensor = checkpoint(super().middle, x, use_reentrant=True)
        return out


class Attending(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.parts, self.head = nn.Linear(4, 12), nn.Linear(16, 3)

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = (each.unsqueeze(1) for each in self.parts(x[:, 0]).chunk(3, -1))
        out: Tensor = self.head(self.attend(query, key, value).flatten(1))
        return out

    def attend(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        return (query @ key.mT / 2).softmax(-1) @ value


class Fused(Attending):
    def attend(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        return F.scaled_dot_product_attention(query, key, value)


class Tokens(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed, self.head = nn.Embedding(10, 4), nn.Linear(16, 3)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.embed(x).flatten(1))
        return out


class Bagged(Tokens):
    """Torch has no second derivative of it."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.head = nn.EmbeddingBag(10, 4), nn.Linear(4, 3)  # type: ignore[assignment]


class Scaled(Plain):
    """It uses its input and then changes it, so that no gradient comes through."""

    def entrance(self, x: Tensor) -> Tensor:
        x = x.flatten(1)
        x /= x.norm(dim=1, keepdim=True)
        return x


class Backbone(Plain):
    """Its first layer is none of what is trained."""

    def __init__(self) -> None:
        super().__init__()
        self.first.requires_grad_(False)

    def entrance(self, x: Tensor) -> Tensor:
        return x.flatten(1)

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            x = self.first(self.entrance(x))
        out: Tensor = self.head(self.middle(x))
        return out


def normed() -> nn.Module:
    return nn.Sequential(nn.Flatten(), spectral_norm(nn.Linear(16, 6)), nn.Tanh(), spectral_norm(nn.Linear(6, 3)))


def old_normed() -> nn.Module:
    layers = [nn.utils.spectral_norm(nn.Linear(16, 6)), nn.utils.spectral_norm(nn.Linear(6, 3, bias=False))]
    return nn.Sequential(nn.Flatten(), layers[0], nn.Tanh(), layers[1])


def old_normed_convolution() -> nn.Module:
    return nn.Sequential(nn.utils.spectral_norm(nn.Conv2d(1, 4, 2)), nn.Tanh(), nn.Flatten(), nn.Linear(36, 3))


class Twice(nn.Conv2d):
    def forward(self, x: Tensor) -> Tensor:
        return 2 * super().forward(x)


def twice(convolution: type[nn.Conv2d] = Twice) -> nn.Module:
    return nn.Sequential(convolution(1, 4, 2), nn.BatchNorm2d(4), nn.Tanh(), nn.Flatten(), nn.Linear(36, 3))


def hooked() -> nn.Module:
    network = twice(nn.Conv2d)
    network.get_submodule("0").register_forward_hook(lambda layer, given, out: 2 * out)
    return network


@cache
def suite_with(network: Callable[[], nn.Module]) -> Suite:
    """All of one digest, so that their models draw the same numbers."""
    suite = replace(suite_of(network, list(range(6))), architecture="one for all")
    if network in (Tokens, Bagged):
        rng = torch.Generator().manual_seed(0)
        x, y = torch.randint(10, (96, 4), generator=rng), torch.arange(96) % 3
        suite = replace(suite, data=Data(Examples(x[:72], y[:72]), Examples(x[72:], y[72:]), classes=3))
    return suite


@cache
def before(network: Callable[[], nn.Module]) -> Ensemble:
    """Trained here, not taken out of a store, where all would have one place."""
    trained, _, _ = train_whole(Plan(suite_with(network), "pretrained"), [0, 1], torch.device("cpu"))
    trained.eval()
    return trained


def after(name: str, network: Callable[[], nn.Module]) -> Ensemble:
    method, suite = METHODS[name], suite_with(network)
    config = configure(name, method, {})
    steps = list(run_method(name, method, config, before(network), suite, suite.forget_sets["few"]))
    return steps[-1].ensemble


@cache
def outcome(name: str, network: Callable[[], nn.Module]) -> dict[str, Tensor] | str:
    """Its weights, or why there are none, but for the name of the suite."""
    try:
        return after(name, network).state()
    except MethodFailed as error:
        return str(error)


PAIRS: list[tuple[Callable[[], nn.Module], Callable[[], nn.Module], list[str]]] = [
    (InPlace, Plain, ALONE),
    (Checkpointed, Plain, ALONE),
    (InView, Plain, SOME),
    (Reentrant, Plain, SOME),
    (Fused, Attending, SOME),
    (hooked, twice, [*SOME, "first-order", "salun", "ssd"]),
]


@pytest.mark.parametrize(
    ("network", "plain", "name"),
    by_turns([(network, plain, name) for network, plain, names in PAIRS for name in names], 3),
)
def test_methods_find_on_it_what_they_find_on_the_plain_network(
    network: Callable[[], nn.Module], plain: Callable[[], nn.Module], name: str
) -> None:
    x = suite_with(network).data.train.x.clone()
    found, expected = outcome(name, network), outcome(name, plain)
    assert torch.equal(suite_with(network).data.train.x, x)
    if isinstance(expected, str) or isinstance(found, str):
        assert found == expected
        assert "convolutions" in expected
        return
    for key, tensor in expected.items():
        torch.testing.assert_close(found[key], tensor, rtol=1e-7, atol=1e-9)


WITHOUT_SLOPES = {"boundary-shrink", "mu-mis", "unsir"}  # and jit where inputs are whole numbers
COMPUTED = {
    "boundary-expand",
    "prune-first",
    "gradient-free",
    "esc",
}  # which change a weight that here is computed of others


@pytest.mark.parametrize(
    ("network", "failing", "line"),
    [
        (Tokens, {*WITHOUT_SLOPES, "jit"}, "^(boundary-shrink|mu-mis|unsir|jit) needs outputs .*of tokens"),
        (Backbone, WITHOUT_SLOPES, r"needs outputs with a gradient in the inputs .*torch\.no_grad"),
        (Bagged, {*WITHOUT_SLOPES, "jit", "second-order"}, "needs outputs|the method differentiates twice, and torch"),
        (Scaled, WITHOUT_SLOPES, "needs outputs with a gradient in the inputs .*then changed in place"),
        (normed, COMPUTED, "expected layer '[13]' to have a weight of its own, it is computed of others"),
        (
            old_normed_convolution,
            {"prune-first", "gradient-free"},
            "expected layer '0' to have a weight of its own, it is computed",
        ),
        (old_normed, COMPUTED, "expected layer '[13]' to have a weight of its own, it is computed of others"),
    ],
)
@pytest.mark.parametrize("name", SOME)
def test_methods_run_on_it_or_say_in_a_line_what_they_need(
    name: str, network: Callable[[], nn.Module], failing: set[str], line: str
) -> None:
    found = outcome(name, network)
    if name in failing:
        assert isinstance(found, str)
        assert re.search(line, found)
        return
    assert not isinstance(found, str)
    assert all(tensor.isfinite().all() for tensor in found.values())


@pytest.mark.parametrize("network", [normed, old_normed])
@pytest.mark.parametrize("name", ["cf-k", "eu-k"])
def test_the_last_layer_is_a_whole_one_whose_weight_is_computed(name: str, network: Callable[[], nn.Module]) -> None:
    was, found = before(network).state(), after(name, network).state()
    moved = {key.split(".")[0] for key in found if not torch.equal(was[key], found[key])}
    assert moved == {"3"}
