"""Labels alone: a provider tells first choices, and no probabilities."""

from collections.abc import Sequence

import torch.nn.functional as F

from expunge.attacks.defence import Defence
from expunge.attacks.practice import Posteriors, Practice


def tells(posteriors: Posteriors, models: Sequence[int]) -> Posteriors:
    """1 for the likeliest class, the first of several, and 0 for all others.

    >>> import torch
    >>> tells(torch.tensor([[[0.2, 0.5, 0.3]]]), [0])
    tensor([[[0., 1., 0.]]])
    """
    found: Posteriors = F.one_hot(posteriors.argmax(-1), posteriors.shape[-1]).to(posteriors)
    return found


DEFENCE = Defence(
    summary="tells the likeliest class, and no probability",
    when="release",
    price="nothing to compute; first choices stay; honest users have no probabilities any more: no threshold, no rank, "
    "no second choice; an attacker who asks about noisy copies has their distances to the boundary back",
    source="a defence of Chen et al. 2021, doi:10.1145/3460120.3484756; what passes it: Choquette-Choo et al. 2021, "
    "arXiv:2007.14321",
    practice=Practice(tells=tells),
)
