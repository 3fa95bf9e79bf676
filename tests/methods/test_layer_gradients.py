"""Gradients layer by layer, against those that are computed example by example."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from expunge.ensembles import Ensemble
from expunge.ensembles.seeds import Generators
from expunge.methods.parts import layer_gradients as module
from expunge.methods.parts.layer_gradients import layer_gradients, norms, tapped
from expunge.methods.parts.per_sample import each_gradient, flat_weights, mean_absolute, per_sample_gradients
from expunge.suites import Examples
from expunge.suites.networks import Residual
from expunge.suites.target import cross_entropy
from tests.ensembles.plain import Attention, convolutional, ensemble_of, mixed, random_examples, trained

EXAMPLES, MODELS = 7, 3
DATA = random_examples(EXAMPLES)

pytestmark = pytest.mark.filterwarnings("ignore:There is a performance drop")


def residual() -> nn.Module:
    """A shortcut with weights, strides, dilation, and layers that write into what they are given."""
    body = nn.Sequential(
        nn.Conv2d(4, 6, 3, stride=2, padding=2, dilation=2, bias=False), nn.BatchNorm2d(6), nn.ReLU(inplace=True)
    )
    return nn.Sequential(
        nn.Conv2d(2, 4, (3, 1), padding=(1, 0)),
        nn.ReLU(inplace=True),
        Residual(body, nn.Conv2d(4, 6, 1, stride=2)),
        nn.Flatten(),
        nn.Linear(24, 3),
    )


def of_tokens() -> nn.Module:
    """A linear layer that each example goes through in several rows."""
    return nn.Sequential(nn.Flatten(2), nn.Linear(16, 5), nn.Tanh(), nn.Flatten(), nn.Linear(10, 3))


def plain() -> nn.Module:
    """Logistic regression without a bias, as the bound of a certificate wants it: not even a sequence."""
    return nn.Sequential(nn.Flatten(), nn.Linear(32, 3, bias=False))


def twice() -> nn.Module:
    layer = nn.Linear(3, 3)
    return nn.Sequential(nn.Flatten(), nn.Linear(32, 3), layer, nn.Tanh(), layer)


def tied() -> nn.Module:
    first, second = nn.Linear(3, 3), nn.Linear(3, 3)
    second.weight = first.weight
    return nn.Sequential(nn.Flatten(), nn.Linear(32, 3), first, nn.Tanh(), nn.Sequential(second))


def partly_frozen() -> nn.Module:
    network = convolutional()
    for layer in [*network.children()][:2]:
        layer.requires_grad_(False)
    [*network.children()][-1].requires_grad_(False)
    return network


class Centred(nn.Module):
    """A layer of the user's own, which mixes the examples of a batch."""

    def forward(self, x: Tensor) -> Tensor:
        return x - x.mean(0)


def of_a_batch() -> nn.Module:
    """BatchNorm without running statistics takes those of the batch, in evaluation mode too."""
    norm = nn.BatchNorm2d(4, affine=False, track_running_stats=False)
    return nn.Sequential(nn.Conv2d(2, 4, 3), norm, nn.Flatten(), nn.Linear(16, 3))


def centred() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(32, 4), Centred(), nn.Linear(4, 3))


def softmax_of_a_batch() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(32, 4), nn.Softmax(0), nn.Linear(4, 3))


def shared_activation() -> nn.Module:
    """One activation in two places, which learns nothing."""
    activation = nn.ReLU()
    return nn.Sequential(nn.Flatten(), nn.Linear(32, 4), activation, nn.Linear(4, 4), activation, nn.Linear(4, 3))


def squared_norm(logits: Tensor, labels: Tensor) -> Tensor:
    return logits.square().sum(-1).mean(1)


def gradients(ensemble: Ensemble, rows: Tensor) -> Tensor:
    return torch.cat(list(per_sample_gradients(ensemble, DATA, rows, squared_norm)), dim=1)


BY_LAYER = [convolutional, residual, of_tokens, plain, partly_frozen, shared_activation]
WHOLE = [Attention, mixed, twice, tied, of_a_batch, centred, softmax_of_a_batch]


