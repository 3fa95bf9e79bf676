"""InstanceNorm and GroupNorm in a stack: what each model computes alone, forward, backward and backward again."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from expunge.ensembles.layers import LAYERS
from tests.ensembles.plain import ensemble_of

CHANNELS = 4


def between(norm: nn.Module) -> nn.Module:
    """A norm between convolutions, whose output lies in memory as theirs does."""
    first, second = nn.Conv2d(2, CHANNELS, 3, padding=1), nn.Conv2d(CHANNELS, 2, 3)
    return nn.Sequential(first, norm, nn.Tanh(), second, nn.Flatten(), nn.Linear(8, 3))


def first(norm: nn.Module) -> nn.Module:
    return nn.Sequential(norm, nn.Flatten(), nn.Tanh(), nn.Linear(32, 3))


NORMS: dict[str, Callable[[], nn.Module]] = {
    "instance": lambda: between(nn.InstanceNorm2d(CHANNELS, affine=True)),
    "instance without scale": lambda: between(nn.InstanceNorm2d(CHANNELS)),
    "instance with statistics": lambda: between(nn.InstanceNorm2d(CHANNELS, track_running_stats=True)).eval(),
    "instance of other eps": lambda: between(nn.InstanceNorm2d(CHANNELS, eps=0.1, affine=True)),
    "group": lambda: between(nn.GroupNorm(2, CHANNELS)),
    "group of one": lambda: between(nn.GroupNorm(1, CHANNELS, eps=0.1)),
    "group without scale": lambda: between(nn.GroupNorm(2, CHANNELS, affine=False)),
    "instance first": lambda: first(nn.InstanceNorm2d(2, affine=True)),
    "group first": lambda: first(nn.GroupNorm(2, 2)),
    "group of features": lambda: nn.Sequential(nn.Flatten(), nn.Linear(32, 6), nn.GroupNorm(3, 6), nn.Linear(6, 3)),
}


def networks(name: str) -> list[nn.Module]:
    torch.manual_seed(0)
    made = [NORMS[name]().double() for _ in range(3)]
    for network in made:
        for parameter in network.parameters():
            parameter.data = torch.randn_like(parameter)
    return made


def slopes(loss: Tensor, parameters: list[Tensor], x: Tensor) -> tuple[list[Tensor], Tensor]:
    """Gradients by the parameters, and by ``x`` of a number that depends on them."""
    first = torch.autograd.grad(loss, parameters, create_graph=True)
    (second,) = torch.autograd.grad(torch.stack([each.sin().sum() for each in first]).sum(), x)
    return list(first), second


@pytest.mark.parametrize("name", sorted(NORMS))
@pytest.mark.parametrize("batch", [5, 1])
@pytest.mark.parametrize("channels_last", [False, True])
def test_a_stack_is_each_alone(name: str, batch: int, channels_last: bool) -> None:
    made = networks(name)
    x = torch.randn(3, batch, 2, 4, 4, dtype=torch.float64)
    if channels_last:
        x = x.flatten(0, 1).contiguous(memory_format=torch.channels_last).unflatten(0, (3, batch))
    x = x.requires_grad_()
    ensemble = ensemble_of(made).train(made[0].training)
    out = ensemble(x)
    found, twice = slopes(out.square().sum(), list(ensemble.parameters()), x)
    for row, network in enumerate(made):
        each = x[row].detach().clone().requires_grad_()
        alone = network(each)
        torch.testing.assert_close(out[row], alone)
        expected, second = slopes(alone.square().sum(), list(network.parameters()), each)
        for one, other in zip(found, expected, strict=True):
            torch.testing.assert_close(one[row], other)
        torch.testing.assert_close(twice[row], second)


@pytest.mark.parametrize("kind", [nn.InstanceNorm2d, nn.GroupNorm])
def test_both_have_a_rule(kind: type[nn.Module]) -> None:
    assert kind in LAYERS
