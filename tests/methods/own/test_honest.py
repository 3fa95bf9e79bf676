"""Methods of the usual kinds, as users write them, are accused of nothing."""

import copy
from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy, kl_div
from torch.nn.utils import prune
from torch.utils.data import DataLoader, TensorDataset

import expunge as xp
from expunge.ensembles import Ensemble

Own = Callable[[nn.Module, TensorDataset, TensorDataset, int], nn.Module]


def fitted(model: nn.Module, data: TensorDataset, lr: float, epochs: int = 1, sign: int = 1) -> nn.Module:
    optimizer = torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9)
    model.train()
    for _ in range(epochs):
        for x, y in DataLoader(data, 64, shuffle=True):
            optimizer.zero_grad()
            (sign * cross_entropy(model(x), y)).backward()
            optimizer.step()
    return model


def fine_tuned(model: nn.Module, retain: TensorDataset, forget: TensorDataset, seed: int) -> nn.Module:
    return fitted(model, retain, lr=0.05, epochs=2)


def ascended(model: nn.Module, retain: TensorDataset, forget: TensorDataset, seed: int) -> nn.Module:
    return fitted(fitted(model, forget, lr=0.005, sign=-1), retain, lr=0.02)


def pruned(model: nn.Module, retain: TensorDataset, forget: TensorDataset, seed: int) -> nn.Module:
    layers = [(layer, "weight") for layer in model.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    prune.global_unstructured(layers, prune.L1Unstructured, amount=0.9)
    return fitted(model, retain, lr=0.02)


def distilled(model: nn.Module, retain: TensorDataset, forget: TensorDataset, seed: int) -> nn.Module:
    """Into a copy: what the teacher says of retained examples, what a network that knows nothing says of the others."""
    teacher, ignorant = copy.deepcopy(model), copy.deepcopy(model)
    for layer in ignorant.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.reset_parameters()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9)
    for data, says in ((retain, teacher), (forget, ignorant)):
        for x, _ in DataLoader(data, 64, shuffle=True):
            optimizer.zero_grad()
            wanted = says(x).detach().softmax(1)
            kl_div(model(x).log_softmax(1), wanted, reduction="batchmean").backward()
            optimizer.step()
    return model


def last_layer_anew(model: nn.Module, retain: TensorDataset, forget: TensorDataset, seed: int) -> nn.Module:
    [*_, last] = [layer for layer in model.modules() if isinstance(layer, nn.Linear)]
    last.reset_parameters()
    return fitted(model, retain, lr=0.05)


def noisy(model: nn.Module, retain: TensorDataset, forget: TensorDataset, seed: int) -> nn.Module:
    with torch.no_grad():
        for weights in (each for each in model.parameters() if each.ndim > 1):
            weights.add_(0.3 * weights.std() * torch.randn_like(weights))
    return fitted(model, retain, lr=0.05)


def watched(model: nn.Module, retain: TensorDataset, forget: TensorDataset, seed: int) -> nn.Module:
    """With a hook that only looks, in a wrapper."""
    seen = []
    next(model.children()).register_forward_hook(lambda module, inputs, output: seen.append(output.shape))
    return nn.DataParallel(fitted(model, retain, lr=0.05))


HONEST = [fine_tuned, ascended, pruned, distilled, last_layer_anew, noisy, watched]


@pytest.mark.parametrize("forget", ["class-3", "random-50"])
@pytest.mark.parametrize("method", HONEST)
def test_nothing_is_noticed_of_it(method: Own, forget: str, ensemble: Ensemble) -> None:
    made = xp.unlearn(ensemble, forget, method).origin.made
    assert made is not None
    assert made.alarms == ()


@pytest.mark.parametrize("method", [fine_tuned, last_layer_anew])
def test_nor_of_one_model_alone(method: Own, ensemble: Ensemble) -> None:
    made = xp.unlearn(ensemble[:1], "class-3", method).origin.made
    assert made is not None
    assert made.alarms == ()
