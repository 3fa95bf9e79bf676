"""Gradients of single examples, of all models at once, against autograd on one model and one example at a time."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from expunge.ensembles import Ensemble, Origin
from expunge.ensembles.seeds import Generators
from expunge.methods.parts import per_sample
from expunge.methods.parts.per_sample import flat_weights, mean_square, per_sample_gradients, with_weights
from expunge.suites import Examples
from tests.ensembles.plain import SHAPE, Attention, NormedAttention, convolutional, mixed, random_examples, trained

EXAMPLES, MODELS = 7, 3
DATA = random_examples(EXAMPLES)

pytestmark = pytest.mark.filterwarnings("ignore:There is a performance drop")


class Opaque(nn.Module):
    """A convolutional network in one module of its own, which goes through vmap whole."""

    def __init__(self) -> None:
        super().__init__()
        pooled = [nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.MaxPool2d(2)]
        self.layers = nn.Sequential(*pooled, nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(16, 3))

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.layers(x)
        return logits


def one_at_a_time(ensemble: Ensemble, examples: Examples, rows: Tensor, group: int = 1) -> Tensor:
    """``(models, groups, d)``, by autograd on ordinary modules.

    Everything twice, which changes no mean: torch's BatchNorm may go backward wrongly on a batch of one.
    """
    result = []
    for network, order in zip(ensemble, rows, strict=True):
        network.eval()
        for part in order.split(group):
            network.zero_grad()
            twice = part.repeat(2)
            F.cross_entropy(network(examples.x[twice]), examples.y[twice]).backward()
            result.append(torch.cat([each.grad.flatten() for each in network.parameters() if each.grad is not None]))
    stacked: Tensor = torch.stack(result).unflatten(0, (len(ensemble), -1))
    return stacked


@pytest.mark.parametrize("network", [convolutional, Attention, NormedAttention, mixed, Opaque])
def test_they_are_those_of_autograd_on_one_example_of_one_model(network: Callable[[], nn.Module]) -> None:
    ensemble, examples = trained(network, DATA), DATA
    rows = Generators(range(MODELS)).permutation(EXAMPLES)
    found = torch.cat(list(per_sample_gradients(ensemble, examples, rows)), dim=1)
    torch.testing.assert_close(found, one_at_a_time(ensemble, examples, rows), rtol=0, atol=1e-12)


def test_groups_have_the_gradient_of_their_mean_and_the_rest_is_a_group() -> None:
    ensemble, examples = trained(convolutional, DATA), DATA
    rows = torch.arange(EXAMPLES).expand(MODELS, -1)
    found = torch.cat(list(per_sample_gradients(ensemble, examples, group=3)), dim=1)
    assert found.shape[1] == 3
    torch.testing.assert_close(found, one_at_a_time(ensemble, examples, rows, group=3), rtol=0, atol=1e-12)


def test_blocks_change_no_number(monkeypatch: pytest.MonkeyPatch) -> None:
    ensemble, examples = trained(convolutional, DATA), DATA
    whole = list(per_sample_gradients(ensemble, examples))
    squares = mean_square(ensemble, examples)
    monkeypatch.setattr(per_sample, "CPU_BLOCK", 2 * flat_weights(ensemble).numel())
    blocks = list(per_sample_gradients(ensemble, examples))
    assert [block.shape[1] for block in whole] == [7]
    assert [block.shape[1] for block in blocks] == [2, 2, 2, 1]
    torch.testing.assert_close(torch.cat(blocks, dim=1), whole[0], rtol=0, atol=1e-12)
    torch.testing.assert_close(mean_square(ensemble, examples), squares, rtol=0, atol=1e-12)


def test_the_mean_square_is_of_squares_not_the_square_of_a_mean() -> None:
    ensemble, examples = trained(convolutional, DATA), DATA
    gradients = one_at_a_time(ensemble, examples, torch.arange(EXAMPLES).expand(MODELS, -1))
    torch.testing.assert_close(mean_square(ensemble, examples), gradients.square().mean(1), rtol=0, atol=1e-12)


def test_every_example_counts_forward_and_backward_and_nothing_is_touched() -> None:
    ensemble, examples = trained(convolutional, DATA), DATA
    before, spent = {key: each.clone() for key, each in ensemble.state().items()}, ensemble.meter.units
    mean_square(ensemble.train(), examples)
    assert ensemble.meter.units - spent == 3 * EXAMPLES * MODELS
    assert ensemble.training
    assert all(torch.equal(each, before[key]) for key, each in ensemble.state().items())


class Tied(nn.Module):
    """One matrix twice, and a weight that the output does not depend on."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(3, 3, bias=False)
        self.second = nn.Linear(3, 3, bias=False)
        self.second.weight = self.first.weight
        self.idle = nn.Parameter(torch.ones(2))

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.second(self.first(x).tanh())
        return result


def test_tied_weights_are_one_and_idle_ones_have_no_gradient() -> None:
    torch.manual_seed(0)
    networks = [Tied().double() for _ in range(2)]
    ensemble = Ensemble.stack(networks, Origin("test", "0", "pretrained", None, (0, 1)), (3,))
    examples = Examples(torch.randn(4, 3, dtype=torch.float64), torch.tensor([0, 1, 2, 0]))
    (found,) = per_sample_gradients(ensemble, examples)
    assert found.shape == (2, 4, 11)
    for model, network in enumerate(networks):
        for row in range(4):
            network.zero_grad()
            F.cross_entropy(network(examples.x[row : row + 1]), examples.y[row : row + 1]).backward()
            order = [name for name, _ in ensemble.network.named_parameters()]
            own = {name: each.grad for name, each in network.named_parameters() if each.grad is not None}
            assert own.keys() == {"first.weight"}
            wanted = [own.get(name, torch.zeros(2, dtype=torch.float64)) for name in order]
            torch.testing.assert_close(found[model, row], torch.cat([each.flatten() for each in wanted]))


def test_weights_go_in_and_out_and_buffers_stay() -> None:
    ensemble = trained(convolutional, DATA)
    weights = torch.randn_like(flat_weights(ensemble))
    other = with_weights(ensemble, weights)
    assert torch.equal(flat_weights(other), weights)
    assert not torch.equal(flat_weights(ensemble), weights)
    assert torch.equal(other.state()["1.running_mean"], ensemble.state()["1.running_mean"])
    assert not other.training
    assert ensemble.sample_shape == SHAPE
