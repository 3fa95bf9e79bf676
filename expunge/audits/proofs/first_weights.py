"""Checks of where a proof begins: first weights must be drawn anew, and must not be those of the original."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy import ndarray
from scipy.stats import ks_2samp
from torch import Tensor

from expunge.audits.proofs.bundle import Bundle
from expunge.audits.proofs.finding import Finding
from expunge.audits.proofs.states import States, model_states
from expunge.ensembles.plan import new_networks
from expunge.ensembles.seeds import seed_of
from expunge.suites.suite import Suite

FRESH = 20  # networks that are drawn to compare with
LEVEL = 1e-4  # below which the least p-value of all layers, times their number, is no chance
ALIKE = 0.5  # cosine of two sets of first weights: of independent ones it is near 0


def check_first(bundle: Bundle, suite: Suite) -> list[Finding]:
    """Kolmogorov-Smirnov of each tensor against those of networks that are drawn here; and the seed, if one is told.

    A tensor that is always drawn alike, as the ones and zeros of a BatchNorm, must be so here. Momenta are zero.
    Source: Jia et al. 2021, arXiv:2103.05633, with a correction for the number of layers.
    """
    told, first = bundle.manifest.promise, bundle.states([0])
    if first.model_digest(0) != told.first:
        return [Finding("first weights", "FAIL", "the first state is not the one that was promised")]
    if first.momenta.any():
        return [Finding("first weights", "FAIL", "the first state has momenta: it is no beginning")]
    if drawn_from_seed(bundle, suite):
        return [Finding("first weights", "PASS", "the first weights are drawn from their seed, bit for bit")]
    values = p_values(first, bundle, suite)
    name = min(values, key=lambda each: values[each])
    least = min(1.0, values[name] * len(values))
    if least < LEVEL:
        reason = (
            f"the first weights are no freshly drawn ones: {name} has p = {values[name]:.2g} of {len(values)} tensors"
        )
        return [Finding("first weights", "FAIL", reason)]
    return [
        Finding(
            "first weights",
            "PASS",
            f"the first weights look freshly drawn, least corrected p {least:.2g}, though they may have been chosen",
        )
    ]


def drawn_from_seed(bundle: Bundle, suite: Suite) -> bool:
    """Whether the promise states a seed that gives the first weights, bit for bit."""
    told = bundle.manifest.promise
    if told.first_seed is None:
        return False
    drawn = new_networks(suite.network, [told.first_seed])[0].state_dict()
    return model_states(drawn, bundle.manifest.layout).model_digest(0) == told.first


def p_values(first: States, bundle: Bundle, suite: Suite) -> dict[str, float]:
    """Of each tensor the probability of a sample like it among freshly drawn ones."""
    layout = bundle.manifest.layout
    networks = new_networks(suite.network, [seed_of("fresh", number) for number in range(FRESH)])
    fresh = [each.state_dict() for each in networks]
    return {name: _p_value(mine[0], [each[name] for each in fresh]) for name, mine in first.tensors(layout).items()}


def _p_value(mine: Tensor, others: Sequence[Tensor]) -> float:
    pooled = torch.cat([each.flatten() for each in others]).double().numpy()
    values: ndarray = mine.flatten().double().numpy()
    if np.ptp(pooled) == 0:
        return float((values == pooled[0]).all())
    if not np.isfinite(values).all():
        return 0.0
    return float(ks_2samp(values, pooled, method="asymp").pvalue)


def check_not_the_originals(bundle: Bundle, original: Bundle, suite: Suite) -> Finding:
    """Whether the first weights have anything of the original training, at its start or later."""
    mine, layout = bundle.states([0]), bundle.manifest.layout
    fresh = [each.state_dict() for each in new_networks(suite.network, [seed_of("fresh", row) for row in range(2)])]
    drawn = {each.name for each in layout if not torch.equal(fresh[0][each.name], fresh[1][each.name])}
    own = _flat(mine, bundle, drawn)
    last = original.manifest.states - 1
    for number in sorted({round(each) for each in np.linspace(0, last, 50)}):
        other = _flat(original.states([number]), bundle, drawn)
        alike = float(own @ other / (own.norm() * other.norm()))
        if abs(alike) > ALIKE:
            step = original.step_of(number)
            reason = (
                f"the proof begins with weights of the original training, after step {step} of it: cosine {alike:.2f}"
            )
            return Finding("original", "FAIL", reason)
    return Finding("original", "PASS", "the first weights have nothing of the original training")


def _flat(states: States, bundle: Bundle, names: set[str]) -> Tensor:
    tensors = states.tensors(bundle.manifest.layout)
    return torch.cat([each.flatten().double() for name, each in tensors.items() if name in names])
