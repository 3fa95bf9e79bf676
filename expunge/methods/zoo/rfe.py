"""RFE, retain-forget entanglement: climb the forget loss while the rest's is pinned, then mend what lies nearest."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import torch
from jaxtyping import Float, Int
from torch import Tensor

from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.optimizers import Adam
from expunge.ensembles.seeds import Generators
from expunge.ensembles.train import Batch, draw, minibatch_count, take_steps
from expunge.methods.method import Method
from expunge.methods.needs import CLASSES, FORGET_DATA, RETAIN_DATA
from expunge.methods.parts.per_sample import in_parts
from expunge.methods.parts.rows import in_one_row
from expunge.methods.parts.schedules import Counted
from expunge.methods.parts.walks import (
    Walk,
    cycled,
    example_losses,
    paced,
    recipe_loss,
    require,
    shuffled,
    training_loss,
)
from expunge.methods.spaces import Between, OneOf, Published
from expunge.suites.suite import Split

AT_ONCE = 256  # examples whose outputs are found together


@dataclass(frozen=True, kw_only=True)
class Rfe(Walk):
    """First ``-gamma CE_f + lambda c + (mu / 2) c^2`` down, ``c = CE_rem - CE_rem(theta_0)``; then mend ``CE_adj``.

    Of each model's retained examples the share ``adjacent`` is "adj": those whose logits, of theta_0, are nearest to
    those of an example to forget; the others are "rem". The first ``forgetting_epochs`` epochs go through rem, a batch
    of forget beside each, by Adam at ``forget_lr``; ``lambda``, at first 0, grows by ``mu c`` after each step; what an
    example of forget loses beyond ``cap`` has no slope. The other epochs go through adj, down ``v``:
    ``v <- momentum v + grad CE_adj``, less its projection on the span of ``grad CE_rem`` and the slope of
    ``(alpha - 1) CE_f + alpha W2^2``, each of ``basis_batches`` batches drawn for the step. ``W2`` is the Wasserstein-2
    distance between the losses of the forget batch and those that it had after the first phase: sorted, their root mean
    square difference. All in evaluation mode. Cheng et al. 2026, arXiv:2603.26569.
    """

    epochs: int = 2
    lr: float = 1e-2
    forgetting_epochs: int = 1
    forget_lr: float = 3e-4
    forget_batch_size: int = 16
    gamma: float = 1.0
    mu: float = 10.0
    cap: float = 10.0
    adjacent: float = 0.1
    alpha: float = 0.5
    basis_batches: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.forgetting_epochs >= 1, "forgetting_epochs must be at least 1", self.forgetting_epochs)
        require(self.forget_lr > 0, "forget_lr must be above 0", self.forget_lr)
        require(self.forget_batch_size >= 1, "forget_batch_size must be at least 1", self.forget_batch_size)
        require(self.gamma > 0, "gamma must be above 0", self.gamma)
        require(self.mu >= 0, "mu must be at least 0", self.mu)
        require(self.cap > 0, "cap must be above 0", self.cap)
        require(0 < self.adjacent < 1, "adjacent must lie in (0, 1)", self.adjacent)
        require(0 <= self.alpha <= 1, "alpha must lie in [0, 1]", self.alpha)
        require(self.basis_batches >= 1, "basis_batches must be at least 1", self.basis_batches)


def rfe(ensemble: Ensemble, split: Split, cfg: Rfe, rng: Generators) -> Iterator[Ensemble]:
    """Yield the student after each epoch."""
    student = ensemble.copy().eval()
    adjacent, remote, pinned = parted(student, split, cfg)
    first = min(cfg.epochs, cfg.forgetting_epochs)
    yield from forgetting(student, split, cfg, rng, remote, pinned=pinned, epochs=first)
    yield from mending(student, split, cfg, rng, adjacent, remote=remote, epochs=cfg.epochs - first)


@torch.no_grad()
def parted(
    teacher: Ensemble, split: Split, cfg: Rfe
) -> tuple[Int[Tensor, "models adjacent"], Int[Tensor, "models remote"], Float[Tensor, " models"]]:
    """Rows of the retained examples near the forget set, of the others, and the mean loss of those.

    There is at least one of either; a single retained example is both.
    """
    others = len(split.retain) - 1
    near = max(1, min(round(cfg.adjacent * len(split.retain)), others))
    retain, forget = (
        torch.cat([teacher(x).flatten(2) for x in part.x.split(AT_ONCE)], dim=1)
        for part in (split.retain, split.forget)
    )
    order = torch.cdist(retain, forget).amin(2).argsort(dim=1, stable=True)
    lost = example_losses(split, retain, split.retain.y.expand(len(order), -1))
    remote = order[:, min(near, others) :]
    return order[:, :near], remote, lost.gather(1, remote).mean(1)


def forgetting(
    student: Ensemble,
    split: Split,
    cfg: Rfe,
    rng: Generators,
    remote: Int[Tensor, "models remote"],
    *,
    pinned: Float[Tensor, " models"],
    epochs: int,
) -> Iterator[Ensemble]:
    """The first phase: up the forget loss by an augmented Lagrangian, for each model its own."""
    optimizer, multiplier = Adam(student, lr=cfg.forget_lr), torch.zeros_like(pinned)
    beside, ce = cycled(split.forget, cfg.forget_batch_size, rng.beside("forget batches")), recipe_loss(split)

    def lagrangian(student: Ensemble, pair: tuple[Batch, Batch]) -> Float[Tensor, " models"]:
        nonlocal multiplier
        (x, y), (gone, labels) = pair
        lost = example_losses(split, student(gone), labels).clamp(max=cfg.cap).mean(1)
        excess = ce(student(x), y) - pinned
        value = -cfg.gamma * lost + multiplier * excess + cfg.mu / 2 * excess.square()
        multiplier = multiplier + cfg.mu * excess.detach()  # for the next step
        return value

    for epoch in range(epochs):
        order = remote.gather(1, rng.permutation(remote.shape[1]))
        pairs = zip(draw(split.retain, order, cfg.batch_size), beside, strict=False)
        counted = Counted(pairs, minibatch_count(remote.shape[1], cfg.batch_size))
        take_steps(student, optimizer, lagrangian, paced(counted, cfg, epoch, optimizer))
        yield student.copy()


@dataclass
class _Rate:
    """The rate of steps that no optimizer makes."""

    lr: float


def mending(
    student: Ensemble,
    split: Split,
    cfg: Rfe,
    rng: Generators,
    adjacent: Int[Tensor, "models adjacent"],
    *,
    remote: Int[Tensor, "models remote"],
    epochs: int,
) -> Iterator[Ensemble]:
    """The second phase: down the loss of what is near, across the slopes of forget and of the other examples."""
    after_first, ce = student.copy(), training_loss(split)
    velocity = torch.zeros((), device=student.device)

    def relapse(student: Ensemble, batch: Batch) -> Float[Tensor, " models"]:
        x, y = batch
        with torch.no_grad():
            then = example_losses(split, after_first(x), y).sort(1).values
        now = example_losses(split, student(x), y)
        distance = (now.sort(1).values - then).square().mean(1)
        return (cfg.alpha - 1) * now.mean(1) + cfg.alpha * distance

    rate = _Rate(cfg.lr)
    for epoch in range(cfg.epochs - epochs, cfg.epochs):
        order = adjacent.gather(1, rng.permutation(adjacent.shape[1]))
        near = Counted(draw(split.retain, order, cfg.batch_size), minibatch_count(adjacent.shape[1], cfg.batch_size))
        for batch in paced(near, cfg, epoch, rate):
            far = draw(split.retain, remote.gather(1, rng.permutation(remote.shape[1])), cfg.batch_size)
            gone = shuffled(split.forget, cfg.batch_size, rng)
            spared = [slope(student, relapse, islice(gone, cfg.basis_batches))]
            spared += [slope(student, ce, islice(far, cfg.basis_batches))]
            velocity = across(cfg.momentum * velocity + slope(student, ce, [batch]), torch.stack(spared, dim=1))
            step(student, velocity, rate.lr)
        yield student.copy()


def slope(
    student: Ensemble, loss: Callable[[Ensemble, Batch], Tensor], batches: Iterable[Batch]
) -> Float[Tensor, "models d"]:
    """The sum over the batches of the gradients of their losses."""
    own = list(student.parameters())
    each = [torch.autograd.grad(loss(student, batch).sum(), own, materialize_grads=True) for batch in batches]
    return torch.stack([in_one_row(gradients) for gradients in each]).sum(0)


def across(v: Float[Tensor, "models d"], basis: Float[Tensor, "models vectors d"]) -> Float[Tensor, "models d"]:
    """``v`` less its orthogonal projection on the span of each model's vectors, of which some may be zero or parallel.

    >>> across(torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([[[0.0, 0.0, 5.0], [0.0, 0.0, 0.0]]]))
    tensor([[1., 2., 0.]])
    """
    long = basis.double()
    unit = long / long.norm(dim=2, keepdim=True).clamp(min=torch.finfo(torch.double).tiny)
    inverse: Tensor = torch.linalg.pinv(unit @ unit.mT, rtol=1e-9, hermitian=True)
    within: Tensor = unit.mT @ (inverse @ (unit @ v.double()[..., None]))  # (models, d, 1)
    return v - within[..., 0].to(v.dtype)


@torch.no_grad()
def step(student: Ensemble, direction: Float[Tensor, "models d"], lr: float) -> None:
    """``theta - lr direction``, in place."""
    for parameter, part in zip(student.parameters(), in_parts(student, direction), strict=True):
        parameter.sub_(part, alpha=lr)


METHOD = Method(
    unlearn=rfe,
    config=Rfe,
    summary="climb the forget loss with the other losses pinned, then mend the nearest examples across both slopes",
    cite=("cheng2026rfe",),
    needs=(FORGET_DATA, RETAIN_DATA, CLASSES),
    search={
        "lr": Between(1e-6, 0.1, log=True),
        "epochs": Between(1, 20, whole=True),
        "forget_lr": Between(1e-6, 1e-2, log=True),
        "adjacent": Between(0.01, 0.5, log=True),
        "alpha": Between(0.0, 1.0),
        "basis_batches": OneOf((1, 10)),
    },
    published=(
        Published(
            "the authors' code, a subclass of CIFAR-100, ResNet-18",
            {
                "epochs": 7,
                "forgetting_epochs": 1,
                "forget_lr": 2.5e-6,
                "lr": 2e-5,
                "mu": 10.0,
                "gamma": 1.0,
                "cap": 10.0,
                "alpha": 0.5,
                "momentum": 0.9,
                "basis_batches": 10,
            },
        ),
        Published(
            "the authors' code, Tiny ImageNet, a vision transformer",
            {
                "epochs": 6,
                "forgetting_epochs": 1,
                "forget_lr": 5e-5,
                "lr": 2e-4,
                "mu": 10.0,
                "gamma": 1.0,
                "cap": 10.0,
                "alpha": 0.5,
                "momentum": 0.9,
                "basis_batches": 1,
            },
        ),
    ),
    deviations="The authors know what is near: the other subclasses of the forget set's superclass, which is what "
    "their networks predict. Their rates are 2.5e-6 (Adam) and then 2e-5 for CIFAR-100 and CelebA, 5e-5 and 2e-4 for "
    "Tiny ImageNet, 2.5e-6 and 1e-5 for ToxiGen, one epoch and then 6, 6, 5 and 2; mu 10, gamma 1, cap 10, alpha 0.5, "
    "momentum 0.9, and 10 batches of up to 128 and 512 for a projection, for Tiny ImageNet one. For ToxiGen it is cap "
    "5, alpha 0.8, momentum 0.7, and a term that counts sure examples more, which is left out. Here all batches but "
    "forget_batch_size have one size. torchunlearn's RFE is another method: it climbs in both phases, has a limit in "
    "place of the equality, and squared differences of softmaxes for the distance. Equations are those of the authors' "
    "code, which numbers them as the paper does; of the paper only the abstract was read.",
)
