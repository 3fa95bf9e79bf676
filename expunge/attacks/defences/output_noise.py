"""Output noise: a provider tells probabilities under noise."""

import hashlib
from collections.abc import Sequence

from expunge.attacks.defence import Defence
from expunge.attacks.practice import LEAST, Posteriors, Practice
from expunge.ensembles.seeds import Generators, seed_of

NOISE = 1.0  # nats


def noisy(posteriors: Posteriors, models: Sequence[int], noise: float) -> Posteriors:
    """``softmax(log p + noise e)``, with ``e`` standard normal for each class of each answer.

    Noise is on answers, not on weights. It follows from a model's number and from what it says of all inputs of a call:
    the same question gets the same noise, so nobody averages it out by repeating it, but anything else does another, as
    the model after a removal. Asked among other inputs, a record gets other noise. With ``noise`` 0 nothing changes.
    """
    if noise == 0:
        return posteriors
    seeds = [
        seed_of("output noise", model, hashlib.sha256(own.contiguous().numpy().tobytes()).hexdigest())
        for model, own in zip(models, posteriors.cpu(), strict=True)
    ]
    drawn = Generators(seeds).normal(*posteriors.shape[1:], dtype=posteriors.dtype).to(posteriors.device)
    found: Posteriors = (posteriors.clamp_min(LEAST).log() + noise * drawn).softmax(-1)
    return found


def tells(posteriors: Posteriors, models: Sequence[int]) -> Posteriors:
    """Under noise of 1 nat, see :func:`noisy`."""
    return noisy(posteriors, models, NOISE)


DEFENCE = Defence(
    summary=f"tells probabilities under normal noise of {NOISE:g} nat on their logarithms",
    when="release",
    price="a random number for each class of each answer; some first choices change, and probabilities are wrong by a "
    "factor; an attacker who asks often, or about many records, averages it out",
    source="ours; noise on answers, as the surveys name it beside differential privacy, Liu et al. 2025, "
    "arXiv:2403.13682, without a guarantee",
    practice=Practice(tells=tells),
)
