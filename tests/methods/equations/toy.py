"""A linear network of two inputs and three classes, examples to keep and to forget, and gradients by hand.

One example of each kind is enough for many an equation; three of each tell a mean over a batch from a sum.
"""

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from typing import TypeVar

import torch
from torch import Tensor, nn

from expunge.ensembles import Ensemble, Origin
from expunge.ensembles.seeds import Generators
from expunge.errors import BadSetting
from expunge.methods import METHODS, configure
from expunge.methods.method import Unlearn
from expunge.suites import Examples, Split
from expunge.suites.recipe import Recipe

T = TypeVar("T")
LR = 0.1
W = torch.tensor([[1.0, -0.5], [0.25, 0.5], [-1.0, 0.0]], dtype=torch.float64)
RETAIN = Examples(torch.tensor([[1.0, 2.0]], dtype=torch.float64), torch.tensor([0]))
FORGET = Examples(torch.tensor([[-1.0, 1.0]], dtype=torch.float64), torch.tensor([2]))


def network() -> nn.Module:
    """Two inputs, three classes, weights newly drawn."""
    return nn.Sequential(nn.Linear(2, 3, bias=False, dtype=torch.float64))


SPLIT = Split(RETAIN, FORGET, 3, Recipe(epochs=1, batch_size=64, lr=0.1), network)
SIX = Split(
    Examples(torch.tensor([[1.0, 2.0], [0.5, -1.0], [2.0, 0.25]], dtype=torch.float64), torch.tensor([0, 1, 1])),
    Examples(torch.tensor([[-1.0, 0.6], [0.75, 1.0], [-0.5, -1.25]], dtype=torch.float64), torch.tensor([2, 0, 0])),
    3,
    SPLIT.recipe,
    network,
)  # no two of its gradients are equally large


def run_toy(
    name: str, settings: Mapping[str, object], split: Split = SPLIT, w: Tensor = W, models: int = 2
) -> list[Tensor]:
    """The weight matrices after each epoch, ``(models, classes, inputs)``; settings not taken are dropped."""
    steps = method_of(name)(linear(w, models), split, config_of(name, settings), Generators(range(models)))
    return [step.state()["0.weight"] for step in steps]


def method_of(name: str) -> Unlearn:
    """The function of a row that has one."""
    function = METHODS[name].unlearn
    if function is None:
        raise TypeError(f"{name} makes no models")
    return function


def config_of(name: str, settings: Mapping[str, object]) -> object:
    """The config with those of the settings that the row takes.

    In another row's place it may have a setting of that name which means something else, and refuse the value.
    """
    known = {field.name for field in fields(METHODS[name].config)}
    mine = {key: value for key, value in settings.items() if key in known}
    if not takes(name, mine):
        mine = {key: value for key, value in mine.items() if takes(name, {key: value})}
    return configure(name, METHODS[name], mine)


def takes(name: str, settings: Mapping[str, object]) -> bool:
    """Whether the row allows these settings."""
    try:
        configure(name, METHODS[name], settings)
    except BadSetting:
        return False
    return True


def exactly(count: int, steps: Iterable[T]) -> list[T]:
    """The steps; raise AssertionError unless there are so many."""
    found = list(steps)
    assert len(found) == count
    return found


def linear(w: Tensor = W, models: int = 2) -> Ensemble:
    """The same linear network, so many times."""
    network = nn.Sequential(nn.Linear(w.shape[1], w.shape[0], bias=False)).double()
    network.load_state_dict({"0.weight": w})
    origin = Origin("test", "0", "pretrained", None, tuple(range(models)))
    return Ensemble.stack([network] * models, origin, (w.shape[1],))


def require_steps(found: Sequence[Tensor], *expected: Tensor | Sequence[Tensor]) -> None:
    """Raise AssertionError unless every model is, after each epoch, at the weights expected, or at one of several."""
    assert len(found) == len(expected)
    for weights, wanted in zip(found, expected, strict=True):
        choices = [wanted] if isinstance(wanted, Tensor) else wanted
        for each in weights:
            assert any(torch.allclose(each, one, rtol=0, atol=1e-12) for one in choices)


def steps_to(
    settings: Mapping[str, object], *expected: Callable[[], Tensor | Sequence[Tensor]], split: Split = SPLIT
) -> Callable[[str], None]:
    """A check: after each epoch with these settings the weights are those that the functions compute."""

    def check(name: str) -> None:
        require_steps(run_toy(name, settings, split), *(each() for each in expected))

    return check


def cross_entropy_gradient(w: Tensor, x: Tensor, y: int) -> Tensor:
    """``(softmax(W x) - e_y) x^T``."""
    p = (w @ x).softmax(0)
    p[y] -= 1
    return p[:, None] * x


def mean_gradient(w: Tensor, examples: Examples, labels: Sequence[int] | None = None) -> Tensor:
    """Of the mean cross-entropy of all ``examples``, whose labels others may replace."""
    wanted = examples.y.tolist() if labels is None else labels
    return over(cross_entropy_gradient(w, x, y) for x, y in zip(examples.x, wanted, strict=True))


def over(gradients: Iterable[Tensor]) -> Tensor:
    """Their mean."""
    each = list(gradients)
    return torch.stack(each).sum(0) / len(each)


def all_wrong(examples: Examples) -> list[tuple[int, ...]]:
    """Every way to draw a wrong label for each of ``examples``."""
    return list(itertools.product(*([c for c in range(3) if c != y] for y in examples.y.tolist())))


def distillation_gradient(teacher: Tensor, w: Tensor, x: Tensor, t: float) -> Tensor:
    """Of ``T^2 KL(softmax(W0 x / T) || softmax(W x / T))``: ``T (q - p) x^T``."""
    p, q = (teacher @ x / t).softmax(0), (w @ x / t).softmax(0)
    return t * (q - p)[:, None] * x
