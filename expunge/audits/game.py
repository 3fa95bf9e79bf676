"""The game that every attack on membership plays, and what it scores there: AUC, TPR at a low FPR, and intervals.

A model is drawn, and an example; the attack gives the pair a score, high where it believes that the model has seen the
example. What is random are models: an interval is for the expectation over fresh models, while the examples stay.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray
from scipy.special import bdtr, stdtr, stdtrit

from expunge.errors import TooFewModels
from expunge.metrics.calibration import Estimate

LEAST_OTHERS = 1000  # scores of non-members, below which a TPR at 1 % or less hangs on a handful


@dataclass(frozen=True, eq=False)
class Game:
    """Scores of pairs of a model and an example, and which of them are members' (the model has seen the example).

    ``other`` are the pairs that it is to be told from, by default all that are no members'; a pair that is neither does
    not play. Models with members alone and with others alone are two ensembles; there may be some that have both.
    """

    scores: Float[ndarray, "models examples"]
    member: Bool[ndarray, "models examples"]
    other: Bool[ndarray, "models examples"] | None = None

    @classmethod
    def against(cls, mine: Float[ndarray, "models examples"], oracles: Float[ndarray, "oracles _examples"]) -> "Game":
        """Unlearned models as those who have seen the examples, oracles as those who have not."""
        member = np.repeat([True, False], [len(mine), len(oracles)])
        scores = np.concatenate([mine, oracles]).astype(np.float64)
        return cls(scores, np.broadcast_to(member[:, None], scores.shape))

    @property
    def others(self) -> Bool[ndarray, "models examples"]:
        return ~self.member if self.other is None else self.other

    @property
    def groups(self) -> list[ndarray]:
        """The models of each ensemble: only members, only others, both."""
        mine, others = self.member.any(axis=1), self.others.any(axis=1)
        kinds = (mine & ~others, others & ~mine, mine & others)
        found = [np.flatnonzero(kind) for kind in kinds if kind.any()]
        if kinds[2].sum() > 1:  # a model that happens to have but one of the two is spread as those are that have both
            alone = [rows for rows in found if len(rows) < 2]
            found = [rows for rows in found if len(rows) > 1]
            found[-1] = np.concatenate([found[-1], *alone])
        if any(len(rows) < 2 for rows in found):
            raise TooFewModels(f"expected 2 models or more on each side of an attack, got {min(map(len, found))}")
        return found


@dataclass(frozen=True)
class Measured:
    """A number, its standard error over models, and the degrees of freedom of that."""

    value: float
    error: float
    freedom: float

    def interval(self, level: float = 0.95) -> Estimate:
        """By Student's t, cut at 0 and 1."""
        half = float(stdtrit(self.freedom, (1 + level) / 2)) * self.error
        return Estimate(self.value, max(self.value - half, 0.0), min(self.value + half, 1.0))

    def p_value(self, null: float = 0.5) -> float:
        """Two-sided: how often chance alone would lead as far from ``null``."""
        return float(2 * stdtr(self.freedom, -abs(self.value - null) / self.error)) if self.error > 0 else 1.0


def auc(games: Sequence[Game], *, by_example: bool = False) -> Measured:
    """The chance that a member has a higher score than another, ties counting half: mean over ``games``, 0 to 1.

    0.5 is what guessing gets; below, members are found by their low scores, as where they were forgotten too well. The
    pairs are of all examples, one threshold for all, or ``by_example`` of one and the same each: mean over examples.

    The error is that of a two-sample U statistic with models as clusters: ``sum over models of psi^2``, where psi is
    what a model adds to the AUC. That is 0 where all is told apart, which no number of models proves: one model a side
    that says the opposite is added to it, by ``|1 - 2 AUC|^3``, which is nothing near 0.5. Games that share models, as
    folds do whose attack was fitted on each other, may err together: their errors are averaged as if they always did,
    which is never too narrow.

    Source: DeLong et al. 1988, doi:10.2307/2531595; clusters: Obuchowski 1997, doi:10.2307/2533958.

    >>> auc([Game.against(np.array([[1.0], [3.0]]), np.array([[0.0], [2.0]]))]).value
    0.75
    """
    found = [_auc(game, by_example) for game in games]
    return Measured(
        float(np.mean([each.value for each in found])),
        float(np.mean([each.error for each in found])),
        min(each.freedom for each in found),
    )


def auc_of_each(games: Sequence[Game]) -> Float[ndarray, " examples"]:
    """The AUC of every example by itself; 0.5, as of guessing, where one side has none."""
    found: ndarray = np.mean([_by_example(game)[0] for game in games], axis=0)
    return found


