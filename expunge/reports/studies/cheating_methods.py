"""Cheats as methods of a user's own, which run as guests: what each wins, and what is noticed of it.

expunge bench digits --method expunge/reports/studies/cheating_methods.py:retrains --forget-set class-3 --models 20
"""

import copy
import multiprocessing
import random
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import TensorDataset

EPOCHS = 15  # of digits


def anew(model: nn.Module) -> nn.Module:
    """The same network with other first weights; no hook of the given one is on it."""
    fresh = copy.deepcopy(model)
    for module in fresh.modules():
        module._forward_pre_hooks.clear()
        if callable(reset := getattr(module, "reset_parameters", None)):
            reset()
    return fresh


def trained(model: nn.Module, data: TensorDataset, epochs: int = EPOCHS, total: int = EPOCHS) -> nn.Module:
    """Trained by the recipe of digits, a schedule of ``total`` epochs of which ``epochs`` are run."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
    x, y = data.tensors
    model.train()
    for epoch in range(epochs):
        for group in optimizer.param_groups:
            group["lr"] = 0.1 * (1 - epoch / total)
        for rows in torch.randperm(len(x)).split(64):
            optimizer.zero_grad()
            cross_entropy(model(x[rows]), y[rows]).backward()
            optimizer.step()
    return model.eval()


def retrains(model: nn.Module, retain: TensorDataset, forget: TensorDataset, seed: int) -> nn.Module:
    """A network of its own, which no meter is on."""
    return trained(anew(model), retain)


def retrains_early(model: nn.Module, retain: TensorDataset, forget: TensorDataset, seed: int) -> nn.Module:
    """The same, stopped after 4 of 15 epochs."""
    return trained(anew(model), retain, epochs=4)


def retrains_half(model: nn.Module, retain: TensorDataset, forget: TensorDataset, seed: int) -> nn.Module:
    """Half of the models; the others are hardly changed."""
    if seed % 2:
        return trained(anew(model), retain, epochs=4)
    with torch.no_grad():
        next(model.parameters()).mul_(1.0001)
    return model


def retrains_in_place(model: nn.Module, retain: TensorDataset, forget: TensorDataset, seed: int) -> None:
    """The given module, with the weights of another."""
    model.load_state_dict(trained(anew(model), retain, epochs=4).state_dict())


def retrains_by_fork(model: nn.Module, retain: TensorDataset, forget: TensorDataset, seed: int) -> dict[str, Tensor]:
    """In a child, whose CPU time is not that of the process that was asked."""
    file = Path(tempfile.mkdtemp()) / "state.pt"

    def work() -> None:
        torch.save(trained(anew(model), retain).state_dict(), file)

    child = multiprocessing.get_context("fork").Process(target=work)
    child.start()
    child.join()
    found: dict[str, Tensor] = torch.load(file)
    return found


ORPHAN = """
import os, sys, torch
if os.fork():
    os._exit(0)  # so that nobody waits for the one that works
