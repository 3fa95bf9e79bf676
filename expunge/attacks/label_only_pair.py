"""Membership from the labels of a pair of models: how far noise may move a record before each model changes its mind.

The attacker gets labels alone, as where a provider answers with nothing else. It asks both models about noisy copies of
a record; of each model it counts how many copies have the record's own label, at each strength of the noise. A
classifier that learned from shadow pairs (:mod:`expunge.attacks.shadow_pairs`) tells from the counts of both whether
the record was removed. Beside it stand the same classifiers that see the counts of one model.

On digits the effect does not show: over 10 models and 50 records each, removed by the first-order update, the AUC is
0.520 +- 0.025, of the model before alone 0.511 +- 0.027, and 0.519 +- 0.026 where others were removed (95 % intervals;
models 100 to 109). On models that fit random labels by heart it does, which a test holds.

Lu et al. 2022, doi:10.1002/int.23000, whose code, but not whose text, was at hand: for either model it searches the
nearest input with another label (HopSkipJump), and learns from the distances of both, and between them. Here noise
takes the place of the search; robustness to noise in place of confidence is of Choquette-Choo et al. 2021,
arXiv:2007.14321.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from jaxtyping import Float, Int, Shaped
from numpy import ndarray
from torch import Tensor

from expunge.attacks.attack import Attack, Success
from expunge.attacks.lab.arms import Arm, Played
from expunge.attacks.lab.provider import Provider
from expunge.attacks.pair_membership import (
    CLASSIFIERS,
    ORIGINAL,
    PAIR,
    UNLEARNED,
    Inference,
    partly_inference,
    play_inference,
)
from expunge.attacks.practice import USUAL, Practice
from expunge.attacks.shadow_pairs import Pairs, records_of, require_shadows, shadow_pairs
from expunge.attacks.suspects import ARMS, OTHERS, Privacy, answers, require_suspects
from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.seeds import seed_of
from expunge.errors import BadSetting
from expunge.suites.request import Request
from expunge.suites.suite import Suite


@dataclass(frozen=True, kw_only=True)
class LabelOnlyPair(Privacy):
    """Settings: of ``budget`` records removed, and as many never seen, ``queries`` noisy copies at each of ``levels``.

    The noise is normal and rises to ``noise``, in standard deviations of the training inputs. ``classifier`` learns
    from ``shadows`` pairs.
    """

    budget: int = 50
    queries: int = 10
    levels: int = 4
    noise: float = 1.0
    classifier: str = "logistic-regression"
    shadows: int = 10

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.classifier not in CLASSIFIERS:
            raise ValueError(f"classifier must be one of {', '.join(CLASSIFIERS)}, got {self.classifier!r}")


def check(suite: Suite, config: LabelOnlyPair) -> None:
    """Refuse what cannot be, before any work."""
    require_suspects(suite, config.budget)
    require_shadows(suite, config.models, config.shadows)
    if config.queries < 1 or config.levels < 1 or config.noise <= 0:
        raise BadSetting(
            f"expected at least 1 query at 1 level of a noise above 0, got {config.queries} at {config.levels} of "
            f"{config.noise:g}; give --set queries=N, --set levels=N, --set noise=X"
        )


@dataclass(frozen=True, eq=False)
class Robustness:
    """Counts of noisy copies that keep the label, by which both models are compared."""

    config: LabelOnlyPair
    practice: Practice = USUAL

    def __call__(self, suite: Suite, pairs: Pairs) -> dict[str, Float[ndarray, "models n d"]]:
        """What each classifier sees of the records: the shares of both models, or those of one."""
        x, y = records_of(suite, pairs.suspects)
        seeds = [seed_of(suite.digest, "noisy copies", self.config.seed, model) for model in pairs.before.origin.models]
        spread = self.config.noise * float(suite.data.train.x.std())
        copies = noisy_copies(x, seeds, (self.config.levels, self.config.queries), spread)
        before, after = (kept_labels(models, copies, y, self.practice) for models in (pairs.before, pairs.after))
        return {PAIR: np.concatenate([before, after], axis=-1), UNLEARNED: after, ORIGINAL: before}


def noisy_copies(
    x: Shaped[Tensor, "models n ..."], seeds: Sequence[int], count: tuple[int, int], spread: float
) -> Shaped[Tensor, "levels queries models n ..."]:
    """Copies of each model's records, ``count`` levels and queries, with normal noise of a standard deviation that
    rises in equal steps to ``spread`` at the last level."""
    drawn = [
        torch.randn((*count, *own.shape), generator=torch.Generator().manual_seed(seed))
        for own, seed in zip(x, seeds, strict=True)
    ]
    strength = spread * torch.arange(1, count[0] + 1) / count[0]
    return x + torch.stack(drawn, dim=2) * strength.reshape(-1, *[1] * (x.ndim + 1))


def kept_labels(
    models: Ensemble,
    copies: Shaped[Tensor, "levels queries models n ..."],
    labels: Int[Tensor, "models n"],
    practice: Practice = USUAL,
) -> Float[ndarray, "models n levels"]:
    """The share of copies of a record, at each level, that have its label."""
    shares = []
    for level in copies:
        said = torch.stack([answers(models, each, practice).argmax(-1) for each in level])
        shares.append((said == labels).double().mean(0))
    found: ndarray = torch.stack(shares, dim=-1).numpy()
    return found


def play(provider: Provider, config: LabelOnlyPair) -> Played:
    """Learn from shadow pairs, then ask each victim about its suspects, after each arm."""
    return play_inference(provider, config, config.budget, partial(learned_by, provider, config))


def partly(provider: Provider, config: LabelOnlyPair, requests: Sequence[Request | None]) -> Arm:
    """What the attack comes to where a defence let a part of each request through: of all suspects, those too that
    were held back and stay."""
    return partly_inference(provider, config, config.budget, partial(learned_by, provider, config), requests)


def learned_by(provider: Provider, config: LabelOnlyPair) -> list[Inference]:
    """What the attacker learns from shadow pairs of the provider's method, and of retraining."""
    both = shadow_pairs(provider, config.budget, config.shadows, config.seed)
    seen = Robustness(config, provider.practice)
    return [Inference.learned(provider.suite, pairs, seen, config.classifier, config.seed) for pairs in both]


ATTACK = Attack(
    play=play,
    check=check,
    config=LabelOnlyPair,
    success=Success(
        "AUC at which removed records are told, by labels alone, from records never in training; chance 0.5",
        share=False,
    ),
    reads="answers",
    idle={"removed": OTHERS},
    arms=ARMS,
    partly=partly,
    example="digits",
    summary="labels of noisy copies, before and after, tell which records were removed",
    roles=("requester", "model user"),
    goal="privacy",
    knowledge="black box",
    phases=("after unlearning",),
    cite=("lu2022", "choquettechoo2021", "chen2021"),
)
