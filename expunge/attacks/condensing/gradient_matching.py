"""Condensing by matching gradients: what a network would learn from each class, at every stage of its training."""

from dataclasses import replace

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from expunge.attacks.condensing.condensed import loops
from expunge.attacks.condensing.material import Material, Pixels, settle_norms
from expunge.attacks.condensing.shared_augmentation import Augmentation, apply_each
from expunge.engine import Watch
from expunge.ensembles.device import exact_arithmetic
from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.optimizers import Descent
from expunge.ensembles.seeds import Generators, seed_of
from expunge.ensembles.train import minibatches, take_steps
from expunge.methods.parts.double_backward import twice
from expunge.suites.target import cross_entropy

NETWORK_LR = 0.01
NETWORK_BATCH = 256
SMALL = 1e-6  # added to the product of two norms

Gradients = list[Float[Tensor, "seeds classes _ _"]]  # of each layer, by outputs and inputs


def gradient_matching(
    material: Material, start: Tensor, watch: Watch
) -> tuple[Tensor, Float[Tensor, "seeds iterations"]]:
    """Pictures ``(seeds, classes * images, ...)`` moved from ``start``, and the mean objective at each iteration.

    Each iteration takes a new network and, in turns, moves the pictures down :func:`mismatch` and trains the network on
    them, for as many turns as :func:`loops` says.
    Source: Zhao, Mopuri and Bilen 2021, arXiv:2006.05929, in the form that the public code of arXiv:2407.05112 runs.
    """
    pixels, objective = Pixels(start, material), []
    iterations = material.config.iterations
    assert iterations is not None
    with exact_arithmetic():
        for iteration in range(iterations):
            objective.append(_with_network(material, pixels, material.networks(iteration), iteration))
            watch(iteration + 1, iterations, "gradient matching")
    return pixels.x.detach(), torch.stack(objective, dim=1) if objective else start.new_zeros(len(start), 0)


def _with_network(material: Material, pixels: Pixels, networks: Ensemble, iteration: int) -> Float[Tensor, " seeds"]:
    """Both in turns, with one network of each seed; the mean of what was minimised."""
    outer, inner = loops(material.config.images)
    names = material.suite.digest, "condensing", "training", iteration
    order = Generators([seed_of(*names, seed) for seed in material.seeds], material.device)
    optimizer = Descent(networks, lr=NETWORK_LR, momentum=0.0)
    weights, seen = material.weights(), []
    for turn in range(outer):
        loss = _objective(material, networks, weights, pixels.x)
        pixels.step(loss.sum())
        seen.append(loss.detach())
        if turn < outer - 1:
            _teach(networks, optimizer, pixels.x.detach(), material.classes, inner, order)
    return torch.stack(seen).mean(0)


def _objective(
    material: Material, networks: Ensemble, weights: Float[Tensor, "classes batch"], x: Tensor
) -> Float[Tensor, " seeds"]:
    shared = material.augmentations()
    real, synthetic = _changed(shared, material.batch()), _changed(shared, x.unflatten(1, (material.classes, -1)))
    settle_norms(networks, real.flatten(1, 2))
    return mismatch(real_gradients(networks, real, weights), synthetic_gradients(networks, synthetic))


def _changed(shared: list[Augmentation], x: Tensor) -> Tensor:
    changed: Tensor = apply_each(shared, x.flatten(1, 2)).unflatten(1, x.shape[1:3])
    return changed


def mismatch(real: Gradients, synthetic: Gradients) -> Float[Tensor, " seeds"]:
    """``sum over classes, layers and outputs of (1 - cos(real, synthetic))``, of the gradients of weights by output.

    0 where all point the same way, 2 for each where all point the opposite way. Vectors, as biases are, are left out.
    """
    layers = torch.stack([_turned(one, other) for one, other in zip(real, synthetic, strict=True)])
    total: Tensor = layers.sum(0)
    return total


def _turned(one: Tensor, other: Tensor) -> Float[Tensor, " seeds"]:
    """``1 - cos`` of the rows of a layer, summed."""
    norms = torch.linalg.vector_norm(one, dim=-1) * torch.linalg.vector_norm(other, dim=-1)
    turned: Tensor = 1 - (one * other).sum(-1) / (norms + SMALL)
    return turned.sum((1, 2))


def real_gradients(
    networks: Ensemble, x: Float[Tensor, "seeds classes batch ..."], weights: Float[Tensor, "classes batch"]
) -> Gradients:
    """Gradients of the weighted mean loss of each class; one class after the other, which bounds the memory."""
    matrices = [parameter for parameter in networks.parameters() if parameter.ndim > 2]
    each = []
    for label in range(len(weights)):
        y = torch.full(x.shape[:1] + x.shape[2:3], label, device=x.device)
        losses = F.cross_entropy(networks(x[:, label]).transpose(1, 2), y, reduction="none")
        each.append(torch.autograd.grad((losses * weights[label]).sum(), matrices))
    return [torch.stack(parts, dim=1).flatten(3) for parts in zip(*each, strict=True)]


def synthetic_gradients(networks: Ensemble, x: Float[Tensor, "seeds classes images ..."]) -> Gradients:
    """Gradients of the mean loss of each class, which can be differentiated by ``x``: of all classes at once.

    Each class has its own copy of the network, so that one pass gives each its own gradient.
    """
    seeds, classes = x.shape[:2]
    copies = replace(networks.origin, models=tuple(range(seeds * classes)))
    state = {key: value.repeat_interleave(classes, 0) for key, value in networks.state().items()}
    each = Ensemble.from_state(networks.network, state, copies, networks.sample_shape).train(networks.training)
    labels = torch.arange(classes, device=x.device).repeat(seeds)[:, None].expand(-1, x.shape[2])
    with twice():
        loss = cross_entropy(each(x.flatten(0, 1)), labels).sum()
    matrices = [parameter for parameter in each.parameters() if parameter.ndim > 2]
    found = torch.autograd.grad(loss, matrices, create_graph=True)
    return [gradient.flatten(2).unflatten(0, (seeds, classes)) for gradient in found]


def _teach(
    networks: Ensemble,
    optimizer: Descent,
    x: Float[Tensor, "seeds condensed ..."],
    classes: int,
    passes: int,
    order: Generators,
) -> None:
    """Train each network on its own pictures, in an order drawn for each pass."""
    networks.train()
    seeds, images = len(x), x.shape[1] // classes
    labels = torch.arange(classes, device=x.device).repeat_interleave(images).expand(seeds, -1)
    own = torch.arange(seeds, device=x.device)[:, None]
    for _ in range(passes):
        parts = minibatches(order.permutation(x.shape[1]), NETWORK_BATCH)
        batches = ((x[own, part], labels[own, part]) for part in parts)
        take_steps(networks, optimizer, lambda student, batch: cross_entropy(student(batch[0]), batch[1]), batches)
