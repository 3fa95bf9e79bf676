"""Networks of the suites, as functions that return one ordinary module.

All but the largest parts are plain layers in a row, which an ensemble runs for all its models at once.
"""

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn


class Residual(nn.Module):
    """``shortcut(x) + body(x)``; the shortcut is the identity unless given."""

    def __init__(self, body: nn.Module, shortcut: nn.Module | None = None) -> None:
        super().__init__()
        self.body = body
        self.shortcut = nn.Identity() if shortcut is None else shortcut

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.shortcut(x) + self.body(x)
        return result


class Scale(nn.Module):
    """``factor * x``, with a factor that is not learned."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        return self.factor * x


class Vote(nn.Module):
    """The logarithm of the mean of the softmax of networks that take the same input."""

    def __init__(self, members: Iterable[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, x: Tensor) -> Tensor:
        return self.count([member(x.clone()) for member in self.members])  # which one of them may change

    def count(self, logits: list[Tensor]) -> Tensor:
        """One vote out of the logits of each."""
        each = torch.stack(logits).log_softmax(-1)
        return each.logsumexp(0) - math.log(len(logits))


class AsFloat(nn.Module):
    """Inputs that are kept in 16 bits, in 32; others as they are."""

    def forward(self, x: Tensor) -> Tensor:
        return x.float() if x.dtype == torch.float16 else x


def lenet() -> nn.Module:
    """LeNet for 28 x 28 grey images, with BatchNorm: two 5 x 5 convolutions (8 and 16 channels), 128 hidden units."""
    return nn.Sequential(
        *_pooled(1, 8),
        *_pooled(8, 16),
        nn.Flatten(),
        nn.Linear(16 * 4 * 4, 128),
        nn.BatchNorm1d(128),
        nn.ReLU(),
        nn.Linear(128, 10),
    )


def small_vgg() -> nn.Module:
    """Three 3 x 3 convolutions with BatchNorm and pooling for 32 x 32 colour images, 32 to 128 channels, and a head."""
    return nn.Sequential(
        *(layer for inputs, outputs in ((3, 32), (32, 64), (64, 128)) for layer in _conv(inputs, outputs, pooled=True)),
        nn.Flatten(),
        nn.Linear(128 * 4 * 4, 10),
    )


def resnet9() -> nn.Module:
    """ResNet-9 for CIFAR-10 with 2,274,880 parameters, as in EasyDUB and data-unlearning-bench."""
    return nn.Sequential(
        *_conv(3, 64),
        *_conv(64, 128, kernel=5, stride=2),
        Residual(nn.Sequential(*_conv(128, 128), *_conv(128, 128))),
        *_conv(128, 256),
        nn.MaxPool2d(2),
        Residual(nn.Sequential(*_conv(256, 256), *_conv(256, 256))),
        *_conv(256, 128, padding=0),
        nn.AdaptiveMaxPool2d(1),
        nn.Flatten(),
        nn.Linear(128, 10, bias=False),
        Scale(0.2),
    )


def resnet18(classes: int = 10) -> nn.Module:
    """ResNet-18 for 32 x 32 images: a 3 x 3 stem and no pooling before the blocks.

    Source: He et al. 2016, arXiv:1512.03385, with the stem that is usual for CIFAR-10; 11,173,962 parameters for 10
    classes, 11,220,132 for 100.
    """
    stem = _conv(3, 64)
    return nn.Sequential(*stem, *_four_stages(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, classes))


def resnet18_large() -> nn.Module:
    """ResNet-18 for large images and 17 classes, with the weights that torchvision's starts from.

    Source: He et al. 2016, arXiv:1512.03385; 11,185,233 parameters. Inputs may be of 16 bits.
    """
    stem = [*_conv(3, 64, kernel=7, stride=2), nn.MaxPool2d(3, stride=2, padding=1)]
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 17)]
    network = nn.Sequential(AsFloat(), *stem, *_four_stages(), *head)
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    return network


def allcnn() -> nn.Module:
    """All-CNN-C for CIFAR-10, with BatchNorm in place of dropout: convolutions alone, strides in place of pooling.

    Source: Springenberg et al. 2015, arXiv:1412.6806; 1,370,986 parameters.
    """
    return nn.Sequential(
        *_conv(3, 96),
        *_conv(96, 96),
        *_conv(96, 96, stride=2),
        *_conv(96, 192),
        *_conv(192, 192),
        *_conv(192, 192, stride=2),
        *_conv(192, 192, padding=0),
        *_conv(192, 192, kernel=1),
        nn.Conv2d(192, 10, 1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )


def mlp() -> nn.Module:
    """30 features, 16 hidden units, 2 classes."""
    return nn.Sequential(nn.Linear(30, 16), nn.ReLU(), nn.Linear(16, 2))


def logistic() -> nn.Module:
    """Logistic regression from 30 features to 2 classes: with weight decay its loss has one minimum."""
    return nn.Linear(30, 2)


def convnet(
    channels: int, height: int, width_px: int, classes: int, *, filters: int = 128, depth: int = 3
) -> nn.Module:
    """The ConvNet of data-set condensation: ``depth`` blocks of a 3 x 3 convolution, InstanceNorm, ReLU and 2 x 2
    average pooling, all with ``filters`` channels, and a linear layer.

    Each block halves the picture and needs at least 2 x 2 pixels of it, so a small one gets fewer blocks.
    Source: Gidaris and Komodakis 2018, arXiv:1804.09458, as Zhao and Bilen 2023, arXiv:2110.04181, use it.

    >>> sum(isinstance(layer, nn.Conv2d) for layer in convnet(1, 6, 28, 10))
    2
    """
    blocks: list[nn.Module] = []
    while min(height, width_px) >= 2 and len(blocks) < 4 * depth:
        blocks += [nn.Conv2d(channels, filters, 3, padding=1), nn.InstanceNorm2d(filters, affine=True)]
        blocks += [nn.ReLU(), nn.AvgPool2d(2)]
        channels, height, width_px = filters, height // 2, width_px // 2
    return nn.Sequential(*blocks, nn.Flatten(), nn.Linear(channels * height * width_px, classes))


def perceptron(features: int, classes: int, hidden: int = 128) -> nn.Module:
    """``features`` numbers of any shape, two hidden layers of ReLU, ``classes``."""
    first, second = nn.Linear(features, hidden), nn.Linear(hidden, hidden)
    return nn.Sequential(nn.Flatten(), first, nn.ReLU(), second, nn.ReLU(), nn.Linear(hidden, classes))


def _pooled(inputs: int, outputs: int) -> list[nn.Module]:
    # Pooled first, BatchNorm and ReLU have a quarter of the work.
    return [nn.Conv2d(inputs, outputs, 5, bias=False), nn.MaxPool2d(2), nn.BatchNorm2d(outputs), nn.ReLU()]


def _conv(
    inputs: int, outputs: int, *, kernel: int = 3, stride: int = 1, padding: int | None = None, pooled: bool = False
) -> list[nn.Module]:
    """Convolution, BatchNorm, ReLU; ``padding`` keeps the size unless given."""
    padding = kernel // 2 if padding is None else padding
    conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False)
    return [conv, nn.BatchNorm2d(outputs), *([nn.MaxPool2d(2)] if pooled else []), nn.ReLU()]


def _four_stages() -> list[nn.Module]:
    """Two basic blocks each at 64, 128, 256 and 512 channels; each stage but the first halves the image."""
    stages = [(64, 64, 1), (64, 128, 2), (128, 256, 2), (256, 512, 2)]
    return [layer for inputs, outputs, stride in stages for layer in _stage(inputs, outputs, stride)]


def _stage(inputs: int, outputs: int, stride: int) -> list[nn.Module]:
    return [*_basic_block(inputs, outputs, stride), *_basic_block(outputs, outputs, 1)]


def _basic_block(inputs: int, outputs: int, stride: int) -> list[nn.Module]:
    last = [nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs)]
    shortcut = None
    if stride != 1 or inputs != outputs:
        shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
    return [Residual(nn.Sequential(*_conv(inputs, outputs, stride=stride), *last), shortcut), nn.ReLU()]
