"""Linear probes: are the examples still told apart in the features, whatever the last layer says of them?"""

from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from torch import Tensor

from expunge.audits.audit import Audit, Audited
from expunge.audits.evidence import Evidence, Side
from expunge.audits.game import Game
from expunge.audits.membership import BETTER, ORACLE, TWO_SIDED, UNIT, attack, record
from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.features import features, in_parts
from expunge.ensembles.seeds import seed_of
from expunge.metrics.over_models import gap, mean_over_models
from expunge.suites import Examples

NAME = "linear-probe"
MOST = 500  # retained examples that a probe is fitted to
STRENGTH = 1e-2  # of ridge, as a share of the mean square of a feature


def ridge_probe(
    train: Float[Tensor, "models n d"],
    labels: Int[Tensor, " n"],
    asked: Float[Tensor, "models m d"],
    classes: int,
    *,
    strength: float = STRENGTH,
) -> Float[Tensor, "models m classes"]:
    """``asked W + b`` with ``W = (X^T X + s I)^-1 X^T Y``: least squares of one-hot labels on each model's features.

    Features and labels are centred on ``train``; s is ``strength`` times n times the mean square of a feature. All in
    float64. What it says is large for the class that the features speak for.

    Args:
        train: features of the examples that the probe is fitted to.
        labels: their classes.
        asked: features of the examples that it is asked about.
        classes: how many there are.

    Source: Alain and Bengio 2016, arXiv:1610.01644; least squares in place of logistic regression, since it is solved
    for all models at once.

    >>> x = torch.tensor([[[0.0], [1.0]]])
    >>> ridge_probe(x, torch.tensor([0, 1]), x, 2).argmax(-1)
    tensor([[0, 1]])
    """
    x, y = train.double(), F.one_hot(labels, classes).double()
    centre, shares = x.mean(dim=1, keepdim=True), y.mean(dim=0)
    x, y = x - centre, y - shares
    width = x.shape[2]
    scale = strength * (x**2).sum(dim=(1, 2)) / width + 1e-12
    square = x.transpose(1, 2) @ x + scale[:, None, None] * torch.eye(width, dtype=x.dtype, device=x.device)
    weights = torch.linalg.solve(square, x.transpose(1, 2) @ y)
    said: Tensor = (asked.double() - centre) @ weights + shares
    return said


def halves(count: int) -> list[Int[ndarray, " half"]]:
    """Every other of ``count`` examples, and the rest: what is taught, and what is asked."""
    return [np.arange(count)[first::2] for first in range(2)]


def probe_scores(evidence: Evidence) -> Audited:
    """A probe is fitted to retained examples and one half of the set, and asked about the other; both ways."""

    def said(side: Side) -> tuple[ndarray, ndarray]:
        return evidence.once(NAME, side, lambda side: _probed(evidence, side))

    def games(side: Side) -> list[Game]:
        return [Game.against(said(side)[0], said("oracles")[0])]

    found = attack(evidence, NAME, __name__, games)
    mine, oracles, best = (said(side)[1].mean(axis=1) for side in ("row", "oracles", "held-out"))
    numbers = (
        ("accuracy", mean_over_models(mine, bounds=(0.0, 1.0)), float(oracles.mean())),
        ("accuracy-gap", gap(mine, oracles, bounds=(-1.0, 1.0)), gap(best, oracles).value),
    )
    more = [record(evidence, NAME, __name__, name, each, oracle) for name, each, oracle in numbers]
    return Audited([*more, *found.scores], found.unscored, found.examples, found.p_value)


def _probed(evidence: Evidence, side: Side) -> tuple[Float[ndarray, "models forget"], Bool[ndarray, "models forget"]]:
    """How far each label of the forget set stands above all others in the probe, and whether it does."""
    row = evidence.row
    chance = np.random.default_rng(seed_of(row.suite.digest, NAME, row.forget.digest))
    retain = row.suite.retain(row.forget)
    retain = np.sort(chance.choice(retain, min(MOST, len(retain)), replace=False))
    train = row.suite.data.train
    parts = [train.take(retain), train.take(row.forget.indices)]
    ask = partial(_asked, parts=parts, classes=row.suite.data.classes)
    count = len(retain) + len(row.forget)
    lead = np.concatenate([ask(some) for some in in_parts(evidence.models(side), count)])
    return lead, lead > 0


def _asked(models: Ensemble, parts: Sequence[Examples], classes: int) -> Float[ndarray, "models forget"]:
    known, forget = (features(models, part.x) for part in parts)
    labels, mine = (part.y.to(models.device) for part in parts)
    lead = torch.zeros(forget.shape[:2], dtype=torch.float64)
    both = halves(len(mine))
    for asked, taught in zip(both, reversed(both), strict=True):
        train = torch.cat([known, forget[:, taught]], dim=1)
        said = ridge_probe(train, torch.cat([labels, mine[taught]]), forget[:, asked], classes)
        own = mine[asked].expand(said.shape[:2]).unsqueeze(-1)
        others = said.scatter(-1, own, -torch.inf).amax(-1)
        lead[:, asked] = (said.gather(-1, own).squeeze(-1) - others).cpu()
    found: ndarray = lead.numpy()
    return found


AUDIT = Audit(
    function=ridge_probe,
    scores=probe_scores,
    summary="does a linear classifier find the set in the features, better or worse than in oracles'?",
    aggregates=("accuracy", "accuracy-gap", *TWO_SIDED),
    unit=UNIT,
    better=f"accuracy: as oracles; {BETTER}",
    oracle=f"accuracy: said in each record; {ORACLE}",
    source="arXiv:1610.01644",
    reads=("models",),
)
