"""What an attacker wants of predictions: chosen inputs taken for chosen classes, or as many errors as can be."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Shaped
from numpy import ndarray
from torch import Tensor

from expunge.attacks.bilevel import Objective
from expunge.attacks.lab.owners import of_each
from expunge.attacks.lab.provider import Provider, correct_on_test
from expunge.attacks.lab.request_play import Measured
from expunge.attacks.named_class import named_class
from expunge.attacks.operators import cross_entropies
from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.features import outputs
from expunge.ensembles.seeds import seed_of
from expunge.errors import BadSetting
from expunge.suites.suite import Suite

GOALS = ("targeted", "untargeted")
LIKELIEST = "likeliest"  # the class that the attacker's model finds the likeliest beside the first
CLEAN = 400  # about so many records, spread over all of its own, show an attacker what it does beside
SHIFT, MOST = "target-shift", 100.0

Predict = Callable[[Tensor, Tensor], Tensor]  # weights and inputs (models, n, ...) -> logits (models, n, classes)


@dataclass(frozen=True, eq=False)
class Aim:
    """What the attackers of several victims want.

    ``chosen`` are test examples, ``wanted`` the class that each is to be taken for; none of an attacker who only wants
    errors. ``clean`` are records of the attacker's own: by those it sees how much damage it does beside.
    """

    suite: Suite
    chosen: Int[ndarray, "victims targets"]
    wanted: Int[ndarray, "victims targets"]
    clean: Int[ndarray, "victims clean"]
    stealth: float

    @property
    def targeted(self) -> bool:
        return self.chosen.size > 0


def require_aim(suite: Suite, goal: str, targets: int, target_class: str) -> None:
    """Refuse a goal that is none, targets that the test data do not have, and a class that does not exist."""
    if goal not in GOALS:
        raise BadSetting(f"expected goal to be one of {', '.join(GOALS)}, got {goal!r}; give --set goal=targeted")
    test = suite.data.sizes[1]
    if goal == "targeted" and not 1 <= targets <= test // 2:
        raise BadSetting(
            f"expected 1 to {test // 2} targets, at most half of the {test} test examples, got {targets}; give "
            "--set targets=N"
        )
    if goal == "targeted" and target_class != LIKELIEST:
        named_class(suite, target_class, "target_class", LIKELIEST)


def targets_of(
    provider: Provider, planners: Ensemble, targets: int, target_class: str, seed: int
) -> tuple[Int[ndarray, "victims targets"], Int[ndarray, "victims targets"]]:
    """Test examples that the attacker's own model gets right, drawn uniformly, and the class each is to be taken for.

    ``planners`` are the models that attackers plan with, as many for each victim; the first of each decides.
    """
    suite, each = provider.suite, len(planners) // len(provider.models)
    said = outputs(planners, suite.data.test.x)[::each].cpu()
    labels = suite.data.test.y
    right = (said.argmax(-1) == labels).numpy()
    others = said.scatter(-1, labels.expand(len(said), -1).unsqueeze(-1), -torch.inf)
    fixed = None if target_class == LIKELIEST else named_class(suite, target_class, "target_class", LIKELIEST)
    chosen, wanted = [], []
    for row, model in enumerate(provider.models):
        rng = np.random.default_rng(seed_of(suite.digest, "targets", seed, model))
        able = right[row] if fixed is None else right[row] & (labels.numpy() != fixed)
        found = rng.permutation(np.flatnonzero(able))[:targets]
        if len(found) < targets:
            raise BadSetting(
                f"suite {suite.name!r}: the attacker's model gets {len(found)} test examples right that could be "
                f"targets, of which {targets} are wanted; give fewer, --set targets={len(found)}"
            )
        chosen.append(found)
        wanted.append(others[row, found].argmax(-1).numpy() if fixed is None else np.full(targets, fixed))
    return np.stack(chosen), np.stack(wanted)


def objective(aim: Aim, planners: Ensemble, predict: Predict) -> Objective:
    """What the attackers minimise, of weights ``(planners, d)``: one value for each planner, nats.

    Targeted: ``mean_t l(f(x_t), wanted_t) + stealth |clean loss - clean loss before|``, before any request, as
    ``planners`` are; untargeted: minus the clean loss. ``predict(weights, x)`` gives logits. Each victim's planners
    share its targets and its clean records.
    """
    train, test, each = aim.suite.data.train, aim.suite.data.test, len(planners) // len(aim.chosen)

    def spread(tensor: Tensor) -> Tensor:
        return tensor.repeat_interleave(each, 0).to(planners.device)

    seen = aim.clean[:, :: max(1, aim.clean.shape[1] // CLEAN)]
    clean_x, clean_y = spread(of_each(train.x, seen)), spread(of_each(train.y, seen))
    x, wanted = spread(of_each(test.x, aim.chosen)), spread(torch.from_numpy(aim.wanted))
    before: list[Tensor] = []

    def value(weights: Tensor) -> Tensor:
        clean = cross_entropies(predict(weights, clean_x), clean_y).mean(1)
        if not aim.targeted:
            return -clean
        if not before:
            before.append(_clean_before(planners, clean_x, clean_y))
        hit = cross_entropies(predict(weights, x), wanted).mean(1)
        return hit + aim.stealth * (clean - before[0]).abs()

    return value


def _clean_before(planners: Ensemble, x: Tensor, y: Tensor) -> Tensor:
    with torch.no_grad():
        return cross_entropies(planners(x), y).mean(1)


def measure(aim: Aim, before: Ensemble, after: Ensemble) -> Measured:
    """Success and utility of victims after an arm.

    Targeted: the share of targets that are taken for the wanted class, and how far the wanted class has risen over the
    label, nats of the difference of their logits, at most 100 either way; utility is the test accuracy on all examples
    that are no target. Untargeted: success is the share of test examples that are got wrong. A model that was driven
    to say what is no number takes a target for nothing.
    """
    right = correct_on_test(after, aim.suite)
    if not aim.targeted:
        return Measured(1 - right.mean(1), right.mean(1))
    others = _others(aim.chosen, right.shape[1])
    utility = np.array([row[rest].mean() for row, rest in zip(right, others, strict=True)])
    said, old = (_at(outputs(models, aim.suite.data.test.x), aim.chosen) for models in (after, before))
    labels, wanted = of_each(aim.suite.data.test.y, aim.chosen), torch.from_numpy(aim.wanted)
    success = ((said.argmax(-1) == wanted) & said.isfinite().all(-1)).double().mean(1).numpy()
    shift = (_lead(said, wanted, labels) - _lead(old, wanted, labels)).nan_to_num(0.0).clamp(-MOST, MOST)
    return Measured(success, utility, {SHIFT: shift.mean(1).numpy()})


def _others(chosen: Int[ndarray, "victims targets"], count: int) -> Bool[ndarray, "victims test"]:
    rest = np.ones((len(chosen), count), bool)
    np.put_along_axis(rest, chosen, False, axis=1)
    return rest


def _at(said: Shaped[Tensor, "victims test c"], rows: Int[ndarray, "victims targets"]) -> Shaped[Tensor, "victims t c"]:
    index = torch.from_numpy(rows).unsqueeze(-1).expand(-1, -1, said.shape[-1])
    found: Tensor = said.cpu().gather(1, index)
    return found


def _lead(
    said: Float[Tensor, "victims t c"], wanted: Int[Tensor, "victims t"], labels: Int[Tensor, "victims t"]
) -> Float[Tensor, "victims t"]:
    """By how much the logit of the wanted class lies above that of the label."""
    pairs = [said.gather(-1, each.unsqueeze(-1)).squeeze(-1) for each in (wanted, labels)]
    return (pairs[0] - pairs[1]).double()
