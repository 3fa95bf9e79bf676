"""Networks that fit any size."""

import pytest
import torch
from torch import nn

from expunge.suites.networks import convnet, perceptron


@pytest.mark.parametrize(
    ("size", "blocks"), [((28, 28), 3), ((8, 8), 3), ((7, 28), 2), ((2, 2), 1), ((1, 5), 0), ((64, 64), 3)]
)
def test_a_convnet_has_as_many_blocks_as_the_picture_can_be_halved(size: tuple[int, int], blocks: int) -> None:
    network = convnet(3, *size, 10, filters=4)
    assert sum(isinstance(layer, nn.Conv2d) for layer in network.children()) == blocks
    assert network(torch.randn(2, 3, *size)).shape == (2, 10)


def test_a_convnet_is_the_published_one() -> None:
    """For 32 x 32 colours: 3 convolutions of width 128 with their norms, and 2,048 numbers before the classifier."""
    network = convnet(3, 32, 32, 10)
    expected = (3 * 9 * 128 + 128) + 2 * (128 * 9 * 128 + 128) + 3 * 2 * 128 + 2048 * 10 + 10
    assert sum(parameter.numel() for parameter in network.parameters()) == expected
    layers = [type(layer) for layer in network.children()][:4]
    assert layers == [nn.Conv2d, nn.InstanceNorm2d, nn.ReLU, nn.AvgPool2d]


def test_a_perceptron_takes_numbers_of_any_shape() -> None:
    network = perceptron(6, 3, hidden=5)
    assert network(torch.randn(4, 2, 3)).shape == (4, 3)
    assert [layer.out_features for layer in network.children() if isinstance(layer, nn.Linear)] == [5, 5, 3]
