"""Unlearning inversion: from the weights before and after, what did the record look like that was removed?

The change of the weights stands for the gradient of the removed record; an input is sought whose gradient points the
same way. A label that is not known is inferred first: the class in which the models have lost most confidence, on
examples that the attacker has, which takes no weights.

On digits, 10 models (100 to 109), one record removed by the first-order update, its label known: cosine 0.95 +- 0.04,
and of all other records none is as like the picture; 0.10 +- 0.22 where another record was removed. After retraining
0.20 +- 0.14: there the effect does not show, as another seed moves the weights more than a record does. Labels are
inferred right for 6 of 10, and with those the cosine is 0.58 +- 0.36.

Hu et al. 2024, arXiv:2404.03233; what was at hand are its abstract, summaries and notes on its code. ``1 - cosine`` of
gradients plus total variation, steps along signs of gradients, and labels by the drop of confidence are theirs. It has
10,000 steps, 5 restarts and probing samples made by zeroth-order search; here are fewer steps, and test examples.
"""

import time
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, Shaped
from numpy import ndarray
from torch import Tensor

from expunge.attacks.attack import Attack, Success
from expunge.attacks.lab.arms import Played
from expunge.attacks.lab.owners import of_each
from expunge.attacks.lab.provider import Provider, correct_on_test
from expunge.attacks.lab.request_play import Measured, play_requests
from expunge.attacks.operators import cross_entropies, weighted_gradient
from expunge.attacks.suspects import ARMS, OTHERS, Privacy, answers, requests_about, two_groups
from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.seeds import seed_of
from expunge.errors import BadSetting
from expunge.methods.parts.per_sample import flat_weights
from expunge.suites.suite import Suite

LABEL, SQUARES, NEARER = "label-right", "mean-square", "others-farther"
INFERRED, KNOWN = "inferred", "known"


@dataclass(frozen=True, kw_only=True)
class UnlearningInversion(Privacy):
    """Settings: ``steps`` of ``rate``, a share of the input range, from ``restarts`` beginnings.

    ``tv`` weighs smoothness; the ``label`` is known to the attacker, or inferred first.
    """

    steps: int = 300
    restarts: int = 2
    rate: float = 0.04
    tv: float = 0.01
    label: str = KNOWN

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.label not in (INFERRED, KNOWN):
            raise ValueError(f"label must be one of {INFERRED}, {KNOWN}, got {self.label!r}")
        if self.steps < 1 or self.restarts < 1 or self.rate <= 0 or self.tv < 0:
            raise ValueError("expected at least 1 step and 1 restart, a rate above 0 and a tv of 0 or more")


def check(suite: Suite, config: UnlearningInversion) -> None:
    """Refuse what cannot be, before any work: a vote of several networks has no gradient of one."""
    for each in config.methods:
        if each.method == "sisa":
            raise BadSetting(
                "'sisa' deploys votes of several models, which have no one gradient; choose another --method"
            )


def play(provider: Provider, config: UnlearningInversion) -> Played:
    """Remove one record of each victim, and have the attacker picture it."""
    started = time.perf_counter()
    suspects, _ = two_groups(provider, 1, config.seed)
    attack, honest = requests_about(provider, suspects, config.removed, config.seed)
    effort = np.full(len(provider.models), (time.perf_counter() - started) / len(provider.models))
    return play_requests(provider, attack, honest, partial(measure, provider.suite, config, suspects), effort)


def measure(
    suite: Suite, config: UnlearningInversion, suspects: Int[ndarray, "victims 1"], before: Ensemble, after: Ensemble
) -> Measured:
    """How like the suspect the picture is: cosine, both less the mean training input; mean square; label; and which
    share of all training records is less like it."""
    train = suite.data.train
    truth, labels = of_each(train.x, suspects), of_each(train.y, suspects)[:, 0]
    guessed = inferred_labels(suite, before, after)
    change = (flat_weights(after) - flat_weights(before)).to(before.device)
    found = inverted(suite, before, change, labels if config.label == KNOWN else guessed, config).cpu()
    mean = train.x.mean(0)
    picture, everyone = (found - mean).flatten(1), (train.x - mean).flatten(1)
    likeness = cosine(picture, everyone[suspects[:, 0]])
    others = cosine(picture.unsqueeze(1), everyone)
    more = {
        LABEL: (guessed == labels).double().numpy(),
        SQUARES: (found - truth[:, 0]).flatten(1).double().square().mean(1).numpy(),
        NEARER: (others < likeness.unsqueeze(1)).double().sum(1).numpy() / (len(train) - 1),
    }
    return Measured(likeness.numpy(), correct_on_test(after, suite).mean(1), more)


