"""Ranks: what is shared between pairs changes nothing, and ties stay ties."""

from itertools import combinations

import numpy as np
import pytest
from numpy import ndarray

from expunge.errors import MismatchedEnsembles
from expunge.metrics.calibration import holm, paired_difference
from expunge.metrics.ranking import rank
from expunge.metrics.wasserstein import wasserstein
from tests.metrics.simulated import draw

SPLITS = [np.arange(3, 43), np.arange(0, 3), np.arange(43, 60)]


def distance(unlearned: ndarray, oracle: ndarray) -> ndarray:
    values = wasserstein(unlearned, oracle, least=0.1)
    return np.array([np.mean([values[split].mean() for split in SPLITS])])


def test_is_what_each_pair_compared_by_itself_gives() -> None:
    rng = np.random.default_rng(0)
    oracle, start = rng.normal(size=(2, 50, 60))
    margins = {str(shift): start + shift + 0.3 * rng.normal(size=start.shape) for shift in (0, 0.03, 0.3, 0.6, 3)}
    pairs = list(combinations(margins, 2))
    alone = [paired_difference(distance, margins[a], margins[b], oracle)[0] for a, b in pairs]
    better = dict.fromkeys(margins, 0)
    worse = dict.fromkeys(margins, 0)
    for (a, b), found, p in zip(pairs, alone, holm([each.p_value for each in alone]), strict=True):
        if p <= 0.05:
            loser, winner = (b, a) if found.value < 0 else (a, b)
            better[loser] += 1
            worse[winner] += 1
    assert 0 < sum(better.values()) < len(pairs)  # some pairs are told apart and some are not
    for name, place in rank(margins, oracle, SPLITS).items():
        assert (place.best, place.worst) == (1 + better[name], len(margins) - worse[name])


def test_the_same_models_under_two_names_are_a_tie() -> None:
    oracle, start = np.random.default_rng(1).normal(size=(2, 40, 60))
    ranks = rank({"one": start + 1, "two": start + 1, "far": start + 4}, oracle, SPLITS)
    assert (ranks["one"].best, ranks["one"].worst) == (ranks["two"].best, ranks["two"].worst) == (1, 2)
    assert (ranks["far"].best, ranks["far"].worst) == (3, 3)


def test_nothing_to_rank_has_no_ranks() -> None:
    assert rank({}, np.zeros((4, 60)), SPLITS) == {}


def test_methods_on_other_models_are_refused() -> None:
    oracle = np.zeros((4, 60))
    with pytest.raises(MismatchedEnsembles, match=r"\(4, 60\) of 'a', \(3, 60\) of 'b'"):
        rank({"a": oracle, "b": oracle[:3]}, oracle, SPLITS)


def test_who_forgets_by_breaking_the_rest_is_not_first() -> None:
    oracle, start = np.random.default_rng(2).normal(size=(2, 60, 60))
    breaks, does_nothing = start.copy(), start.copy()
    breaks[:, SPLITS[1]] += 6
    breaks[:, SPLITS[2]] += 6
    does_nothing[:, SPLITS[0]] += 2
    ranks = rank({"breaks": breaks, "does nothing": does_nothing}, oracle, SPLITS)
    assert ranks["does nothing"].best < ranks["breaks"].best


def orders_found(runs: int) -> list[bool]:
    """Whether any of eight methods without a difference is called better than another, run by run."""
    found = []
    for run in range(runs):
        rng = np.random.default_rng(run)
        oracle, before = (draw(rng, 40, 30) for _ in range(2))
        methods = {f"m{k}": before + 0.7 * draw(rng, 40, 30) + 1.0 for k in range(8)}
        places = rank(methods, oracle, [np.arange(10), np.arange(10, 20), np.arange(20, 30)])
        found.append(any(place.best > 1 for place in places.values()))
    return found


def test_methods_without_a_difference_have_one_place() -> None:
    assert sum(orders_found(8)) <= 3  # with a chance of 5 % each: 4 or more in 0.04 %


@pytest.mark.slow
def test_no_order_is_found_in_nineteen_of_twenty_benches_without_one() -> None:
    assert np.mean(orders_found(400)) <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 400)


@pytest.mark.slow
def test_without_holms_correction_orders_are_found_where_there_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("expunge.metrics.ranking.holm", np.asarray)
    assert sum(orders_found(20)) > 4
