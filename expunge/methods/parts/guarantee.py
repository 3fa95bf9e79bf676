"""What a certified method guarantees, and by which steps: an update, and noise that a theorem asks for."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Int
from numpy import ndarray

from expunge.certificates.theorems.theorem import Claim
from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.seeds import Generators
from expunge.methods.parts.per_sample import flat_weights, with_weights
from expunge.suites.suite import Split, Suite

Train = Callable[[Suite, Int[ndarray, " rows"], Sequence[int], Any, Generators], Ensemble]
Update = Callable[[Ensemble, Split, Any, Generators], Ensemble]
Claims = Callable[[Ensemble, Split, Any], tuple[Claim, ...]]
Settle = Callable[[Ensemble, Split, Any], Any]
Conditions = Callable[[Any], Mapping[str, str]]


def as_it_is(ensemble: Ensemble, split: Split, cfg: Any) -> Any:
    """The config of a method whose settings do not depend on what is asked of it."""
    return cfg


def as_released(ensemble: Ensemble, split: Split, cfg: Any, rng: Generators) -> Ensemble:
    """What is released, where nothing is done to it any more."""
    return ensemble


def noise_of_claim(claim: Claim, cfg: Any) -> float:
    """The last noise where it is what the theorem calls sigma."""
    return claim.sigma


def none(cfg: Any) -> Mapping[str, str]:
    """No conditions."""
    return {}


def always(conditions: Mapping[str, str]) -> Conditions:
    """These conditions, whatever the settings."""
    return lambda cfg: conditions


def no_noise(claim: Claim, cfg: Any) -> float:
    """Of a method whose noise is all in training."""
    return 0.0


@dataclass(frozen=True, kw_only=True)
class Guarantee:
    """A row of CERTIFIED: by which theorem a method claims what it claims, and the parts that the claim speaks of.

    ``train(suite, rows, models, cfg, rng)`` makes models of these numbers on the training examples at ``rows`` as the
    theorem asks it; None where any training does. ``update`` gives the weights before the last noise, which are what
    is carried on to a further request; of what is to be forgotten a split may hold nothing, as that of models does that
    never saw it. ``claims(ensemble before, split, cfg)`` has one for each model, and ``noise(claim, cfg)`` the standard
    deviation of the last noise, 0 where all of it is in training or in the steps. ``settle`` puts what follows from
    the models and the request in place of settings that are 0; what it gives, it leaves as it is.
    ``finish`` goes on with what is released, on retained examples alone, which takes nothing from a claim.
    ``held`` are the conditions of the theorem that the method itself sees to, in training or in its steps, whatever the
    network, and ``false`` those that its settings break; each with why.
    """

    theorem: str
    update: Update
    claims: Claims
    train: Train | None = None
    noise: Callable[[Claim, Any], float] = noise_of_claim
    settle: Settle = as_it_is
    finish: Update = as_released
    held: Conditions = none
    false: Conditions = none

    def run(self, ensemble: Ensemble, split: Split, cfg: Any, rng: Generators) -> Iterator[Ensemble]:
        """Yield what is released, once: the update with the noise of the claims."""
        cfg = self.settle(ensemble, split, cfg)
        claims = self.claims(ensemble, split, cfg)
        weights = self.update(ensemble, split, cfg, rng)
        shown = released(weights, [self.noise(claim, cfg) for claim in claims], rng.beside("release"))
        yield self.finish(shown, split, cfg, rng)


@torch.no_grad()
def released(ensemble: Ensemble, sigmas: Sequence[float], rng: Generators) -> Ensemble:
    """A copy whose weights are ``w + N(0, sigma^2 I)``, a sigma for each model; ``ensemble`` stays what is carried on.

    Drawn and added in float64, then rounded to the weights' own type. Buffers, and what is frozen, get no noise.
    """
    weights = flat_weights(ensemble)
    sigma = torch.tensor(sigmas, dtype=torch.float64, device=weights.device)
    noise = rng.normal(weights.shape[1], dtype=torch.float64).to(weights.device)
    return with_weights(ensemble, (weights.double() + sigma[:, None] * noise).to(weights.dtype))
