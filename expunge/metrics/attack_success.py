"""Whether a trigger still works: the share of triggered test inputs that a model takes for the target."""

import torch
from jaxtyping import Float
from torch import Tensor

from expunge.ensembles.device import exact_arithmetic, resident
from expunge.ensembles.ensemble import Ensemble
from expunge.suites import Examples


@torch.no_grad()
def attack_success(
    ensemble: Ensemble, triggered: Examples, target: int, *, include_target: bool = False, batch_size: int = 64
) -> Float[Tensor, " models"]:
    """``mean over triggered inputs of [first choice is the target]``, of each model, 0 to 1.

    Inputs whose label is the target are left out: a sound model takes them for the target too, so that with them no
    attack succeeds in less than their share. ``include_target`` counts them, as some public code does.

    Lower is better for who cleanses a model; models that never saw the trigger get about the rate at which they mistake
    other classes for the target.

    Args:
        ensemble: the models.
        triggered: test inputs that carry the trigger, with their true labels.
        target: the class that the trigger stands for.
        include_target: whether inputs of that class count.
        batch_size: how many inputs at once; changes no result.

    Returns:
        One share per model.

    Source: Gu et al. 2017, arXiv:1708.06733; the code of Jia et al. 2023, arXiv:2304.04934, includes the target class.
    """
    examples = resident(triggered, ensemble.device)
    rows = torch.ones_like(examples.y, dtype=torch.bool) if include_target else examples.y != target
    training, x = ensemble.training, examples.x[rows]
    ensemble.eval()
    with exact_arithmetic():
        hits = torch.cat([ensemble(part).argmax(-1) == target for part in x.split(batch_size)], dim=1)
    ensemble.train(training)
    return hits.double().mean(1).cpu()


def stamped(examples: Examples, size: int = 2, value: float = 1.0) -> Examples:
    """Pictures with a patch of ``size`` by ``size`` pixels of ``value`` in the lower right corner."""
    x = examples.x.clone()
    x[..., -size:, -size:] = value
    return Examples(x, examples.y)
