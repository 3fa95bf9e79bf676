"""Relearning: do models that are taught one half of the set again come back to know the other half?"""

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray

from expunge.audits.audit import Audit, Audited
from expunge.audits.evidence import Evidence, Side
from expunge.audits.game import Game
from expunge.audits.membership import BETTER, ORACLE, TWO_SIDED, UNIT, attack, record
from expunge.audits.outputs import on_forget
from expunge.audits.population import loss
from expunge.audits.probe import halves
from expunge.ensembles.device import exact_arithmetic, resident
from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.optimizers import Descent
from expunge.metrics.over_models import mean_over_models
from expunge.suites import Examples
from expunge.suites.target import CLASSIFICATION, log_odds

NAME = "relearning"
AFTER = (0, 1, 2, 4, 8)  # steps at which is asked
ATTACKED = 4  # steps after which it is asked whether it is an oracle
MOST = 256  # examples of a step
SHARE = 0.1  # of the recipe's learning rate

Curve = Float[ndarray, "steps models examples"]


def relearned(
    ensemble: Ensemble,
    taught: Examples,
    asked: Examples,
    *,
    lr: float,
    momentum: float = 0.9,
    after: tuple[int, ...] = AFTER,
) -> Curve:
    """Margins of each model on ``asked`` after so many steps of SGD on ``taught``; the models stay as they are.

    A step is down the mean cross-entropy of all examples that are taught, 256 at the most. Models are in evaluation
    mode, so that running statistics, which a few examples would spoil, stay those of the unlearned models.

    Args:
        ensemble: the models.
        taught: examples that they are taught again.
        asked: examples that they are asked about, which they are not taught.
        lr: learning rate.
        momentum: of SGD.
        after: steps after which they are asked, rising.

    Source: relearn time of Golatkar et al. 2020, arXiv:1911.04933; asking about what is not taught: Deeb and Roger
    2024, arXiv:2410.08827.
    """
    student = ensemble.copy().eval()
    for parameter in student.parameters():
        parameter.requires_grad_(True)
    batch = resident(taught.take(np.arange(min(len(taught), MOST))), student.device)
    optimizer = Descent(student, lr=lr, momentum=momentum)
    found = []
    for step in range(after[-1] + 1):
        if step in after:
            found.append(_margins(student, asked))
        if step == after[-1]:
            break
        with exact_arithmetic():
            optimizer.zero_grad()
            CLASSIFICATION.loss(student(batch.x), batch.y).sum().backward()
            optimizer.step()
    return np.stack(found)


@torch.no_grad()
def _margins(student: Ensemble, asked: Examples) -> Float[ndarray, "models examples"]:
    parts = []
    for x, y in zip(asked.x.split(MOST), asked.y.split(MOST), strict=True):
        with exact_arithmetic():
            parts.append(log_odds(student(x.to(student.device)), y.to(student.device)).double().cpu())
    found: ndarray = torch.cat(parts, dim=1).numpy()
    return found.clip(-100, 100)


def relearning_scores(evidence: Evidence) -> Audited:
    """Each half of the set is taught, and the other is asked about: losses after each number of steps, and an attack.

    A model that still holds the set comes back to it sooner than one that never saw it.
    """

    def curve(side: Side) -> Curve:
        return evidence.once(NAME, side, lambda side: _curve(evidence, side))

    def games(side: Side) -> list[Game]:
        at = AFTER.index(ATTACKED)
        return [Game.against(curve(side)[at], curve("oracles")[at])]

    found = attack(evidence, NAME, __name__, games)
    losses = [loss(curve(side)).mean(axis=2) for side in ("row", "oracles")]
    more = [
        record(evidence, NAME, __name__, f"loss-{steps}", mean_over_models(mine, (0.0, np.inf)), float(best.mean()))
        for steps, mine, best in zip(AFTER, *losses, strict=True)
    ]
    return Audited([*more, *found.scores], found.unscored, found.examples, found.p_value)


def _curve(evidence: Evidence, side: Side) -> Curve:
    suite, examples, models = evidence.row.suite, on_forget(evidence), evidence.models(side)
    both, size = halves(len(examples)), suite.chunk
    parts = [models.take(range(first, min(first + size, len(models)))) for first in range(0, len(models), size)]
    return np.concatenate([_of_both(part, examples, both, SHARE * suite.recipe.lr) for part in parts], axis=1)


def _of_both(models: Ensemble, examples: Examples, both: list[Int[ndarray, " half"]], lr: float) -> Curve:
    found: ndarray = np.zeros((len(AFTER), len(models), len(examples)))
    for taught, asked in zip(both, reversed(both), strict=True):
        found[..., asked] = relearned(models, examples.take(taught), examples.take(asked), lr=lr)
    return found


AUDIT = Audit(
    function=relearned,
    scores=relearning_scores,
    summary="taught one half of the set again, do they know the other half sooner than oracles?",
    aggregates=(*(f"loss-{steps}" for steps in AFTER), *TWO_SIDED),
    unit=f"loss: nats; {UNIT}",
    better=f"loss: as oracles; {BETTER}",
    oracle=f"loss: said in each record; {ORACLE}",
    source="arXiv:1911.04933",
    reads=("models",),
)
