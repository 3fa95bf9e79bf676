"""What a method needs of a suite: a table of predicates that are asked before any work, each with the words for it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import torch
from torch import nn
from torch.nn.modules.conv import _ConvNd

from expunge.errors import MissingData
from expunge.suites import ForgetSet, Suite
from expunge.suites.target import CLASSIFICATION


@dataclass(frozen=True)
class Need:
    """One thing that a method needs; ``met(suite, forget)`` asks whether there is it.

    What a method takes out of a store has a predicate of its own beside this one, its row's ``prepare``, which knows of
    settings: here is only asked what no build can mend.
    """

    name: str  # what listings print
    met: Callable[[Suite, ForgetSet], bool]
    otherwise: str  # what to say where it is not met

    def lacking(self, suite: Suite, forget: ForgetSet) -> str:
        """What is lacking, in a line; "" where nothing is."""
        return "" if self.met(suite, forget) else f"needs {self.otherwise}, which suite {suite.name!r} lacks"


def has_examples(suite: Suite, forget: ForgetSet) -> bool:
    """Whether the examples themselves are there, not margins alone."""
    try:
        return bool(len(suite.data.train))
    except MissingData:
        return False


def has_examples_to_keep(suite: Suite, forget: ForgetSet) -> bool:
    """Whether the examples are there, and some are kept."""
    return has_examples(suite, forget) and len(forget) < suite.data.sizes[0]


def has_convolutions(suite: Suite, forget: ForgetSet) -> bool:
    """Whether the suite's networks have a convolution."""
    return _has(suite.network, _ConvNd)


def has_linear_layer(suite: Suite, forget: ForgetSet) -> bool:
    """Whether the suite's networks have a linear layer, of which the last is the classifier."""
    return _has(suite.network, nn.Linear)


def has_linear_layer_or_convolution(suite: Suite, forget: ForgetSet) -> bool:
    """Whether the suite's networks have a layer that may have one output a class, linear or convolutional."""
    return _has(suite.network, nn.Linear, _ConvNd)


def has_one_label_an_example(suite: Suite, forget: ForgetSet) -> bool:
    """Whether an example has one label, a class."""
    return suite.target == CLASSIFICATION


def has_subsets(suite: Suite, forget: ForgetSet) -> bool:
    """Whether the suite has models trained on random halves."""
    return suite.subsets > 0


def has_held_out_oracles(suite: Suite, forget: ForgetSet) -> bool:
    """Whether the suite has oracles that nothing is compared with."""
    return suite.models >= 2


def trains_dense(suite: Suite, forget: ForgetSet) -> bool:
    """Whether its models are dense: those that a method starts from never are sparse."""
    return not suite.recipe.prune


@cache
def _has(network: Callable[[], nn.Module], *kinds: type[nn.Module]) -> bool:
    with torch.random.fork_rng(devices=[]):
        return any(isinstance(layer, kinds) for layer in network().modules())


FORGET_DATA = Need("forget data", has_examples, "the examples themselves")
RETAIN_DATA = Need("retain data", has_examples_to_keep, "the examples themselves, some of them kept")
CLASSES = Need("class labels", has_one_label_an_example, "one class label for each example")
CONVOLUTIONS = Need("convolutions", has_convolutions, "a network with convolutions")
CLASSIFIER = Need("a classifier", has_linear_layer, "a network with a linear layer")
CLASS_OUTPUTS = Need(
    "a classifier", has_linear_layer_or_convolution, "a network with a linear layer or convolution, one output a class"
)
FIRST_WEIGHTS = Need("first weights", has_examples, "the recipe and the examples of the first weights")
HALVES = Need("models trained on halves", has_subsets, "models trained on random halves")
ORACLES = Need("oracles", has_held_out_oracles, "oracles that nothing is compared with")
LOG = Need("log of the training", trains_dense, "dense models whose training was logged")
SHARDS = Need("models trained on shards", trains_dense, "dense models trained on shards")
