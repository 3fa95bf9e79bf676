"""Influence unlearning: one Newton step from the loss of all examples to the loss of the retained ones."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import torch
from jaxtyping import Float, Int
from torch import Tensor

from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.optimizers import of_norms
from expunge.ensembles.seeds import Generators
from expunge.ensembles.train import draw
from expunge.errors import MethodFailed
from expunge.methods.method import Method
from expunge.methods.needs import FORGET_DATA, RETAIN_DATA
from expunge.methods.parts.curvature import gauss_newton, gradient_sum, mean_product, weight_decay
from expunge.methods.parts.inverse import conjugate_gradients, lissa, woodbury
from expunge.methods.parts.per_sample import flat_weights, per_sample_gradients, with_weights
from expunge.methods.parts.walks import cycled, recipe_loss, require
from expunge.methods.spaces import Between, OneOf, Published
from expunge.suites.recipe import Recipe
from expunge.suites.suite import Examples, Split
from expunge.suites.target import Loss, cross_entropy

SOLVERS = ("woodbury", "cg", "lissa")
VARIANTS = ("paper", "official")
ROOM = 2**27  # numbers that the gradients of all examples of several models may be at once; they are held twice


@dataclass(frozen=True, kw_only=True)
class Influence:
    """``theta + alpha (C + damping I + weight decay)^-1 v``, where with ``N = N_f + N_r`` examples

    ``v = (1/N) sum_forget grad l - (N_f / (N N_r)) sum_retain grad l``: the weight of an example goes from ``1/N`` to
    0, or to ``1/N_r``. ``C`` is the curvature of the mean loss of ``curvature_examples`` retained examples, drawn for
    each model: the empirical Fisher matrix with solver ``woodbury``, exact; the Gauss-Newton matrix with ``cg``
    (``iterations`` of conjugate gradients) and ``lissa`` (``iterations`` of ``batch_size``, divided by ``scale``).
    ``theta`` is a minimum where ``alpha`` is 1. Koh and Liang 2017, arXiv:1703.04730; Izzo et al. 2021,
    arXiv:2002.10077; with these weights Jia et al. 2023, arXiv:2304.04934.

    Variant ``official`` is what public code computes: ``theta + alpha k`` by a recursion on gradients ``g_i`` of
    single retained examples, ``o = g_1``, ``k = v``, then ``k -= <k, g_i> / (m + <o, g_i>) o`` and
    ``o -= <o, g_i> / (m + <o, g_i>) o``, with ``m`` the number of examples. As ``o`` never leaves the line of ``g_1``,
    it takes ``v`` for all but one direction: a scaled step of first order. No ``damping``, no ``solver``.
    """

    solver: str = "woodbury"
    variant: str = "paper"
    alpha: float = 1.0
    damping: float = 0.1
    curvature_examples: int = 64
    iterations: int = 10
    batch_size: int = 32
    scale: float = 10.0

    def __post_init__(self) -> None:
        require(self.solver in SOLVERS, f"solver must be one of {', '.join(SOLVERS)}", repr(self.solver))
        require(self.variant in VARIANTS, f"variant must be one of {', '.join(VARIANTS)}", repr(self.variant))
        require(self.alpha > 0, "alpha must be above 0", self.alpha)
        require(self.damping >= 0, "damping must be at least 0", self.damping)
        require(self.curvature_examples >= 1, "curvature_examples must be at least 1", self.curvature_examples)
        require(self.iterations >= 1, "iterations must be at least 1", self.iterations)
        require(self.batch_size >= 1, "batch_size must be at least 1", self.batch_size)
        require(self.scale > 0, "scale must be above 0", self.scale)


def influence(
    ensemble: Ensemble, split: Split, cfg: Influence, rng: Generators, loss: Loss | None = None
) -> Iterator[Ensemble]:
    """Yield the ensemble after the one step; the ``loss`` of logits and labels is that of the recipe."""
    loss = loss or recipe_loss(split)
    teacher = ensemble.copy().eval()
    v = reweighting(teacher, split, loss)
    rows = rng.permutation(len(split.retain))[:, : cfg.curvature_examples]
    if cfg.variant == "official":
        step = rank_one(teacher, split, v, rows, loss)
    else:
        step = _solved(teacher, split, cfg, v, rows, rng=rng, loss=loss)
    yield with_weights(teacher, flat_weights(teacher) + cfg.alpha * step)


def reweighting(teacher: Ensemble, split: Split, loss: Loss = cross_entropy) -> Float[Tensor, "models d"]:
    """Minus the gradient of the mean retained loss where that of the mean loss of all examples is zero."""
    forget, retain = len(split.forget), len(split.retain)
    total = forget + retain
    lost = gradient_sum(teacher, split.forget, loss) / total
    return lost - forget / (total * retain) * gradient_sum(teacher, split.retain, loss)


def _solved(
    teacher: Ensemble,
    split: Split,
    cfg: Influence,
    v: Float[Tensor, "models d"],
    rows: Int[Tensor, "models m"],
    *,
    rng: Generators,
    loss: Loss,
) -> Float[Tensor, "models d"]:
    damping = cfg.damping + weight_decay(teacher, split.recipe)  # part of the objective that is retrained
    if cfg.solver == "woodbury":
        if cfg.damping == 0 and _decays_not_all(teacher, split.recipe):
            raise MethodFailed("the solver woodbury needs damping above 0 where training decays no weight")
        return _fisher_inverse(teacher, split.retain, v, rows, damping=damping, loss=loss)
    if cfg.solver == "cg":
        batches = draw(split.retain, rows, cfg.batch_size)
        product = mean_product([(gauss_newton(teacher, batch, loss), batch[1].shape[1]) for batch in batches])
        return conjugate_gradients(product, v, damping=damping, iterations=cfg.iterations)
    batches = islice(cycled(split.retain, cfg.batch_size, rng), cfg.iterations)
    products = (gauss_newton(teacher, batch, loss) for batch in batches)
    return lissa(products, v, damping=damping, scale=cfg.scale)


def _decays_not_all(teacher: Ensemble, recipe: Recipe) -> bool:
    return recipe.weight_decay == 0 or (not recipe.decay_norm and bool(of_norms(teacher)))


def _fisher_inverse(
    teacher: Ensemble,
    examples: Examples,
    v: Float[Tensor, "models d"],
    rows: Int[Tensor, "models m"],
    *,
    damping: Float[Tensor, " d"],
    loss: Loss,
) -> Float[Tensor, "models d"]:
    """As many models at once as there is room for."""
    together = max(1, ROOM // (rows.shape[1] * v.shape[1]))
    steps = []
    for first in range(0, len(teacher), together):
        some = slice(first, first + together)
        part = teacher.take(range(len(teacher))[some]).eval()
        part.meter = teacher.meter
        blocks = list(per_sample_gradients(part, examples, rows[some], loss))
        steps.append(woodbury(torch.cat(blocks, dim=1), v[some], damping=damping))
    return torch.cat(steps)


def rank_one(
    teacher: Ensemble,
    split: Split,
    v: Float[Tensor, "models d"],
    rows: Int[Tensor, "models m"],
    loss: Loss = cross_entropy,
) -> Float[Tensor, "models d"]:
    """The published recursion, in which ``o = a g_1`` and ``k = v - b g_1`` stay: two numbers for each model."""
    count = rows.shape[1]
    (first,) = per_sample_gradients(teacher, split.retain, rows[:, :1], loss)
    pair = torch.cat([v[:, :, None], first.mT], dim=2)  # (models, d, 2)
    a, b = torch.ones_like(v[:, 0]), torch.zeros_like(v[:, 0])
    for block in per_sample_gradients(teacher, split.retain, rows[:, 1:], loss):
        for along in torch.bmm(block, pair).unbind(1):
            along_v, along_first = along.unbind(1)
            inside = a * along_first
            b = b + (along_v - b * along_first) / (count + inside) * a
            a = a - inside / (count + inside) * a
    return v - b[:, None] * first[:, 0]


METHOD = Method(
    unlearn=influence,
    config=Influence,
    summary="one Newton step from the loss of all examples to that of the retained ones",
    cite=("jia2023", "koh2017", "izzo2021", "singh2020"),
    needs=(FORGET_DATA, RETAIN_DATA),
    search={
        "alpha": Between(0.1, 100.0, log=True),
        "damping": Between(1e-4, 1.0, log=True),
        "solver": OneOf(("woodbury", "cg")),
    },
    published=(
        Published(
            "SalUn's paper searches alpha from 1 to this",
            {"variant": "official", "alpha": 20.0, "curvature_examples": 1000},
        ),
        Published(
            "RUM's paper tunes alpha from 1 to this",
            {"variant": "official", "alpha": 100.0, "curvature_examples": 1000},
        ),
        Published("the beginning of either range", {"variant": "official", "alpha": 1.0, "curvature_examples": 1000}),
    ),
    deviations="The public WoodFisher keeps one vector in place of a matrix, which stays parallel to the gradient of "
    "the first example: its inverse is the identity minus a term of rank one, undamped. Here it is the variant "
    "official, on curvature_examples drawn for each model, for which it takes 1,000; the default inverts the damped "
    "empirical Fisher matrix by Woodbury's identity.",
)
