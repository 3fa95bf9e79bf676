"""What a method needs of a suite: a table of predicates that are asked before any work, each with the words for it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, lru_cache

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from expunge.ensembles.checkpoints import without_checkpoints
from expunge.ensembles.frozen import hold
from expunge.errors import MissingData
from expunge.methods.parts.last_layers import layers_of
from expunge.suites import ForgetSet, Suite
from expunge.suites.target import CLASSIFICATION

STEP = 1e-3  # by which inputs are moved


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


@cache
def _layers(network: Callable[[], nn.Module]) -> int:
    with torch.random.fork_rng(devices=[]):
        return len(layers_of(hold(network())))


def has_several_layers(suite: Suite, forget: ForgetSet) -> bool:
    """Whether the suite's networks have more than one layer with parameters that are not frozen."""
    return _layers(suite.network) > 1


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


def has_numbers_as_inputs(suite: Suite, forget: ForgetSet) -> bool:
    """Whether outputs of the suite's networks move with their inputs: real numbers, no numbers of tokens."""
    return has_examples(suite, forget) and _moved(suite)[0]


def has_slopes(suite: Suite, forget: ForgetSet) -> bool:
    """Whether the outputs of the suite's networks have a gradient in their inputs."""
    return has_examples(suite, forget) and _moved(suite)[1]


@lru_cache(maxsize=16)
def _moved(suite: Suite) -> tuple[bool, bool]:
    """Whether outputs of a new network move with its inputs, and whether they have a gradient in them.

    It is a network by itself, in evaluation mode, so that no method pays for the passes.
    """
    with torch.random.fork_rng(devices=[]), torch.enable_grad(), without_checkpoints():
        network, given = suite.network().eval(), suite.data.train.x[:8]
        x = given.to(torch.promote_types(given.dtype, torch.float32)).clone().requires_grad_()
        try:
            outputs, moved = network(x.clone()), network(x + STEP)  # copies, which it may change
        except Exception:  # the user's network may raise anything
            return _fails(network, given), _fails(network, given)
        if not isinstance(outputs, Tensor):
            return True, True  # which is refused as soon as an ensemble runs
        return not torch.equal(outputs, moved), _has_slope(outputs, x)


def _has_slope(outputs: Tensor, x: Tensor) -> bool:
    """Whether a gradient comes from the outputs to ``x``; what is changed in place after it was used lets none."""
    try:
        return torch.autograd.grad(outputs.sum(), x, allow_unused=True)[0] is not None
    except RuntimeError:
        return False


def _fails(network: nn.Module, x: Tensor) -> bool:
    """Whether a network raises on what it is made for: then something else is wrong, which its suite's check says."""
    try:
        network(x.clone())
    except Exception:  # anything
        return True
    return False


@cache
def _has(network: Callable[[], nn.Module], *kinds: type[nn.Module]) -> bool:
    with torch.random.fork_rng(devices=[]):
        return any(isinstance(layer, kinds) for layer in network().modules())


FORGET_DATA = Need("forget data", has_examples, "the examples themselves")
RETAIN_DATA = Need("retain data", has_examples_to_keep, "the examples themselves, some of them kept")
CLASSES = Need("class labels", has_one_label_an_example, "one class label for each example")
CONVOLUTIONS = Need("convolutions", has_convolutions, "a network with convolutions")
SEVERAL_LAYERS = Need("several layers", has_several_layers, "a network of more than one layer with parameters")
CLASSIFIER = Need("a classifier", has_linear_layer, "a network with a linear layer")
CLASS_OUTPUTS = Need(
    "a classifier", has_linear_layer_or_convolution, "a network with a linear layer or convolution, one output a class"
)
NUMBERS = Need(
    "inputs of real numbers",
    has_numbers_as_inputs,
    "outputs that move a little as the inputs do (of whole numbers, as of tokens, they do not)",
)
SLOPES = Need(
    "gradients in the inputs",
    has_slopes,
    "outputs with a gradient in the inputs (none comes through whole numbers, as of tokens, through torch.no_grad, or "
    "through what is used and then changed in place)",
)
FIRST_WEIGHTS = Need("first weights", has_examples, "the recipe and the examples of the first weights")
HALVES = Need("models trained on halves", has_subsets, "models trained on random halves")
ORACLES = Need("oracles", has_held_out_oracles, "oracles that nothing is compared with")
LOG = Need("log of the training", trains_dense, "dense models whose training was logged")
SHARDS = Need("models trained on shards", trains_dense, "dense models trained on shards")