@pytest.mark.parametrize("network", BY_LAYER + WHOLE)
def test_sums_norms_and_weighted_sums_are_those_of_single_gradients(
    network: Callable[[], nn.Module], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ROWS", 3 * MODELS)
    ensemble = trained(network, DATA)
    rows = Generators(range(MODELS)).permutation(EXAMPLES)
    each = gradients(ensemble, rows)
    blocks = list(each_gradient(ensemble, DATA, rows, squared_norm))
    sizes = [block[0].examples for block in blocks]
    assert sizes == ([3, 3, 1] if network in BY_LAYER else [EXAMPLES])
    weights = torch.rand(MODELS, EXAMPLES, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    for function in (torch.square, torch.abs):
        found = sum(torch.cat([part.summed(function) for part in block], dim=1) for block in blocks)
        torch.testing.assert_close(found, function(each).sum(1))
    torch.testing.assert_close(torch.cat([norms(block) for block in blocks], dim=1), each.norm(dim=2))
    parts = zip(blocks, weights.split(sizes, dim=1), strict=True)
    found = sum(torch.cat([part.weighted(own) for part in block], dim=1) for block, own in parts)
    torch.testing.assert_close(found, (weights[..., None] * each).sum(1))


def test_a_network_that_is_one_layer_has_a_tap_too() -> None:
    torch.manual_seed(0)
    ensemble = ensemble_of([nn.Linear(4, 3).double() for _ in range(2)])
    ensemble.sample_shape = (4,)
    examples = Examples(torch.randn(5, 4, dtype=torch.float64), torch.tensor([0, 1, 2, 0, 1]))
    (each,) = per_sample_gradients(ensemble, examples)
    assert tapped(ensemble) is not None
    torch.testing.assert_close(mean_absolute(ensemble, examples), each.abs().mean(1))


def test_masked_weights_and_layers_with_hooks_take_the_long_way_and_are_right() -> None:
    ensemble = trained(plain, DATA)
    name, weight = next(iter(ensemble.network.named_parameters()))
    ensemble.obey({name: torch.rand(weight.shape, generator=torch.Generator().manual_seed(2)) < 0.5})
    assert tapped(ensemble) is None
    (each,) = per_sample_gradients(ensemble, DATA)
    assert float((each == 0).double().mean()) > 0.4
    torch.testing.assert_close(mean_absolute(ensemble, DATA), each.abs().mean(1))
    hooked = trained(plain, DATA)
    hooked.network.get_submodule("1").register_forward_hook(lambda layer, given, gave: 2 * gave)
    assert tapped(hooked) is None


def test_the_meter_counts_alike_and_the_ensemble_is_as_it_was() -> None:
    ensemble = trained(residual, DATA)
    names, weights = list(ensemble.state()), flat_weights(ensemble)
    spent = ensemble.meter.units
    stack = tapped(ensemble.train())
    assert stack is not None
    assert len(list(layer_gradients(stack, DATA, torch.arange(EXAMPLES).expand(MODELS, -1), cross_entropy))) == 1
    assert ensemble.meter.units - spent == 3 * EXAMPLES * MODELS
    assert ensemble.training
    assert list(ensemble.state()) == names
    assert torch.equal(flat_weights(ensemble), weights)


def test_a_clipped_sum_moves_by_no_more_than_the_clip_where_a_layer_mixes_examples() -> None:
    ensemble = trained(of_a_batch, DATA)
    rows, clip = torch.arange(EXAMPLES).expand(MODELS, -1), 0.01

    def clipped(chosen: Tensor) -> Tensor:
        total = torch.zeros_like(flat_weights(ensemble))
        for block in each_gradient(ensemble, DATA, chosen):
            scale = (clip / norms(block)).clamp_max(1)
            total += torch.cat([part.weighted(scale) for part in block], dim=1)
        return total

    moved = (clipped(rows) - clipped(rows[:, 1:])).norm(dim=1)
    assert float(moved.max()) <= clip * (1 + 1e-9)


def test_what_takes_the_gradients_keeps_its_own_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ROWS", MODELS)
    ensemble = trained(plain, DATA)
    for mode in (torch.enable_grad, torch.no_grad):
        with mode():
            wanted = torch.is_grad_enabled()
            assert {torch.is_grad_enabled() for _ in each_gradient(ensemble, DATA)} == {wanted}


def test_wide_linear_layers_do_not_make_blocks_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "NUMBERS", 200 * MODELS)  # two matrices of an example have more, what makes them less
    ensemble = trained(plain, DATA)
    sizes = [block[0].examples for block in each_gradient(ensemble, DATA)]
    assert sizes == [2, EXAMPLES - 2]
