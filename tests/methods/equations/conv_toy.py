"""Two convolutions and a linear layer in float64; three examples to keep, three to forget; and torch's own gradients.

The stacked models differ. What a method does to one is done again to an ordinary module of torch.
"""

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from expunge.ensembles import Ensemble, Origin
from expunge.ensembles.seeds import Generators
from expunge.suites import Examples, Split
from expunge.suites.recipe import Recipe
from tests.methods.equations.toy import config_of, method_of

LR = 0.1
STILL = 1e-30  # a learning rate at which no weight moves
PLAIN: dict[str, object] = {"epochs": 1, "lr": LR, "momentum": 0.0}
State = dict[str, Tensor]  # of one model; or of all, with a leading axis
Loss = Callable[[nn.Module], Tensor]


def network() -> nn.Sequential:
    """Inputs of 1 x 5 x 5, three classes; 18 + 2, 16 + 2, 24 + 3 weights and biases."""
    layers = nn.Conv2d(1, 2, 3), nn.Tanh(), nn.Conv2d(2, 2, 2), nn.Flatten(), nn.Linear(8, 3)
    return nn.Sequential(*layers).double()


def wave(*shape: int, phase: float) -> Tensor:
    """Numbers of which no two have one size."""
    rows = torch.arange(torch.Size(shape).numel(), dtype=torch.float64)
    return (1.7 * rows + phase).sin().reshape(shape)


RETAIN = Examples(wave(3, 1, 5, 5, phase=0.1), torch.tensor([0, 0, 2]))
FORGET = Examples(wave(3, 1, 5, 5, phase=0.7), torch.tensor([1, 2, 1]))
SPLIT = Split(RETAIN, FORGET, 3, Recipe(epochs=1, batch_size=64, lr=0.1), network)


def starts(models: int = 2) -> State:
    """The weights of all models before unlearning."""
    shapes = {key: tensor.shape for key, tensor in network().state_dict().items()}
    return {
        key: torch.stack([wave(*shape, phase=number + model) for model in range(models)])
        for number, (key, shape) in enumerate(shapes.items())
    }


def run_conv(name: str, settings: Mapping[str, object], models: int = 2, split: Split = SPLIT) -> list[State]:
    """The states of all models after each epoch, from the same seeds; settings that a row lacks are dropped."""
    given = {"iterations": 1, **settings}  # a series that stands in another row's place need not be long to fail
    origin = Origin("test", "0", "pretrained", None, tuple(range(models)))
    ensemble = Ensemble.from_state(network(), starts(models), origin, (1, 5, 5))
    steps = method_of(name)(ensemble, split, config_of(name, given), Generators(range(models)))
    return [step.state() for step in steps]


def model_of(state: State, index: int) -> nn.Module:
    """One model as an ordinary module."""
    result = network()
    result.load_state_dict({key: tensor[index] for key, tensor in state.items()})
    return result


def gradients(state: State, losses: Callable[[int], Loss]) -> State:
    """Of ``losses(model)`` of each model, stacked."""
    parts = []
    for index in range(len(next(iter(state.values())))):
        model = model_of(state, index)
        losses(index)(model).backward()
        parts.append({key: each.grad for key, each in model.named_parameters() if each.grad is not None})
    return {key: torch.stack([part[key] for part in parts]) for key in state}


def moved(
    state: State, losses: Callable[[int], Loss], lr: float = LR, factors: Mapping[str, Tensor | float] | None = None
) -> State:
    """``theta - lr m grad``, with a factor ``m`` of 1 where none is given."""
    found = gradients(state, losses)
    return {key: tensor - lr * (factors or {}).get(key, 1.0) * found[key] for key, tensor in state.items()}


def retain_loss(model: nn.Module) -> Tensor:
    """Mean cross-entropy of what is kept."""
    return F.cross_entropy(model(RETAIN.x), RETAIN.y)


def fine_tuned(state: State, lr: float = LR, factors: Mapping[str, Tensor | float] | None = None) -> State:
    """One step down the retain loss."""
    return moved(state, lambda _: retain_loss, lr, factors)


def require_equal(found: State, expected: State) -> None:
    """Raise AssertionError unless all tensors are equal to 1e-12."""
    assert found.keys() == expected.keys()
    for key, tensor in expected.items():
        assert torch.allclose(found[key], tensor, rtol=0, atol=1e-12), key


def require_spread(values: Tensor, std: float) -> None:
    """Raise AssertionError unless the numbers have mean 0 and this standard deviation, up to 5 standard errors."""
    tolerance = 5 * std / values.numel() ** 0.5
    assert abs(float(values.mean())) < tolerance
    assert abs(float(values.std()) - std) < tolerance


def differ(first: Tensor, second: Tensor) -> Tensor:
    """Where two tensors do, by more than a step at ``STILL``."""
    return (first - second).abs() > 1e-20


def changed(before: State, after: State) -> set[str]:
    """The tensors in which any number differs."""
    return {key for key, tensor in before.items() if differ(tensor, after[key]).any()}
