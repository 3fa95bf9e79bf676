"""What is known to be false of a network, or of how it was trained, among what theorems stand on.

What nobody knows to be false is not therefore true: it stays assumed. Keys are those of
:data:`~expunge.certificates.theorems.statement.CONDITIONS`.
"""

import copy
import re
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.modules.batchnorm import _BatchNorm

from expunge.certificates.theorems.theorem import THEOREMS
from expunge.errors import NotApplicable
from expunge.suites.recipe import Recipe
from expunge.suites.suite import Suite

SHOWN = 8  # examples that the network is asked with
_TOLERANCE = 1e-8  # of sums in float64, in parts of the largest output
_KINKS = {  # nodes of autograd's graph at which the gradient jumps, by their names
    "ReLU": r"Relu|Threshold",
    "leaky ReLU": r"LeakyRelu|Rrelu.*|Prelu.*",
    "max pooling": r".*MaxPool.*",
    "clipped activations": r"Hardtanh|Clamp.*|Hardsigmoid|Hardswish",
    "a maximum": r"A?(Max|Min)|Maximum|Minimum",
    "an absolute value": r"Abs",
    "shrinking": r"Softshrink|Hardshrink",
    "sorting": r"Sort|Topk|Kthvalue|Median",
}
_BENDS = {"ELU": r"Elu|Celu"}  # at which its derivative does


@dataclass(frozen=True)
class Known:
    """Conditions that are known to be false, and those that are known to hold, each with why."""

    false: dict[str, str]
    held: dict[str, str]


def known(suite: Suite, *, by_recipe: bool) -> Known:
    """What is known of the suite's models.

    ``by_recipe``: whether the models are trained by the suite's recipe, and not as a certified method asks it.
    """
    found = of_network(suite.network(), suite.data.train.x[:SHOWN])
    recipe = of_recipe(suite.recipe, suite.data.sizes[0]) if by_recipe else {}
    return Known(found.false | recipe, found.held)


def require_applicable(method: str, theorem: str, suite: Suite) -> None:
    """Refuse, before any work, a method of linear models where the network is none: most weights it leaves as they are.

    Of others that a network makes NOT CERTIFIED the noise is on all weights, so that what they claim can be tried.
    """
    condition = "linear model"
    if condition not in THEOREMS[theorem].conditions:
        return
    if why := known(suite, by_recipe=False).false.get(condition, ""):
        raise NotApplicable(
            f"{method} does not apply to {suite.name}, where it is NOT CERTIFIED: {condition} is false, {why}; take a "
            "suite whose network is linear, as tabular, or another certified method"
        )


def of_network(network: nn.Module, x: Tensor) -> Known:
    """What is known of a network, asked with the inputs ``x``; the network itself stays as it was."""
    copied = copy.deepcopy(network).double().eval()
    inputs = x.double() if x.is_floating_point() else x
    kinks = sorted(set(_nodes_in(copied(inputs), _KINKS)))
    bends = sorted(set(_nodes_in(copied(inputs), _BENDS)))
    if any(isinstance(each, _BatchNorm) for each in copied.modules()):
        kinks.append("BatchNorm, which divides by a spread that can be next to nothing")
    false = {}
    if kinks:
        false["smooth"] = f"the gradient has no Lipschitz constant, because of {', '.join(kinks)}"
    if kinks or bends:
        false["smooth Hessian"] = f"the Hessian has no Lipschitz constant, because of {', '.join(kinks + bends)}"
    if not _is_linear(copied, inputs):
        false["linear model"] = "the outputs are no linear function of the weights"
        false["strongly convex"] = (
            "the outputs are no linear function of the weights: the loss has more than one valley"
        )
    held = [name for name, _ in network.named_buffers()]
    buffers = [name for name, each in network.named_buffers() if each.is_floating_point()]
    if buffers:
        false["no buffers"] = f"{len(buffers)} buffers, such as {buffers[0]}, hold what training saw, and get no noise"
    if _draws(copied, inputs):
        false["no chance"] = "the network draws by chance in training, as dropout does"
    return Known(false, {} if held else {"no buffers": "the network has none"})  # whole numbers may be positions


def of_recipe(recipe: Recipe, records: int) -> dict[str, str]:
    """What is false of models that were trained by a recipe on so many records."""
    false = {
        "plain steps": "the recipe's learning rate climbs and falls"
        + (f", and it has momentum {recipe.momentum:g}" if recipe.momentum else ""),
        "converged": f"training ends after {recipe.epochs} epochs of falling steps, not at the minimum",
        "projected": "training by the recipe projects no weights",
        "trained with noise": "training by the recipe adds no noise",
        "objective perturbation": "training by the recipe adds no random term to the loss",
        "clipped by example": "training by the recipe clips no gradients",
        "sampled batches": "the recipe shuffles the examples: each is in exactly one batch of an epoch",
    }
    if recipe.batch_size < records:
        false["full batch"] = f"training takes batches of {recipe.batch_size} of {records} examples"
    if not recipe.weight_decay:
        false["strongly convex"] = "the recipe has no weight decay: nothing makes the loss strongly convex"
    if recipe.augment != "none":
        false["no chance"] = f"training changes its pictures by chance ({recipe.augment})"
    return false


def _nodes_in(output: Tensor, names: dict[str, str]) -> Iterator[str]:
    """Words for the nodes of autograd's graph of ``output``, of those in ``names``."""
    waiting, seen = [output.grad_fn], set()
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        kind = type(node).__name__.partition("Backward")[0]
        yield from (word for word, pattern in names.items() if re.fullmatch(pattern, kind))
        waiting += [each for each, _ in node.next_functions]


@torch.no_grad()
def _is_linear(network: nn.Module, x: Tensor) -> bool:
    """Whether outputs add up as weights do; asked of two drawn weights, so a yes is a guess, a no is none."""
    chance = torch.Generator().manual_seed(0)
    names = dict(network.named_parameters())
    one, other = (
        {name: torch.randn(each.shape, generator=chance, dtype=each.dtype) for name, each in names.items()}
        for _ in range(2)
    )
    both = {name: one[name] + other[name] for name in names}
    parts = functional_call(network, one, (x,)) + functional_call(network, other, (x,))
    whole = functional_call(network, both, (x,))
    return bool((whole - parts).abs().max() <= _TOLERANCE * (1 + parts.abs().max()))


@torch.no_grad()
def _draws(network: nn.Module, x: Tensor) -> bool:
    """Whether outputs differ from one pass of training to the next; the generators of torch stay where they were."""
    with torch.random.fork_rng(devices=[]):
        found = [copy.deepcopy(network).train()(x) for _ in range(2)]
    return not torch.equal(*found)
