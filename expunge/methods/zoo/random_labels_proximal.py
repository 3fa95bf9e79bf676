"""Random labels with a proximal pull: after every step, the weights that moved least go back to where they were."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.seeds import Generators
from expunge.ensembles.train import Batch, minibatch_count
from expunge.methods.method import Method
from expunge.methods.needs import CLASSES, FORGET_DATA, RETAIN_DATA
from expunge.methods.parts.masks import cut_weights
from expunge.methods.parts.schedules import Counted
from expunge.methods.parts.walks import Phase, Walk, descend_from, require
from expunge.methods.spaces import Between, OneOf, Published
from expunge.methods.zoo.successive_random_labels import relabelled_then_retained
from expunge.suites.suite import Split


@dataclass(frozen=True, kw_only=True)
class RandomLabelsProximal(Walk):
    """In every epoch minimise ``CE(f(x_forget), wrong label)``, then ``CE(retain)``; shrink the change at every step.

    After step t of T, ``delta = theta - theta_0`` becomes ``sign(delta) max(|delta| - s, 0)``, where ``s`` is the
    quantile ``quantile (1 - t / T)`` of ``|delta|`` over all weights of a model: a share that falls linearly to 0 is
    back at theta_0. In the public code of Fan et al. 2024, arXiv:2310.12508, under the name of SalUn-soft.
    """

    epochs: int = 1
    lr: float = 3e-4
    quantile: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        require(0 <= self.quantile <= 1, "quantile must lie in [0, 1]", self.quantile)


def random_labels_proximal(
    ensemble: Ensemble, split: Split, cfg: RandomLabelsProximal, rng: Generators
) -> Iterator[Ensemble]:
    """Yield the ensemble after each epoch of two passes."""
    student = ensemble.copy()
    steps = cfg.epochs * sum(minibatch_count(len(part), cfg.batch_size) for part in (split.forget, split.retain))
    done = 0

    def shrunk(batches: Iterator[Batch]) -> Iterator[Batch]:
        nonlocal done
        for batch in batches:
            yield batch  # on which a step is made, before the next is asked for
            done += 1
            shrink_change(student, ensemble, cfg.quantile * (1 - done / steps))

    def epoch() -> Iterator[Phase[Batch]]:
        for loss, batches in relabelled_then_retained(split, cfg, rng):
            yield loss, Counted(shrunk(iter(batches)), len(batches))

    yield from descend_from(student, cfg, (epoch() for _ in range(cfg.epochs)))


@torch.no_grad()
def shrink_change(student: Ensemble, start: Ensemble, share: float) -> None:
    """Soft-threshold each model's change since ``start`` at the quantile ``share`` of its absolute values.

    In a sparse model they are those of the weights that are there.
    """
    pairs, cut = list(zip(student.parameters(), start.parameters(), strict=True)), cut_weights(start)
    count = cut + round(share * (sum(now[0].numel() for now, _ in pairs) - cut))
    if count == cut:
        return
    for model in range(len(student)):  # one by one, for the changes of all large models at once would fill a memory
        changes = [now[model] - before[model] for now, before in pairs]
        threshold: Tensor = torch.cat([each.flatten() for each in changes]).abs().kthvalue(count).values
        for (now, before), change in zip(pairs, changes, strict=True):
            now[model] = before[model] + change.sign() * (change.abs() - threshold).clamp(min=0)


METHOD = Method(
    unlearn=random_labels_proximal,
    config=RandomLabelsProximal,
    summary="random labels, while the weights that move least are pulled back",
    cite=("fan2024",),
    needs=(FORGET_DATA, RETAIN_DATA, CLASSES),
    whole_runs=True,
    search={
        "lr": Between(3e-5, 0.5, log=True),
        "quantile": Between(0.1, 0.9),
        "epochs": Between(1, 16, whole=True),
        "momentum": OneOf((0.0, 0.9)),
    },
    published=(
        Published("the code of Scissorhands, 10 % of CIFAR-10 at random", {"lr": 0.1, "epochs": 10, "momentum": 0.9}),
    ),
    deviations="For CIFAR the public code mixes both passes, lets the quantile fall epoch by epoch, and takes as the "
    "start of each epoch's change the weights of that epoch; here the start is theta_0, as the word proximal says.",
)