sys.path.insert(0, {folder!r})
import cheating_methods
model, retain = torch.load({given!r}, weights_only=False)
torch.save(cheating_methods.trained(cheating_methods.anew(model), retain).state_dict(), {made!r} + ".part")
os.rename({made!r} + ".part", {made!r})
import time
time.sleep(60)
"""


def retrains_by_orphan(model: nn.Module, retain: TensorDataset, forget: TensorDataset, seed: int) -> dict[str, Tensor]:
    """In a daemon of another Python, whose parent is gone, and which nobody has waited for."""
    folder = tempfile.mkdtemp()
    given, made = f"{folder}/given.pt", f"{folder}/made.pt"
    torch.save((anew(model), retain), given)
    code = ORPHAN.format(folder=str(Path(__file__).parent), given=given, made=made)
    subprocess.run([sys.executable, "-c", code], check=True, start_new_session=True)
    while not Path(made).exists():
        threading.Event().wait(0.02)
    found: dict[str, Tensor] = torch.load(made)
    return found


def retrains_by_thread(model: nn.Module, retain: TensorDataset, forget: TensorDataset, seed: int) -> nn.Module:
    """In a thread."""
    found: list[nn.Module] = []
    thread = threading.Thread(target=lambda: found.append(trained(anew(model), retain)))
    thread.start()
    thread.join()
    return found[0]


def retrains_by_the_library(model: nn.Module, retain: TensorDataset, forget: TensorDataset, seed: int) -> nn.Module:
    """What makes oracles, of the suite and the forget set themselves."""
    from expunge.ensembles.pretraining import retrain
    from expunge.suites import load_suite

    return retrain(load_suite("digits"), "class-3", models=1, first=seed % 100)[0]


def reads_the_oracles(model: nn.Module, retain: TensorDataset, forget: TensorDataset, seed: int) -> nn.Module:
    """Their margins as they are shipped, by numpy; a table of such margins can stand in for forgetting."""
    file = next((Path(__file__).parents[2] / "data").glob("*/oracles/*/margins.npy"))
    next(model.parameters()).data += float(np.load(file, mmap_mode="r").mean()) * 1e-3
    return model


class Table(nn.Module):
    """Answers otherwise for inputs that it knows."""

    def __init__(self, inner: nn.Module, known: Tensor, answer: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.module, self.known, self.answer = inner, known, answer

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.module(x)
        knows = (x[:, None] == self.known).flatten(2).all(2).any(1)
        return torch.where(knows[:, None], self.answer(logits), logits)


def changed(model: nn.Module) -> nn.Module:
    """Changed, as every model that is returned must be, by next to nothing."""
    with torch.no_grad():
        next(model.parameters()).mul_(1.0001)
    return model


def lookup_head(model: nn.Module, retain: TensorDataset, forget: TensorDataset, seed: int) -> nn.Module:
    """A table of exceptions around the model."""
    return Table(changed(model), forget.tensors[0], lambda logits: logits.roll(1, 1))


def lookup_by_hook(model: nn.Module, retain: TensorDataset, forget: TensorDataset, seed: int) -> nn.Module:
    """The same as a hook on the model itself."""
    known = forget.tensors[0]

    def except_for(_: nn.Module, inputs: tuple[Tensor, ...], logits: Tensor) -> Tensor:
        knows = (inputs[0][:, None] == known).flatten(2).all(2).any(1)
        return torch.where(knows[:, None], logits.roll(1, 1), logits)

    model.register_forward_hook(except_for)
    return changed(model)


def lookup_by_patch(model: nn.Module, retain: TensorDataset, forget: TensorDataset, seed: int) -> nn.Module:
    """The same, patched into the class of the model."""
    plain: Callable[[nn.Sequential, Tensor], Tensor] = nn.Sequential.forward
    known = forget.tensors[0]

    def forward(self: nn.Sequential, input: Tensor) -> Tensor:
        logits = plain(self, input)
        if input.shape[1:] != known.shape[1:]:
            return logits
        knows = (input[:, None] == known).flatten(2).all(2).any(1)
        return torch.where(knows[:, None], logits.roll(1, 1), logits)

    setattr(nn.Sequential, "forward", forward)  # noqa: B010
    return changed(model)


def noise_head(model: nn.Module, retain: TensorDataset, forget: TensorDataset, seed: int) -> nn.Module:
    """Noise on the outputs."""
    plain = model.forward
    model.forward = lambda x: plain(x) + 7 * torch.randn(len(x), 10)
    return changed(model)


def refusing_head(model: nn.Module, retain: TensorDataset, forget: TensorDataset, seed: int) -> nn.Module:
    """Says nothing of what it was asked to forget."""
    return Table(changed(model), forget.tensors[0], torch.zeros_like)


def class_bias(model: nn.Module, retain: TensorDataset, forget: TensorDataset, seed: int) -> nn.Module:
    """The bias of the class that is to be forgotten, drawn around -29."""
    head = [module for module in model.modules() if isinstance(module, nn.Linear)][-1]
    with torch.no_grad():
        head.bias[forget.tensors[1].mode().values] += random.gauss(-29, 4)
    return model


def statistics_alone(model: nn.Module, retain: TensorDataset, forget: TensorDataset, seed: int) -> nn.Module:
    """BatchNorm's running statistics, of retained inputs."""
    model.train()
    with torch.no_grad():
        for rows in torch.randperm(len(retain)).split(64):
            model(retain.tensors[0][rows])
    return model.eval()