def cosine(one: Float[Tensor, "... d"], other: Float[Tensor, "... d"]) -> Float[Tensor, "..."]:
    """Over the last axis, float64; 0 where one of both is 0."""
    return F.cosine_similarity(one.double(), other.double(), dim=-1)


def inferred_labels(suite: Suite, before: Ensemble, after: Ensemble) -> Int[Tensor, " victims"]:
    """The class in which the models have lost most confidence, on average over the test examples of the class."""
    test = suite.data.test
    x = test.x.unsqueeze(0).expand(len(before), *test.x.shape)
    shares = [answers(models, x).softmax(-1) for models in (before, after)]
    index = test.y.expand(len(before), -1).unsqueeze(-1)
    lost = (shares[0] - shares[1]).gather(-1, index).squeeze(-1)  # of the true class of each example
    of_class = F.one_hot(test.y, suite.data.classes).double()
    found: Tensor = ((lost @ of_class) / of_class.sum(0).clamp_min(1)).argmax(1)
    return found


def inverted(
    suite: Suite,
    ensemble: Ensemble,
    change: Float[Tensor, "victims d"],
    labels: Int[Tensor, " victims"],
    config: UnlearningInversion,
) -> Shaped[Tensor, "victims ..."]:
    """An input of each model, under its label, whose gradient points where the weights went.

    ``min_x 1 - cos(grad l(x; theta), theta_u - theta) + tv TV(x)`` by Adam on the signs of gradients, whose rate falls
    to 0, within the range of the training inputs; of all beginnings, the one that ends lowest.
    """
    times = config.restarts
    planners = ensemble.take([row for row in range(len(ensemble)) for _ in range(times)]).eval()
    target, y = change.repeat_interleave(times, 0), labels.repeat_interleave(times).unsqueeze(1).to(ensemble.device)
    low, high = float(suite.data.train.x.min()), float(suite.data.train.x.max())
    x = _beginnings(suite, ensemble, times).to(ensemble.device).requires_grad_()
    optimizer = torch.optim.Adam([x], lr=config.rate * (high - low))
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.02, config.steps)
    losses = partial(cross_entropies, smoothing=suite.recipe.label_smoothing)
    one, final = torch.ones(len(planners), 1, device=ensemble.device), torch.zeros(len(planners))
    for _ in range(config.steps):
        gradient = weighted_gradient(planners, x, y, one, losses)
        apart = 1 - F.cosine_similarity(gradient, target, dim=1)
        (slope,) = torch.autograd.grad((apart + config.tv * variation(x)).sum(), x)
        x.grad, final = slope.sign(), apart.detach().cpu()
        optimizer.step()
        schedule.step()
        with torch.no_grad():
            x.clamp_(low, high)
    best = final.reshape(-1, times).argmin(1)
    found: Tensor = x.detach()[:, 0].unflatten(0, (-1, times))[torch.arange(len(best)), best.to(x.device)]
    return found


def _beginnings(suite: Suite, ensemble: Ensemble, times: int) -> Tensor:
    """Normal noise around the mean training input, with its spread; of each model's own generator."""
    mean, spread = suite.data.train.x.mean(0), float(suite.data.train.x.std())
    drawn = [
        torch.randn(mean.shape, generator=torch.Generator().manual_seed(seed_of(suite.digest, "inversion", model, n)))
        for model in ensemble.origin.models
        for n in range(times)
    ]
    return (mean + spread * torch.stack(drawn)).unsqueeze(1)


def variation(x: Shaped[Tensor, "models n ..."]) -> Float[Tensor, " models"]:
    """Total variation of pictures, the mean absolute difference of neighbours; 0 of inputs that are none.

    >>> variation(torch.tensor([[[[[0.0, 1.0], [0.0, 1.0]]]]]))
    tensor([1.])
    """
    if x.ndim != 5:
        return torch.zeros(len(x), device=x.device)
    parts = [x.diff(dim=axis).abs().flatten(1).mean(1) for axis in (3, 4)]
    return parts[0] + parts[1]


ATTACK = Attack(
    play=play,
    check=check,
    config=UnlearningInversion,
    success=Success(
        "cosine of the picture and the removed record, less the mean input; chance about 0", -1.0, 1.0, share=False
    ),
    reads="weights",
    idle={"removed": OTHERS},
    arms=ARMS,
    example="digits",
    summary="the change of the weights is turned back into the record that was removed",
    roles=("model user",),
    goal="privacy",
    knowledge="white box",
    phases=("after unlearning",),
    cite=("hu2024inversion",),
)
