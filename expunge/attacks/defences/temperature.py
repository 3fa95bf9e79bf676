"""Temperature: a provider tells probabilities that are flattened."""

from collections.abc import Sequence

from expunge.attacks.defence import Defence
from expunge.attacks.practice import LEAST, Posteriors, Practice

TEMPERATURE = 10.0


def tempered(posteriors: Posteriors, temperature: float) -> Posteriors:
    """``softmax(z / T)`` of the logits behind the probabilities, ``p^(1/T)`` scaled to add up to 1.

    The order of classes stays; at 1 nothing changes, far above 1 all classes are told to be nearly as likely.

    >>> import torch
    >>> tempered(torch.tensor([[[0.9, 0.1]]]), 2.0)
    tensor([[[0.7500, 0.2500]]])
    """
    if temperature == 1:
        return posteriors
    found: Posteriors = (posteriors.clamp_min(LEAST).log() / temperature).softmax(-1)
    return found


def tells(posteriors: Posteriors, models: Sequence[int]) -> Posteriors:
    """At a temperature of 10, see :func:`tempered`."""
    return tempered(posteriors, TEMPERATURE)


DEFENCE = Defence(
    summary=f"tells probabilities flattened by a temperature of {TEMPERATURE:g}",
    when="release",
    price="nothing to compute; first choices and ranks stay; probabilities are no longer calibrated; whoever knows the "
    "temperature, and is told enough digits, undoes it",
    source="a defence of Chen et al. 2021, doi:10.1145/3460120.3484756, in a summary of it; its temperature was not at "
    "hand, ours is a choice",
    practice=Practice(tells=tells),
)