def tpr(games: Sequence[Game], fpr: float, *, level: float = 0.95) -> Estimate | None:
    """The share of members above the score that at most a share ``fpr`` of others exceeds; pooled over ``games``.

    An oracle gets ``fpr``, but for chance. None where there are fewer than 1,000 scores of others: unscored.

    The interval takes the threshold from its own binomial interval, with as many independent scores as their spread
    over models speaks for, and the share above it by Student's t; each at half of the error, so it is rather wide.

    Source: Carlini et al. 2022, arXiv:2112.03570; thresholds by order statistics.
    """
    others = np.sort(np.concatenate([game.scores[game.others] for game in games]))[::-1]
    if len(others) < LEAST_OTHERS:
        return None
    tail, count = (1 - level) / 4, len(others)
    cut = others[int(fpr * count + 1e-9)]
    crowd = _crowding([_rate(game, game.others, cut) for game in games], count)
    few, many = _binomial_ends(count / crowd, fpr, tail)
    value = _rate_over(games, cut)
    low = _rate_over(games, others[max(int(few * crowd), 1) - 1]) if few else None
    high = _rate_over(games, others[min(int(np.ceil(many * crowd)), count - 1)])
    return Estimate(
        value.value,
        0.0 if low is None else max(min(low.interval(1 - 2 * tail).low, value.value), 0.0),
        min(max(high.interval(1 - 2 * tail).high, value.value), 1.0),
    )


def _auc(game: Game, by_example: bool) -> Measured:
    if by_example:
        each, influence = _by_example(game)
        value = float(each.mean())
    else:
        value, influence = _pooled(game.scores, game.member, game.others)
    return _measured(value, influence, game.groups, pseudo=abs(1 - 2 * value) ** 3)


def _measured(value: float, influence: ndarray, groups: Sequence[ndarray], pseudo: float = 0.0) -> Measured:
    """A number with the error of its influences, those of a group being independent and alike.

    A few models may agree by chance, which tells nothing of how they spread. So the error is no smaller than if the
    models of all groups were spread alike, one by one, which where nothing is to be told apart they are.
    """
    counts = np.array([len(rows) for rows in groups])
    squares = np.array([((influence[rows] - influence[rows].mean()) ** 2).sum() for rows in groups])
    parts = squares * counts / (counts - 1) + (pseudo / counts) ** 2
    pooled = (squares * counts**2).sum() / (counts - 1).sum() / counts
    if pooled.sum() > parts.sum():
        return Measured(value, float(np.sqrt(pooled.sum())), float((counts - 1).sum()))
    fourth = (parts**2 / (counts - 1)).sum()
    return Measured(value, float(np.sqrt(parts.sum())), parts.sum() ** 2 / fourth if fourth > 0 else counts.min() - 1.0)


def _pooled(scores: ndarray, member: ndarray, other: ndarray) -> tuple[float, ndarray]:
    """The AUC of all pairs, and what each model (row) adds to it."""
    mine, others = scores[member], scores[other]
    above, below = _share_below(others, mine), 1 - _share_below(mine, others)
    value = float(above.mean())
    added: ndarray = np.zeros(scores.shape)
    added[member] = (above - value) / len(mine)
    added[other] = (below - value) / len(others)
    return value, added.sum(axis=1)


def _by_example(game: Game) -> tuple[Float[ndarray, " examples"], Float[ndarray, " models"]]:
    values, influence = np.full(game.scores.shape[1], 0.5), np.zeros(len(game.scores))
    others = game.others
    for column in np.flatnonzero(game.member.any(axis=0) & others.any(axis=0)):
        each = [part[:, [column]] for part in (game.scores, game.member, others)]
        values[column], added = _pooled(*each)
        influence += added
    return values, influence / len(values)


def _share_below(sample: ndarray, points: ndarray) -> Float[ndarray, " points"]:
    """The share of ``sample`` below each point, those that equal it counting half."""
    ordered = np.sort(sample)
    both = [np.searchsorted(ordered, points, side=side) for side in ("left", "right")]
    result: ndarray = (both[0] + both[1]) / (2 * len(ordered))
    return result


def _rate_over(games: Sequence[Game], cut: float) -> Measured:
    """The share of members above ``cut``; the error is at least that of independent scores."""
    found = [_rate(game, game.member, cut) for game in games]
    hits, count = sum(each[0] for each in found), sum(each[1] for each in found)
    least = (hits + 1) / (count + 2)
    error = max(float(np.mean([each[2].error for each in found])), float(np.sqrt(least * (1 - least) / count)))
    return Measured(hits / count, error, min(each[2].freedom for each in found))


def _rate(game: Game, chosen: ndarray, cut: float) -> tuple[int, int, Measured]:
    """How many of the chosen scores lie above ``cut``, of how many, and their share."""
    above, count = (game.scores > cut) & chosen, int(chosen.sum())
    share = float(above.sum() / count)
    influence = ((above - share) * chosen).sum(axis=1) / count
    groups = [rows for rows in game.groups if chosen[rows].any()]
    return int(above.sum()), count, _measured(share, influence, groups)


def _crowding(found: Sequence[tuple[int, int, Measured]], count: int) -> float:
    """How many scores are worth one independent score, by the spread over models of the share above a cut."""
    share = (sum(each[0] for each in found) + 1) / (count + 2)
    error = float(np.mean([each[2].error for each in found]))
    return max(error**2 * count / (share * (1 - share)), 1.0)


def _binomial_ends(count: float, share: float, tail: float) -> tuple[int, int]:
    """The most that is exceeded with a chance of 1 - ``tail`` or more, and the least that is with less than that."""
    whole = max(int(count), 1)
    below = bdtr(np.arange(min(whole, int(whole * share + 20 * np.sqrt(whole * share) + 40)) + 1.0), whole, share)
    return int((below <= tail).sum()), int((below < 1 - tail).sum())
