"""Reconstruction from a linear model: its change, times its curvature, is the record that was removed, up to scale.

Of ridge regression this is exact, see :func:`row_behind`. Of logistic regression one Newton step makes it so nearly:
the curvature times the change of the weights is the gradient of the removed record, ``(p - onehot(y)) x^T``, whose one
direction over the inputs is the record. The attacker has the weights before and after, and examples of its own of the
same kind, by which it estimates the curvature.

On tabular, 20 models (100 to 119), trained to their optimum: cosine 0.74 +- 0.09 by public curvature after the method
``second-order``, 0.73 +- 0.21 after exact retraining, 0.96 +- 0.08 there by the true curvature; -0.06 +- 0.23 where
another record was removed. Where models end as their recipe leaves them, exact retraining gives 0.01 +- 0.19: there the
effect does not show, for the order of SGD moves the weights more than one record does. Of a first-order update the
change is the gradient, and its curvature only spoils it: 0.96 +- 0.08 without, 0.42 +- 0.29 with.

Of fixed embeddings, with ``embedded``, the record's embedding is what comes back; where their entries are not negative,
as behind a ReLU, all are alike, and the honest request says how much.

Bertran et al. 2024, arXiv:2405.20272 (HRec); what was at hand are its abstract and summaries. The identity for ridge
regression, and how the record is read off a gradient of several classes, are derived here.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray
from torch import Tensor, nn

from expunge.attacks.attack import Attack, Success
from expunge.attacks.embedded import embedded, has_head, heads
from expunge.attacks.lab.arms import ATTACK as ATTACKED
from expunge.attacks.lab.arms import HONEST, NO_REQUEST, ORACLE, UNPERTURBED, Played, completed, failed
from expunge.attacks.lab.provider import Provider, Served, correct_on_test
from expunge.attacks.lab.request_play import Measure, Measured, arm, play_requests
from expunge.attacks.optimum import at_optimum
from expunge.attacks.removal import Attacked
from expunge.attacks.suspects import ARMS, OTHERS, Privacy, requests_about, two_groups
from expunge.attacks.unlearning_inversion import cosine
from expunge.ensembles.ensemble import Ensemble
from expunge.errors import BadSetting, MethodFailed
from expunge.methods import find_method
from expunge.methods.parts.curvature import hessian, weight_decay
from expunge.methods.parts.per_sample import flat_weights, in_parts
from expunge.suites.data import Examples
from expunge.suites.request import Request
from expunge.suites.suite import Suite

PUBLIC, TRUE, NONE = "public", "true", "none"
NEARER, RAW = "others-farther", "cosine-without-curvature"


@dataclass(frozen=True, kw_only=True)
class Reconstruction(Privacy):
    """Settings: the ``curvature`` is that of public examples, the test set, or the true one, of all but the record.

    ``curvature=none`` takes the change of the weights itself for the gradient. With ``converged`` the provider trains
    to the optimum: victims are brought there, and so are those retrained; else all stay where their recipe ends.
    ``embedded`` is a provider who trains a linear layer on what a frozen network makes of the data: the embedding of
    the record is what is reconstructed.
    """

    methods: tuple[Attacked, ...] = (Attacked("second-order"),)
    curvature: str = PUBLIC
    converged: bool = True
    embedded: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.curvature not in (PUBLIC, TRUE, NONE):
            raise ValueError(f"curvature must be one of {PUBLIC}, {TRUE}, {NONE}, got {self.curvature!r}")


def row_behind(
    before: Float[Tensor, " d"], after: Float[Tensor, " d"], gram: Float[Tensor, "d d"]
) -> Float[Tensor, " d"]:
    """The direction of the row whose removal led ridge regression from ``before`` to ``after``.

    With ``gram = X^T X + penalty I`` of all rows, ``gram before = X^T y`` and ``(gram - x x^T) after = X^T y - x y_x``,
    so ``gram (after - before) = x (x after - y_x)``: the row times a number. Of length 1; its sign cannot be told.

    >>> row_behind(torch.zeros(2), torch.tensor([3.0, 4.0]), torch.eye(2))
    tensor([0.6000, 0.8000])
    """
    row = gram @ (after - before)
    found: Tensor = row / row.norm()
    return found


def check(suite: Suite, config: Reconstruction) -> None:
    """Refuse what cannot be, before any work: networks of more than one layer, where they are not frozen."""
    _require_linear(suite, config)
    if config.converged and not suite.recipe.weight_decay:
        raise BadSetting(
            f"suite {suite.name!r}: without weight decay its loss need not have an optimum; give --set converged=false"
        )
    for each in config.methods:
        if find_method(each.method).prepare:
            raise BadSetting(
                f"{each.method!r} starts from models of its own, not from the one that is deployed; choose another "
                "--method"
            )


def _require_linear(suite: Suite, config: Reconstruction) -> None:
    if config.embedded:
        if not has_head(suite) or not config.converged:
            raise BadSetting(
                f"suite {suite.name!r}: fixed embeddings need a network whose last layer is linear, behind others, and "
                "a provider who trains that to its optimum; attack digits with --set converged=true"
            )
        return
    with torch.random.fork_rng(devices=[]):
        layers = [each for each in suite.network().modules() if not list(each.children())]
    weights = [each for each in layers if list(each.parameters())]
    plain = all(isinstance(each, nn.Linear | nn.Flatten | nn.Identity) for each in layers)
    if not plain or len(weights) != 1 or not isinstance(weights[0], nn.Linear) or weights[0].bias is None:
        raise BadSetting(
            f"suite {suite.name!r}: reconstruction needs a network of one linear layer with a bias; attack tabular, or "
            "this one by unlearning-inversion, or its embeddings by --set embedded=true"
        )


def play(provider: Provider, config: Reconstruction) -> Played:
    """Remove one record of each victim, and have the attacker reconstruct it."""
    started = time.perf_counter()
    if config.embedded:
        provider = Provider(embedded(provider.suite), provider.attacked, provider.models, provider.seed)
    suspects, _ = two_groups(provider, 1, config.seed)
    attack, honest = requests_about(provider, suspects, config.removed, config.seed)
    effort = np.full(len(provider.models), (time.perf_counter() - started) / len(provider.models))
    look = partial(measure, provider.suite, config, suspects)
    if not config.converged:
        return play_requests(provider, attack, honest, look, effort)
    start = heads(provider.suite, provider.models) if config.embedded else provider.victims
    return _at_optima(provider, start, attack, honest, look, effort=effort)


def _at_optima(
    provider: Provider,
    start: Ensemble,
    attack: Sequence[Request],
    honest: Sequence[Request],
    look: Measure,
    *,
    effort: Float[ndarray, " victims"],
) -> Played:
    """The arms of a provider who trains to the optimum, from where models ``start``."""
    suite, nothing = provider.suite, np.zeros(len(provider.models))
    try:
        victims = at_optimum(suite, start, [np.arange(0)] * len(attack))
    except MethodFailed as error:
        return failed(attack, str(error))

    def exactly() -> Served:
        return Served(at_optimum(suite, victims, [each.indices for each in attack]), nothing + 1, nothing)

    ways: dict[str, Callable[[], Served]] = {
        ATTACKED: lambda: provider.serve(attack, start=victims),
        NO_REQUEST: lambda: Served(victims, nothing, nothing),
        HONEST: lambda: provider.serve(honest, start=victims),
        ORACLE: exactly,
    }
    arms = {name: arm(victims, way, look) for name, way in ways.items() if provider.plays(name)}
    return Played(completed({UNPERTURBED: arms[ATTACKED], **arms}), attack, effort)


def measure(
    suite: Suite, config: Reconstruction, suspects: Int[ndarray, "victims 1"], before: Ensemble, after: Ensemble
) -> Measured:
    """The cosine of the reconstruction and the suspect; the same of the change alone; and which share of all training
    records is less like it."""
    change = flat_weights(after) - flat_weights(before)
    everyone = suite.data.train.x.flatten(1)
    truth = everyone[suspects[:, 0]]
    raw = inputs_of(before, change).cpu()
    found = raw if config.curvature == NONE else inputs_of(before, gradient_of(suite, config, suspects, before, change))
    likeness, others = cosine(found.cpu(), truth), cosine(found.cpu().unsqueeze(1), everyone)
    farther = (others < likeness.unsqueeze(1)).double().sum(1) / (len(everyone) - 1)
    more = {NEARER: farther.numpy(), RAW: cosine(raw, truth).numpy()}
    return Measured(likeness.numpy(), correct_on_test(after, suite).mean(1), more)


def gradient_of(
    suite: Suite,
    config: Reconstruction,
    suspects: Int[ndarray, "victims 1"],
    before: Ensemble,
    change: Float[Tensor, "victims d"],
) -> Float[Tensor, "victims d"]:
    """``H (theta_u - theta)``: the curvature of the mean loss, with the recipe's weight decay, times the change."""
    data = suite.data
    found = []
    for row in range(len(before)):
        examples = data.test if config.curvature == PUBLIC else _but(data.train, int(suspects[row, 0]))
        one, own = before.take([row]).eval(), change[row : row + 1]
        x, y = examples.x.to(one.device).unsqueeze(0), examples.y.to(one.device).unsqueeze(0)
        loss = partial(suite.target.loss, smoothing=suite.recipe.label_smoothing)
        found.append(hessian(one, (x, y), loss)(own) + weight_decay(one, suite.recipe) * own)
    return torch.cat(found)


