"""Condensing by matching distributions: the mean embedding of each class, under networks drawn at random."""

import torch
from jaxtyping import Float
from torch import Tensor

from expunge.attacks.condensing.material import Material, Pixels, settle_norms
from expunge.attacks.condensing.shared_augmentation import apply_each
from expunge.engine import Watch
from expunge.ensembles.device import exact_arithmetic
from expunge.ensembles.ensemble import Ensemble

AT_ONCE = 256  # records that are embedded together, by all networks: what they need fits into a cache


def distribution_matching(
    material: Material, start: Tensor, watch: Watch
) -> tuple[Tensor, Float[Tensor, "seeds iterations"]]:
    """Pictures ``(seeds, classes * images, ...)`` moved from ``start``, and the objective at each iteration.

    Minimises ``sum_c || mean_{x in B_c} psi(A(x)) - mean_{s in S_c} psi(A(s)) ||^2`` with a new random network
    ``psi``, never trained, and one augmentation ``A`` for both at each iteration.
    Source: Zhao and Bilen 2023, arXiv:2110.04181.
    """
    pixels, weights, objective = Pixels(start, material), material.weights(), []
    iterations = material.config.iterations
    assert iterations is not None
    with exact_arithmetic():
        for iteration in range(iterations):
            shared, real = material.augmentations(), material.batch()
            real = apply_each(shared, real.flatten(1, 2)).unflatten(1, real.shape[1:3])
            synthetic = apply_each(shared, pixels.x).unflatten(1, (material.classes, -1))
            loss = discrepancy(material.embeddings(iteration), real, weights, synthetic)
            pixels.step(loss.sum())
            objective.append(loss.detach())
            watch(iteration + 1, iterations, "distribution matching")
    return pixels.x.detach(), torch.stack(objective, dim=1) if objective else start.new_zeros(len(start), 0)


def discrepancy(
    networks: Ensemble,
    real: Float[Tensor, "seeds classes batch ..."],
    weights: Float[Tensor, "classes batch"],
    synthetic: Float[Tensor, "seeds classes images ..."],
) -> Float[Tensor, " seeds"]:
    """Squared distance between the mean embeddings of real and of synthetic examples, summed over classes.

    ``weights`` of the real ones sum to 1 in each class. 0 where both have the same mean, as a set and itself.
    """
    classes = len(weights)
    settle_norms(networks, real.flatten(1, 2))
    with torch.no_grad():
        each = max(1, AT_ONCE // len(networks))
        parts = [networks(part).flatten(2) for part in real.flatten(1, 2).split(each, dim=1)]
        wanted = torch.einsum("scbf,cb->scf", torch.cat(parts, dim=1).unflatten(1, (classes, -1)), weights)
    found = networks(synthetic.flatten(1, 2)).flatten(2).unflatten(1, (classes, -1)).mean(2)
    result: Tensor = (wanted - found).square().sum((1, 2))
    return result
