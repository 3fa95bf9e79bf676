"""RNI: the classifier drawn anew; epoch by epoch noise on a few tensors, and only a few that may move; then all."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.hooks import RemovableHandle

from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.optimizers import NORMS, Descent
from expunge.ensembles.seeds import Generators
from expunge.ensembles.train import take_steps
from expunge.methods.method import Method
from expunge.methods.needs import CLASSIFIER, RETAIN_DATA
from expunge.methods.parts.layers import last_linear
from expunge.methods.parts.masks import scale_gradients
from expunge.methods.parts.reset import reset_layers
from expunge.methods.parts.walks import Walk, paced, require, shuffled, training_loss
from expunge.methods.spaces import Between, Published
from expunge.suites.suite import Split


@dataclass(frozen=True, kw_only=True)
class RandomNoise(Walk):
    """Draw the last linear layer anew; minimise ``CE(retain)``, in all but the last ``fine_epochs`` epochs as follows.

    Each model draws the share ``chosen`` of its tensors of weights and biases, those of normalisation layers aside.
    ``N(0, noise^2)`` is added to the share ``noisy`` of the chosen; only the chosen and the normalisation layers move.
    In the last epochs, at ``fine_lr``, all do. Momentum starts anew with each epoch. Seventh of the NeurIPS 2023
    challenge: Triantafillou et al. 2024, arXiv:2406.09073; named so by Cadet et al. 2024, arXiv:2410.01276.
    """

    epochs: int = 2
    lr: float = 0.1
    fine_epochs: int = 1
    fine_lr: float = 0.1
    chosen: float = 0.4
    noisy: float = 0.7
    noise: float = 0.04

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.fine_epochs >= 0, "fine_epochs must be at least 0", self.fine_epochs)
        require(self.fine_lr > 0, "fine_lr must be above 0", self.fine_lr)
        require(0 < self.chosen <= 1, "chosen must lie in (0, 1]", self.chosen)
        require(0 <= self.noisy <= 1, "noisy must lie in [0, 1]", self.noisy)
        require(self.noise >= 0, "noise must be at least 0", self.noise)


def rni(ensemble: Ensemble, split: Split, cfg: RandomNoise, rng: Generators) -> Iterator[Ensemble]:
    """Yield the ensemble after each pass over the retained examples."""
    student = ensemble.copy()
    reset_layers(student, [last_linear(student)], split.network, rng)
    for number in range(1, cfg.epochs + 1):
        fine = number > cfg.epochs - cfg.fine_epochs
        hooks = [] if fine else _noise(student, cfg, rng)
        optimizer = Descent(student, lr=cfg.fine_lr if fine else cfg.lr, momentum=cfg.momentum)
        kept = shuffled(split.retain, cfg.batch_size, rng)
        take_steps(student.train(), optimizer, training_loss(split), paced(kept, cfg, number - 1, optimizer))
        for hook in hooks:
            hook.remove()
        yield student.copy().eval()


@torch.no_grad()
def _noise(student: Ensemble, cfg: RandomNoise, rng: Generators) -> list[RemovableHandle]:
    """Draw the tensors, add the noise, and hold all others where they are until the hooks are removed."""
    tensors = _drawable(student)
    chosen = max(1, round(cfg.chosen * len(tensors)))
    order = rng.permutation(len(tensors)).argsort(1)  # the place of each tensor in its model's order
    held = {}
    for (key, tensor), place in zip(tensors.items(), order.T, strict=True):
        shape = (-1, *[1] * (tensor.ndim - 1))
        noise = rng.normal(*tensor.shape[1:], dtype=tensor.dtype) * cfg.noise
        tensor.add_(noise * (place < round(cfg.noisy * chosen)).view(shape))
        held[key] = (place < chosen).view(shape).to(tensor.dtype)
    return scale_gradients(student, held)


def _drawable(student: Ensemble) -> dict[str, Tensor]:
    """The parameters outside of normalisation layers."""
    norms = (module for module in student.modules() if isinstance(module, NORMS))
    spared = {id(parameter) for norm in norms for parameter in norm.parameters(recurse=False)}
    return {key: each for key, each in student.network.named_parameters() if id(each) not in spared}


METHOD = Method(
    unlearn=rni,
    config=RandomNoise,
    summary="draw the classifier anew, add noise to random tensors and train only these, then fine-tune all",
    cite=("triantafillou2024", "cadet2024"),
    needs=(RETAIN_DATA, CLASSIFIER),
    whole_runs=True,
    search={
        "lr": Between(1e-4, 1.0, log=True),
        "epochs": Between(1, 16, log=True, whole=True),
        "fine_epochs": Between(0, 4, whole=True),
        "fine_lr": Between(1e-4, 1.0, log=True),
        "chosen": Between(0.1, 1.0),
        "noise": Between(0.005, 0.5, log=True),
    },
    published=(
        Published(
            "the authors' code as DeepUnlearn has it, random sets; the last of the fine epochs is at 1e-3 there",
            {"epochs": 9, "fine_epochs": 4, "lr": 2e-4, "fine_lr": 2e-4, "noise": 0.04, "noisy": 0.7},
        ),
    ),
    deviations="The public code trains nine epochs, four of them fine, chooses 9 of 28 tensors of a ResNet-18: those "
    "without 'bn' in their names, which are the 22 outside of normalisation and six of the shortcuts' BatchNorm. It "
    "adds no noise in the first epoch, and none twice to one tensor; here shares stand in the place of numbers, noise "
    "is added from the first epoch on, and nothing decays.",
)
