"""AMUN, adversarial machine unlearning: train on near inputs that the model errs on, with the class seen there."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.optimizers import Descent
from expunge.ensembles.origin import Meter
from expunge.ensembles.seeds import Generators
from expunge.ensembles.train import Batch, minibatch_count, minibatches, take_steps
from expunge.methods.method import Method
from expunge.methods.needs import CLASSES, FORGET_DATA, RETAIN_DATA, SLOPES
from expunge.methods.parts.adversarial import for_each_model, input_slope, of_length, within
from expunge.methods.parts.examples import beside, joined
from expunge.methods.parts.schedules import Counted
from expunge.methods.parts.walks import ForgetWalk, on_forget, paced, recipe_loss, require, training_loss
from expunge.methods.spaces import Between, OneOf, Published
from expunge.suites.suite import Examples, Split


@dataclass(frozen=True, kw_only=True)
class Amun(ForgetWalk):
    """Minimise CE on retain, forget and adversarial examples together, the last with the class that theta_0 sees there.

    They are sought by projected gradient ascent on ``CE(f_0(x), y)``, in l2: ``steps`` steps of length ``step`` times
    the radius, within a ball around the example of radius ``bound``, then of twice that, and so on, ``doublings``
    times. An example stops moving as soon as theta_0, in evaluation mode, errs on it: so it lies about as near as can
    be. Where theta_0 never errs its second choice counts. Without ``retain`` or ``forget`` the walk leaves those
    examples out; ``lr`` is multiplied by ``decay`` after each epoch. A search costs what each example needs. Without
    ``retain`` and ``forget_statistics`` batches leave BatchNorm's running statistics alone; with ``retain`` they do
    not, whatever ``forget_statistics``. Ebrahimpour-Boroojeny et al. 2025, arXiv:2503.00917.
    """

    epochs: int = 1
    lr: float = 0.01
    decay: float = 1.0
    bound: float = 0.5  # in units of the inputs
    step: float = 0.5
    steps: int = 4
    doublings: int = 2
    retain: bool = True
    forget: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        require(0 < self.decay <= 1, "decay must lie in (0, 1]", self.decay)
        require(self.bound > 0, "bound must be above 0", self.bound)
        require(0 < self.step <= 1, "step must lie in (0, 1]", self.step)
        require(self.steps >= 1, "steps must be at least 1", self.steps)
        require(0 <= self.doublings <= 30, "doublings must lie in 0 to 30", self.doublings)


def amun(ensemble: Ensemble, split: Split, cfg: Amun, rng: Generators) -> Iterator[Ensemble]:
    """Yield the ensemble after each pass over all that it is trained on."""
    adversarial = adversarial_examples(ensemble, split, cfg)
    shared = joined([split.retain, split.forget] if cfg.retain else [split.forget])
    count = adversarial[1].shape[1] + len(shared) - (0 if cfg.forget else len(split.forget))
    ce = training_loss(split)

    student = ensemble.copy().train()
    optimizer = Descent(student, lr=cfg.lr, momentum=cfg.momentum)
    steps = minibatch_count(count, cfg.batch_size)
    for epoch in range(cfg.epochs):
        batches = Counted(mixed(adversarial, shared, rng.permutation(count), cfg.batch_size), steps)
        loss = ce if cfg.retain else on_forget(ce, cfg)
        take_steps(student, optimizer, loss, paced(batches, cfg, epoch, optimizer))
        optimizer.lr *= cfg.decay
        yield student.copy().eval()


def mixed(adversarial: Batch, shared: Examples, order: Tensor, batch_size: int) -> Iterator[Batch]:
    """Minibatches in ``order``: first come the adversarial examples, then the others."""
    for rows in minibatches(order, batch_size):
        yield beside(adversarial, shared, rows)


def adversarial_examples(ensemble: Ensemble, split: Split, cfg: Amun) -> Batch:
    """For each model an input near each example to forget, and what the model takes it for, no more the label."""
    batches = zip(split.forget.x.split(cfg.batch_size), split.forget.y.split(cfg.batch_size), strict=True)
    inputs, classes = zip(*(nearest_errors(ensemble, batch, split, cfg) for batch in batches), strict=True)
    return torch.cat(inputs, dim=1), torch.cat(classes, dim=1)


def nearest_errors(ensemble: Ensemble, batch: Batch, split: Split, cfg: Amun) -> Batch:
    """Where each input first is no more taken for its label, or where it is when the search ends; and its class there.

    A stack goes on until its last model is done; on the meter each pays for what it would need alone.
    """
    original, ce = ensemble.copy().eval(), recipe_loss(split)
    original.meter = Meter()
    start, labels = for_each_model(batch[0], len(original)), batch[1].expand(len(original), -1)
    inputs, going = start.clone(), torch.ones_like(labels, dtype=torch.bool)
    for turn in range((cfg.doublings + 1) * cfg.steps):
        radius = cfg.bound * 2 ** (turn // cfg.steps)
        rows = going.any(0).nonzero().flatten()
        if not len(rows):
            break
        ensemble.meter.count(int(going.sum()))
        here, wanted = inputs[:, rows], labels[:, rows]
        outputs, slope = input_slope(original, here, wanted, ce)
        going[:, rows] &= split.target.correct(outputs, wanted)
        there = within(here + of_length(slope, cfg.step * radius), start[:, rows], radius)
        inputs[:, rows] = torch.where(going[:, rows].view(*wanted.shape, *[1] * (here.ndim - 2)), there, here)
    with torch.no_grad():
        ensemble.meter.count(labels.numel())
        return inputs, original(inputs).scatter(-1, labels[..., None], -torch.inf).argmax(-1)


METHOD = Method(
    unlearn=amun,
    config=Amun,
    summary="train on the nearest adversarial examples of the forget set, with the classes seen there",
    cite=("ebrahimpourboroojeny2025",),
    needs=(FORGET_DATA, RETAIN_DATA, CLASSES, SLOPES),
    search={
        "lr": Between(1e-4, 0.5, log=True),
        "epochs": Between(1, 16, whole=True),
        "decay": OneOf((0.1, 0.63, 1.0)),
        "bound": Between(0.04, 2.0, log=True),
        "retain": OneOf((True, False)),
        "forget": OneOf((True, False)),
    },
    published=(
        Published(
            "the authors' code, a tenth of CIFAR-10; for a class its search alone costs more than a retraining here",
            {
                "epochs": 10,
                "lr": 0.01,
                "decay": 0.1,
                "momentum": 0.9,
                "batch_size": 128,
                "bound": 0.04,
                "step": 0.1,
                "steps": 50,
                "doublings": 30,  # as good as no end
            },
        ),
        Published(
            "the same, how it trains only",
            {"epochs": 10, "lr": 0.01, "decay": 0.1, "momentum": 0.9, "batch_size": 128},
        ),
        Published(
            "the same, advonly: without the forget set",
            {"epochs": 10, "lr": 0.01, "decay": 0.1, "momentum": 0.9, "batch_size": 128, "forget": False},
        ),
    ),
    deviations="Read in the public code, and in the abstract. Its search doubles the radius, from 0.04, until all is "
    "found, with 50 steps of a tenth of the radius for each, on pictures in [0, 1], to which it clips; here inputs "
    "may be anything and are not clipped, and doublings have an end. It trains for 10 epochs at a rate chosen from "
    "1e-5 to 0.1, 0.01 in its example, times 0.1 after every 1, 5 or 10 epochs, with momentum 0.9, on retain, forget "
    "and adversarial examples, without retain, or without forget, as here; it decays the weights and augments what is "
    "kept, which is not done here.",
)
