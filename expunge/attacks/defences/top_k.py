"""Top k: a provider tells the probabilities of the few likeliest classes, and no others."""

from collections.abc import Sequence

from expunge.attacks.defence import Defence
from expunge.attacks.practice import Posteriors, Practice

TOLD = 3  # classes


def top_k(posteriors: Posteriors, k: int) -> Posteriors:
    """The ``k`` largest probabilities as they are; what is left of 1 is spread evenly over the other classes.

    That is how a reader has to fill in what is not told, for probabilities add up to 1. With ``k`` of all classes, or
    one less, nothing is lost.

    >>> import torch
    >>> top_k(torch.tensor([[[0.7, 0.2, 0.1, 0.0]]]), 1)
    tensor([[[0.7000, 0.1000, 0.1000, 0.1000]]])
    """
    classes = posteriors.shape[-1]
    if k >= classes:
        return posteriors
    values, places = posteriors.topk(k, dim=-1)
    even = (1 - values.sum(-1, keepdim=True)).clamp_min(0) / (classes - k)
    found: Posteriors = even.expand_as(posteriors).scatter(-1, places, values)
    return found


def tells(posteriors: Posteriors, models: Sequence[int]) -> Posteriors:
    """The 3 largest, see :func:`top_k`."""
    return top_k(posteriors, TOLD)


DEFENCE = Defence(
    summary=f"tells the probabilities of the {TOLD} likeliest classes alone",
    when="release",
    price="nothing to compute; first choices stay; honest users lose the probabilities of unlikely classes",
    source="a defence of Chen et al. 2021, doi:10.1145/3460120.3484756, which tells 1 to 3; their public code fills in "
    "the rest evenly",
    practice=Practice(tells=tells),
)