def _but(examples: Examples, row: int) -> Examples:
    return examples.take(np.delete(np.arange(len(examples)), row))


def inputs_of(ensemble: Ensemble, gradient: Float[Tensor, "victims d"]) -> Float[Tensor, "victims inputs"]:
    """The one direction over the inputs of a gradient ``(p - onehot(y)) [x, 1]^T`` of a linear layer, up to scale.

    The first singular vector of its part for the weights; its sign is that with which the part for the bias agrees.
    """
    weight, bias = in_parts(ensemble, gradient)
    left, _, right = torch.linalg.svd(weight.double(), full_matrices=False)
    sign = torch.einsum("vc,vc->v", left[:, :, 0], bias.double()).sign()
    found: Tensor = right[:, 0] * torch.where(sign == 0, 1.0, sign).unsqueeze(1)
    return found


ATTACK = Attack(
    play=play,
    check=check,
    config=Reconstruction,
    success=Success("cosine of the reconstruction and the removed record; chance about 0", -1.0, 1.0, share=False),
    reads="weights",
    idle={"removed": OTHERS},
    arms=ARMS,
    example="tabular",
    summary="the change of a linear model, times its curvature, is the record that was removed",
    roles=("model user",),
    goal="privacy",
    knowledge="white box",
    phases=("after unlearning",),
    cite=("bertran2024",),
)
