"""Networks for a suite's shapes, and the output before their classifier, where they have one."""

import pickle
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from expunge.attacks.condensing.condense import check_condensing
from expunge.attacks.condensing.embeddings import NETWORKS, before_classifier, check_embedding, embedding, network_for
from expunge.errors import BadSetting
from expunge.suites import Data, Examples, Suite, load_suite
from expunge.suites.networks import resnet9
from tests.attacks.condensing.small import config, hidden, normed, pictures, table


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_a_network_fits_pictures_and_travels_in_a_pickle(name: str) -> None:
    suite = pictures()
    make = pickle.loads(pickle.dumps(network_for(suite, name)))
    assert make()(suite.data.train.x[:5]).shape == (5, suite.data.classes)
    check_embedding(suite, name, make)


@pytest.mark.parametrize("name", ["suite", "perceptron"])
def test_a_network_fits_tables(name: str) -> None:
    suite = table()
    assert network_for(suite, name)()(suite.data.train.x[:5]).shape == (5, 2)


@pytest.mark.parametrize("name", ["convnet", "lenet"])
def test_a_table_is_no_picture(name: str) -> None:
    with pytest.raises(BadSetting, match=rf"embedding '{name}' takes pictures .* inputs of \(5,\); choose suite or p"):
        network_for(table(), name)


@pytest.mark.parametrize(("side", "blocks"), [(2, 1), (4, 1), (8, 2), (15, 2), (16, 3), (64, 3)])
def test_a_convnet_norms_4_by_4_pixels_or_more(side: int, blocks: int) -> None:
    suite = pictures()
    pad = (0, side - 8, 0, side - 8)
    train, test = (Examples(F.pad(part.x, pad), part.y) for part in (suite.data.train, suite.data.test))
    network = network_for(replace(suite, data=Data(train, test, 3)), "convnet")()
    assert sum(isinstance(layer, nn.InstanceNorm2d) for layer in network.modules()) == blocks


class Written(nn.Module):
    """A module whose classifier is one of its own, as people write them."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(64, 7), nn.ReLU())
        self.classifier = nn.Linear(7, 3)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.body(x))
        return logits


class Twice(Written):
    """Its last linear layer is used twice: what it takes is no one output."""

    def forward(self, x: Tensor) -> Tensor:
        x = self.body(x)
        logits: Tensor = self.classifier(x) + self.classifier(2 * x)
        return logits


def convolutional() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 3, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())


def linear() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 3))


def of(network: Callable[[], nn.Module]) -> Suite:
    return replace(pictures(), network=network)


@pytest.mark.parametrize(
    ("make", "shape", "width"),
    [(normed, (1, 8, 8), 36), (hidden, (5,), 8), (Written, (1, 8, 8), 7), (resnet9, (3, 32, 32), 128)],
)
def test_an_embedding_is_what_the_last_linear_layer_takes(make: type, shape: tuple[int, ...], width: int) -> None:
    torch.manual_seed(0)
    network, x = make().eval(), torch.randn(4, *shape)
    cut = before_classifier(network)
    assert cut is not None
    assert cut(x).shape == (4, width)
    last = [layer for layer in network.modules() if isinstance(layer, nn.Linear)][-1]
    torch.testing.assert_close(last(cut(x)).argmax(1), network(x).argmax(1))
    assert embedding(make)(x).shape == (4, width)


@pytest.mark.parametrize("network", [Twice, convolutional, linear])
def test_a_network_without_an_output_before_its_classifier_is_refused_for_dm_alone(network: type) -> None:
    suite = of(network)
    with pytest.raises(BadSetting, match="no output before its classifier; choose convnet or perceptron"):
        check_condensing(suite, config(embedding="suite"))
    check_condensing(suite, config(embedding="suite", generator="gm"))
    check_condensing(of(Written), config(embedding="suite"))


def test_logistic_regression_is_sent_to_the_perceptron() -> None:
    suite = load_suite("tabular")
    with pytest.raises(BadSetting, match=r"choose perceptron$"):
        check_condensing(suite, config(embedding="suite", pixels="free"))
