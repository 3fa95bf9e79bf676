"""One model: where its margins lie among those of oracles and of pretrained models, and what that cannot show.

All other numbers here compare ensembles. Somebody who was handed one model has one row of margins, and may ask of it
alone whether it could be an oracle: an oracle is exchangeable with all others, so its rank among them is known.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from expunge.errors import BadMargins, TooFewModels
from expunge.metrics.flagging import flag_rule, flagged
from expunge.metrics.wasserstein import least_scale

CANNOT = (
    "One model cannot show that a method forgets: that is a claim about all models it makes. A model inside the range "
    "of the oracles may be one of them, be chosen among many, or hold the examples where margins do not tell; a model "
    "outside it is no oracle, but a retraining with another recipe is none either."
)
LEVEL = 0.05  # at which an example is said to be held still
ENDS = (0.05, 0.95)  # the quantiles that are shown of both ensembles
LEAST = 39  # oracles: with 39 the least two-sided p-value is 0.05


@dataclass(frozen=True)
class Looked:
    """What is seen of one model on one split; arrays are ``(examples,)``.

    ``way`` is where it lies on the way from the pretrained models, 0, to the oracles, 1; ``oracles_way`` and
    ``pretrained_way`` are the 5 % and 95 % quantiles of theirs. ``p`` is the p-value of the model as a whole.
    """

    margins: Float[ndarray, " examples"]
    oracle_quantiles: Float[ndarray, "3 examples"]  # 5, 50, 95 %
    pretrained_quantiles: Float[ndarray, "3 examples"]
    quantile: Float[ndarray, " examples"]  # the share of oracles at or below it, ties by half
    p_values: Float[ndarray, " examples"]  # of being an oracle, two-sided
    p_seen: Float[ndarray, " examples"]  # of being an oracle, against lying towards the pretrained models
    told_apart: Bool[ndarray, " examples"]
    way: float
    oracles_way: tuple[float, float]
    pretrained_way: tuple[float, float]
    p: float

    @property
    def strangest(self) -> Int[ndarray, " examples"]:
        """The examples in the order of ``p_seen`` and, of equal ones, of how far the oracles' median is."""
        away = np.abs(self.margins - self.oracle_quantiles[1])
        order: ndarray = np.lexsort((-away, self.p_seen))
        return order


def look(
    model: Float[ndarray, " examples"],
    oracles: Float[ndarray, "oracles examples"],
    pretrained: Float[ndarray, "models examples"],
    *,
    rate: float = 0.05,
    permutations: int = 1000,
) -> Looked:
    """Where one model lies among oracles and pretrained models on a split.

    - Of each example: ``p = 2 min(1 + #{oracle <= z}, 1 + #{oracle >= z}) / (oracles + 1)``, at most 1: under the
      hypothesis that the model is one more oracle it is at most u with a probability of u or less.
    - ``p_seen``: the same towards the pretrained models alone, ``(1 + #{oracle as far there or farther}) /
      (oracles + 1)``, which finds more of what is still held. Of an oracle it is 0.05 or less on 5 % of the examples.
    - ``told_apart``: the rule of :func:`~expunge.metrics.distinguishable.distinguishable` with one model on one side,
      which holds false discoveries at ``rate`` over all examples though they share models. An oracle has no example
      told apart with a probability of ``1 - rate`` or more.
    - ``way``: ``sum d (z - m) / sum d^2`` with the mean margins m of the pretrained models and d from there to the
      oracles', both in standard deviations of the oracles.
    - ``p``: of the model as a whole; the rank, among all oracles and itself, of how far it lies from the middle of them
      all, and of how far it lies towards the pretrained models; twice the smaller share. Exact for an oracle.

    Args:
        model: margins of one model.
        oracles: of 39 oracles or more, none of which is the model.
        pretrained: of models that saw the forget set; 2 or more.
        rate: of false discoveries.
        permutations: of the labels, by which false discoveries are held.

    Raises:
        TooFewModels: of fewer oracles no p-value is 0.05 or less.

    Source: ranks of exchangeable models: Vovk, Gammerman and Shafer 2005, doi:10.1007/b106715.

    >>> rng = np.random.default_rng(0)
    >>> oracles, pretrained = rng.normal(size=(60, 30)), rng.normal(4.0, 1.0, size=(20, 30))
    >>> int(look(pretrained[0], oracles, pretrained[1:]).told_apart.sum())
    29
    >>> int(look(oracles[0], oracles[1:], pretrained).told_apart.sum())
    0
    """
    if len(oracles) < LEAST:
        raise TooFewModels(f"expected {LEAST} oracles or more to look at one model, got {len(oracles)}")
    same = np.flatnonzero((oracles == model).all(axis=1))
    if same.size:
        raise BadMargins(f"this is oracle {same[0]} itself, margin for margin; a copy of an oracle shows nothing")
    below, above = (oracles <= model).sum(axis=0), (oracles >= model).sum(axis=0)
    way, ways = _way(model, oracles, pretrained), [_ways(each, oracles, pretrained) for each in (oracles, pretrained)]
    towards = pretrained.mean(axis=0, dtype=np.float64) > oracles.mean(axis=0, dtype=np.float64)
    rule = flag_rule(model[None], oracles, rate=rate, permutations=permutations)
    return Looked(
        margins=model,
        oracle_quantiles=np.quantile(oracles, (ENDS[0], 0.5, ENDS[1]), axis=0),
        pretrained_quantiles=np.quantile(pretrained, (ENDS[0], 0.5, ENDS[1]), axis=0),
        quantile=(below + len(oracles) - above) / (2 * len(oracles)),
        p_values=np.minimum(1.0, 2 * (1 + np.minimum(below, above)) / (len(oracles) + 1)),
        p_seen=(1 + np.where(towards, above, below)) / (len(oracles) + 1),
        told_apart=flagged(rule, model[None], oracles),
        way=way,
        oracles_way=_ends(ways[0]),
        pretrained_way=_ends(ways[1]),
        p=_whole(model, oracles, pretrained),
    )


def _ends(values: Float[ndarray, " models"]) -> tuple[float, float]:
    low, high = np.quantile(values, ENDS)
    return float(low), float(high)


def _way(model: ndarray, oracles: ndarray, pretrained: ndarray) -> float:
    return float(_ways(model[None], oracles, pretrained)[0])


def _ways(models: ndarray, oracles: ndarray, pretrained: ndarray) -> Float[ndarray, " models"]:
    scale = np.maximum(oracles.std(axis=0, ddof=1, dtype=np.float64), least_scale(oracles))
    start = pretrained.mean(axis=0, dtype=np.float64)
    path = (oracles.mean(axis=0, dtype=np.float64) - start) / scale
    ways: ndarray = ((models - start) / scale) @ path / (path @ path)
    return ways


def _whole(model: ndarray, oracles: ndarray, pretrained: ndarray) -> float:
    """The p-value of the model as a whole: all are treated alike, itself included, so that a rank is exact."""
    together = np.concatenate([model[None], oracles]).astype(np.float64)
    middle = together.mean(axis=0)
    scale = np.maximum(together.std(axis=0, ddof=1), least_scale(together))
    away = (together - middle) / scale
    towards = away @ ((pretrained.mean(axis=0, dtype=np.float64) - middle) / scale)
    shares = [float(np.mean(each >= each[0])) for each in ((away**2).sum(axis=1), towards)]
    return min(1.0, 2 * min(shares))
