"""Weight noise: what a removal has left is deployed under noise on its weights."""

import hashlib

import torch

from expunge.attacks.defence import Defence
from expunge.attacks.practice import Practice
from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.seeds import Generators, seed_of

SHARE = 0.05  # of the root mean square of a tensor of weights


def noisy_weights(ensemble: Ensemble, share: float) -> Ensemble:
    """Every parameter under normal noise of ``share`` of the root mean square of its tensor, model by model.

    Drawn from the number of a model and its weights, so anew after every removal; buffers stay. At 0 nothing changes.
    """
    result = ensemble.copy().eval()
    if share == 0:
        return result
    parameters = list(result.network.parameters())
    rows = range(len(result))
    told = [b"".join(each[row].detach().cpu().contiguous().numpy().tobytes() for each in parameters) for row in rows]
    seeds = [
        seed_of("weight noise", model, hashlib.sha256(own).hexdigest())
        for model, own in zip(result.origin.models, told, strict=True)
    ]
    noise = Generators(seeds)
    with torch.no_grad():
        for each in parameters:
            drawn = noise.normal(*each.shape[1:], dtype=each.dtype).to(each.device)
            scale = each.flatten(1).square().mean(1).sqrt().reshape(-1, *[1] * (each.ndim - 1))
            each.add_(share * scale * drawn)
    result.project()
    return result


def deploys(ensemble: Ensemble) -> Ensemble:
    """Under noise of 5 %, see :func:`noisy_weights`."""
    return noisy_weights(ensemble, SHARE)


DEFENCE = Defence(
    summary=f"deploys what a removal leaves under normal noise on its weights, {SHARE:.0%} of their root mean square",
    when="serving",
    price="a random number for each weight; every removal costs accuracy, and many in a row add up",
    source="parameter obfuscation, a countermeasure to unlearning inversion in Liu et al. 2025, arXiv:2403.13682; the "
    "noise and its size are ours",
    practice=Practice(deploys=deploys),
)
