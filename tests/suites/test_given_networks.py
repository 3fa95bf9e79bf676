"""Networks as people have them: layers without sizes, or out of torch's sight, work or are one line."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import expunge as xp
from expunge.ensembles.plan import new_networks
from expunge.errors import BadSetting
from tests.suites.lines import one_line
from tests.tiny_suite import tiny


def lazy_layers() -> nn.Module:
    return nn.Sequential(
        nn.Unflatten(1, (1, 64)), nn.LazyConv1d(3, 2), nn.LazyBatchNorm1d(), nn.Flatten(), nn.LazyLinear(10)
    )


def sized_layers() -> nn.Module:
    return nn.Sequential(
        nn.Unflatten(1, (1, 64)), nn.Conv1d(1, 3, 2), nn.BatchNorm1d(3), nn.Flatten(), nn.Linear(189, 10)
    )


def test_lazy_layers_have_their_sizes_and_seeds_as_others_have() -> None:
    lazy = replace(tiny(), name="lazy", network=lazy_layers)
    lazy.check()
    ready = replace(lazy, network=sized_layers)
    assert lazy.digest == ready.digest
    trained = xp.pretrain(lazy, models=2).state()
    shapes = {key: each.shape for key, each in ready.network().state_dict().items()}
    assert {key: each.shape[1:] for key, each in trained.items()} == shapes
    first, again, other = (each.state_dict() for each in new_networks(lazy.network, [1, 1, 2]))
    assert all(torch.equal(each, again[key]) for key, each in first.items())
    assert not torch.equal(first["1.weight"], other["1.weight"])
    network = lazy.network()
    assert all(module.training for module in network.modules())
    assert network[2].num_batches_tracked == 0  # type: ignore[index]


def test_a_layer_that_no_input_meets_has_no_size() -> None:
    class Unused(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head, self.spare = nn.LazyLinear(10), nn.LazyLinear(3)

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = self.head(x.flatten(1))
            return out

    suite = replace(tiny(), name="unused", network=Unused)
    one_line(BadSetting, "spare.weight of the network has no size: no input comes to it", lambda: suite.digest)


def test_a_network_that_makes_a_layer_in_its_forward_is_told_where_to() -> None:
    class Late(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Linear(64, 8)
            self.head: nn.Linear | None = None

        def forward(self, x: Tensor) -> Tensor:
            if self.head is None:
                self.head = nn.Linear(8, 10)
            out: Tensor = self.head(self.body(x.flatten(1)))
            return out

    suite = replace(tiny(), name="late", network=Late)
    one_line(BadSetting, "the network makes head.bias in its forward.*make it in __init__", suite.check)


class MadeAnew(nn.Module):
    """Steady, for its chance is that of one seed; never trained."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.body, self.dtype = nn.Linear(64, 8), dtype

    def forward(self, x: Tensor) -> Tensor:
        torch.manual_seed(0)
        out: Tensor = nn.Linear(8, 10, dtype=self.dtype)(self.body(x.flatten(1)))
        return out


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])  # the second fails, but is no matter of types
def test_a_layer_that_only_lives_in_forward_is_told_where_to(dtype: torch.dtype) -> None:
    suite = replace(tiny(), name="anew", network=partial(MadeAnew, dtype))
    one_line(BadSetting, "makes a layer, Linear, in its forward.*make it in __init__", suite.check)


def test_layers_without_tensors_may_be_made_in_forward_and_those_with_may_be_written_to() -> None:
    class Counting(nn.Module):
        steps: Tensor

        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Linear(64, 10)
            self.register_buffer("steps", torch.zeros(()))

        def forward(self, x: Tensor) -> Tensor:
            self.steps = self.steps + 1
            out: Tensor = nn.Softplus()(self.body(x.flatten(1)))
            return out

    replace(tiny(), name="counting", network=Counting).check()


@pytest.mark.parametrize("compiled", [torch.jit.script, lambda layer: torch.jit.trace(layer, torch.zeros(1, 8))])
@pytest.mark.filterwarnings("ignore")
def test_layers_that_torch_compiled_are_refused_by_name(compiled: Callable[[nn.Module], nn.Module]) -> None:
    def network() -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 8), compiled(nn.Linear(8, 10)))

    parallel = replace(tiny(), network=lambda: nn.Sequential(nn.DataParallel(nn.Linear(64, 10))))
    one_line(BadSetting, "0 is an nn.DataParallel.*give the module within it", parallel.check)
    one_line(BadSetting, r"2 is compiled by torch\.jit.*give the module itself", replace(tiny(), network=network).check)


class Listed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers, self.head = [nn.Linear(64, 8), nn.ReLU()], nn.Linear(8, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(1)
        for layer in self.layers:
            x = layer(x)
        out: Tensor = self.head(x)
        return out


class Bare(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale, self.head = torch.ones(64), nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(x.flatten(1) * self.scale)
        return out


class Unsteady(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(torch.nn.functional.dropout(x.flatten(1), 0.3))
        return out


class Squeezed(Unsteady):
    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(x.flatten(1)).squeeze()
        return out


class Sure(Unsteady):
    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(x.flatten(1)).softmax(-1)
        return out


def held() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10)).requires_grad_(False)


def looked_up() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Embedding(64, 4), nn.Flatten(), nn.Linear(256, 10))


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (Listed, r"layers in Listed.layers are not part of the network.*nn.ModuleList"),
        (Bare, r"Bare.scale is a plain tensor.*register_buffer\('scale'"),
        (Unsteady, "other outputs for the same input at each pass in evaluation"),
        (Squeezed, r"an input of \(1, .* into logits of \(1, 10\)"),
        (held, "nothing of the network is to be trained"),
        (looked_up, r"inputs are float32: write x.long\(\) in forward"),
    ],
)
def test_what_would_be_wrong_in_silence_is_one_line(network: Callable[[], nn.Module], message: str) -> None:
    one_line(BadSetting, message, lambda: replace(tiny(), name="odd", network=network).check())


def test_a_network_in_place_of_what_makes_it_is_refused() -> None:
    network: Any = nn.Linear(64, 10)
    one_line(BadSetting, "expected network to be the class or a function", lambda: replace(tiny(), network=network))


def test_outputs_after_a_softmax_are_spoken_of() -> None:
    with pytest.warns(UserWarning, match="look like shares that sum to 1"):
        replace(tiny(), name="sure", network=Sure).check()
