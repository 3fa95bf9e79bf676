"""What attacks on privacy ask about: records that were removed, beside others that stay or that no model ever saw."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int, Shaped
from numpy import ndarray
from torch import Tensor

from expunge.attacks.lab.arms import HONEST, ITSELF, ORACLE, UNPERTURBED
from expunge.attacks.lab.provider import ATTACKER, Provider, as_they_lie, honest_request
from expunge.attacks.lab.settings import Lab
from expunge.attacks.practice import USUAL, Practice
from expunge.ensembles.device import exact_arithmetic
from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.seeds import seed_of
from expunge.errors import BadSetting, MethodFailed
from expunge.suites.request import Request
from expunge.suites.suite import Suite

SUSPECTS, OTHERS = "suspects", "others"
ARMS = {  # what the controls of attacks on privacy are
    HONEST: "others are removed, and the suspects stay",
    UNPERTURBED: ITSELF,
    ORACLE: "models retrained without the suspects are released in place of the unlearned ones",
}
BATCH = 256  # records that pass through all models at once


@dataclass(frozen=True, kw_only=True)
class Privacy(Lab):
    """What is ``removed`` is what the attacker asks about, the suspects, or others in their place.

    Owners who have nothing to do with the attacker ask for the removal; the attacker looks at what is released.
    """

    removed: str = SUSPECTS

    def __post_init__(self) -> None:
        if self.removed not in (SUSPECTS, OTHERS):
            raise ValueError(f"removed must be one of {SUSPECTS}, {OTHERS}, got {self.removed!r}")


@dataclass(frozen=True, eq=False)
class Suspects:
    """Of each victim training examples that the attacker asks about, and as many test examples, which none saw."""

    seen: Int[ndarray, "victims n"]
    unseen: Int[ndarray, "victims n"]


def require_suspects(suite: Suite, budget: int, *, unseen: bool = True) -> None:
    """Refuse to ask about nothing, and about more records than there are.

    With ``unseen`` half of the training and of the test examples; else a third of the training examples: suspects,
    those that they are compared with, and others.
    """
    train, test = suite.data.sizes
    most = min(train, test) // 2 if unseen else train // 3
    if not 1 <= budget <= most:
        what = f"half of the {train} training and of the {test} test" if unseen else f"a third of the {train} training"
        raise BadSetting(
            f"expected a budget of 1 to {most} records to ask about, {what} examples of suite {suite.name!r}, got "
            f"{budget}; give --set budget=N"
        )


def suspects_of(provider: Provider, count: int, seed: int, *, half: int = 0) -> Suspects:
    """Suspects of each victim, drawn uniformly of one ``half`` of the records, 0 or 1, which all victims share.

    What an attacker learns from the one half, and asks of the other, it cannot know by the record itself.
    """
    digest, sizes = provider.suite.digest, provider.suite.data.sizes
    order = np.random.default_rng(seed_of(digest, "halves of records", seed))
    pools = [order.permutation(size)[half::2] for size in sizes]
    draws = [np.random.default_rng(seed_of(digest, "suspects", half, seed, model)) for model in provider.models]
    seen, unseen = (np.stack([np.sort(rng.permutation(pool)[:count]) for rng in draws]) for pool in pools)
    return Suspects(seen, unseen)


def two_groups(
    provider: Provider, count: int, seed: int
) -> tuple[Int[ndarray, "victims n"], Int[ndarray, "victims n"]]:
    """So many training examples of each victim that may be removed, and as many beside them, drawn uniformly."""
    suite = provider.suite
    draws = [
        np.random.default_rng(seed_of(suite.digest, "two groups", seed, model)).permutation(suite.data.sizes[0])
        for model in provider.models
    ]
    return np.stack([np.sort(draw[:count]) for draw in draws]), np.stack([draw[count : 2 * count] for draw in draws])


def requests_about(
    provider: Provider,
    seen: Int[ndarray, "victims n"],
    removed: str,
    seed: int,
    spared: Int[ndarray, "victims m"] | None = None,
) -> tuple[list[Request], list[Request]]:
    """The requests for the suspects, or for others where those are ``removed``; and the honest ones: for others.

    Others are none of the suspects and none of those ``spared``.
    """
    suite, everything = provider.suite, np.arange(provider.suite.data.sizes[0])
    asked_about = seen if spared is None else np.concatenate([seen, spared], axis=1)
    honest = [
        honest_request(suite, np.setdiff1d(everything, own), seen.shape[1], seed, model)
        for own, model in zip(asked_about, provider.models, strict=True)
    ]
    return honest if removed == OTHERS else [as_they_lie(suite, own, ATTACKER) for own in seen], honest


@torch.no_grad()
def answers(
    ensemble: Ensemble, x: Shaped[Tensor, "models n ..."], practice: Practice = USUAL
) -> Float[Tensor, "models n c"]:
    """What each model is heard to say of inputs of its own, as logits, in evaluation mode, float64 on the CPU.

    The one door by which attacks read answers: a provider's ``practice`` may coarsen what goes through it. MethodFailed
    where logits are not finite.
    """
    models = ensemble if not ensemble.training else ensemble.copy().eval()
    with exact_arithmetic():
        said = torch.cat([models(part.to(models.device)) for part in x.split(BATCH, dim=1)], dim=1)
    if not said.isfinite().all():
        raise MethodFailed("diverged: what the models say is not finite")
    return practice.told(said.double().cpu(), models.origin.models)
