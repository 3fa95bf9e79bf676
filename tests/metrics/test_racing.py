"""Races: methods that are alike have no winner, a real difference is found early, and no shape decides alone."""

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
from numpy import ndarray
from scipy.stats import binom

from expunge.errors import MismatchedEnsembles
from expunge.metrics import racing
from expunge.metrics.blockwise import ByExample
from expunge.metrics.jackknife import LeftOut, leave_out
from expunge.metrics.racing import Decision, Race, compared
from expunge.metrics.wasserstein import least_scale, wasserstein
from tests.metrics.quick_distance import quick
from tests.metrics.simulated import FAMILIES, draw

FULL, LOOKS, EXAMPLES = 100, (25, 50, 75, 100), 30
QUICK = 50
Runners = Callable[[np.random.Generator], tuple[dict[str, ndarray], ndarray]]


def run_race(methods: dict[str, ndarray], oracle: ndarray, looks: tuple[int, ...] = LOOKS) -> Race:
    race = Race(tuple(methods), looks[-1])
    for models in looks:
        names = race.waiting(methods) if race.seen else set(methods)
        race.look({name: quick(methods[name][:models], oracle) for name in methods if name in names}, models)
        if not race.open:
            break
    return race


def simulated(family: str, *, own: float = 0.5, gap: float = 0.0, shift: float = 0.6) -> Runners:
    """Three methods on the same pretrained models, the last of which lies ``gap`` farther."""

    def runners(rng: np.random.Generator) -> tuple[dict[str, ndarray], ndarray]:
        start = draw(rng, FULL, EXAMPLES, family=family)
        margins = {
            name: np.sqrt(1 - own) * start
            + np.float32(np.sqrt(own)) * draw(rng, FULL, EXAMPLES, family=family)
            + np.float32(shift + more)
            for name, more in (("one", 0.0), ("other", 0.0), ("far", gap))
        }
        return {name: each.astype(np.float32) for name, each in margins.items()}, draw(
            rng, FULL, EXAMPLES, family=family
        )

    return runners


def dealt(oracles: ndarray) -> Runners:
    """Real oracles as two methods and a reference, a third of them each: 66 models."""
    some = oracles[:, :: oracles.shape[1] // EXAMPLES]

    def runners(rng: np.random.Generator) -> tuple[dict[str, ndarray], ndarray]:
        one, other, oracle = np.split(some[rng.permutation(len(some))[:198]], 3)
        return {"one": one, "other": other}, oracle

    return runners


def false_winners(runners: Runners, races: int, looks: tuple[int, ...] = LOOKS) -> int:
    rng = np.random.default_rng(0)
    found = sum(bool(run_race(*runners(rng), looks).decided) for _ in range(races))
    print(f"{races} races, {found} with a winner")
    return found


def most(races: int) -> int:
    """What a share of 5 % exceeds once in a thousand times; of a thousand races the 5 % themselves."""
    return int(binom.ppf(0.999, races, 0.05)) if races < 1000 else races // 20


def test_identical_methods_have_no_winner() -> None:
    assert false_winners(simulated("normal"), QUICK) <= most(QUICK)


def test_halved_oracles_have_no_winner(oracle_margins: ndarray) -> None:
    assert false_winners(dealt(oracle_margins), QUICK, (22, 44, 66)) <= most(QUICK)


@pytest.mark.slow
@pytest.mark.parametrize("shift", [0.0, 0.6])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_thousand_races_of_identical_methods_have_few_winners(family: str, shift: float) -> None:
    assert false_winners(simulated(family, shift=shift), 1000) <= most(1000)


@pytest.mark.slow
def test_a_thousand_races_of_halved_oracles_have_few_winners(oracle_margins: ndarray) -> None:
    assert false_winners(dealt(oracle_margins), 1000, (22, 44, 66)) <= most(1000)


def test_without_the_division_over_looks_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """The check above sees it: each look at the whole level, each pair too."""
    monkeypatch.setattr(racing, "holm", np.asarray)
    rng, found, races = np.random.default_rng(0), 0, QUICK
    for _ in range(races):
        methods, oracle = simulated("normal")(rng)
        race = Race(tuple(methods), FULL, level=0.05 * len(LOOKS))
        for models in LOOKS:
            race.look({name: quick(each[:models], oracle) for name, each in methods.items()}, models)
        found += bool(race.decided)
    assert found > most(races)


def test_a_real_difference_is_found_before_the_last_look() -> None:
    rng, found = np.random.default_rng(1), []
    for _ in range(20):
        race = run_race(*simulated("normal", gap=0.5)(rng))
        found += [each for each in race.decided.values() if "far" in (each.nearer, each.farther)]
    assert all(each.farther == "far" for each in found)
    assert len(found) >= 36  # of 40 pairs
    assert np.mean([each.models for each in found]) < 60


def equally_far(rng: np.random.Generator, models: int) -> tuple[ndarray, ndarray, ndarray]:
    """Two methods at one distance, of which one is shifted and one is wide; and oracles."""
    shift, start = 0.6, draw(rng, models, EXAMPLES)
    moved, wide = (np.sqrt(0.5) * (start + draw(rng, models, EXAMPLES)) for _ in range(2))
    spread = 1 + shift * np.sqrt(np.pi / 2)  # W1 of a wider normal is (spread - 1) E|Z|
    return (moved + shift).astype(np.float32), (wide * spread).astype(np.float32), draw(rng, FULL, EXAMPLES)


def test_few_models_do_not_favour_a_shape() -> None:
    rng, plain, free = np.random.default_rng(2), [], []
    for _ in range(150):
        moved, wide, oracle = equally_far(rng, 20)
        one, other = quick(moved, oracle), quick(wide, oracle)
        plain.append(float(one.whole[0] - other.whole[0]))
        free.append(compared(one, other)[0])
    error = np.std(plain) / np.sqrt(len(plain))
    assert np.mean(plain) < -4 * error  # which is why it is not compared as it is
    assert abs(np.mean(free)) < abs(np.mean(plain)) / 2


def test_more_models_than_before_get_their_part_of_the_level() -> None:
    race = Race(("a", "b"), 100)
    race.look({}, 25)
    assert (race.seen, race.open, race.waiting(["a", "b"])) == (25, [frozenset("ab")], {"a", "b"})
    assert race.waiting(["a"]) == set()


def test_a_decided_pair_is_not_compared_again(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = {("a", "b"): (-1.0, 0.001), ("a", "c"): (2.0, 0.011), ("b", "c"): (1.0, 0.5)}
    asked: list[tuple[str, str]] = []

    def told(one: LeftOut, other: LeftOut) -> tuple[float, float]:
        pair = label[id(one)], label[id(other)]
        asked.append(pair)
        return answers[pair]

    monkeypatch.setattr(racing, "compared", told)
    race, names = (
        Race(("a", "b", "c"), 100),
        {
            name: LeftOut(
                np.full(1, float(place)), np.ones((1, 1)), np.ones((1, 1)), (np.zeros(1, int), np.zeros(1, int))
            )
            for place, name in enumerate("abc")
        },
    )
    label = {id(each): name for name, each in names.items()}
    race.look(names, 25)
    assert race.decided == {frozenset("ab"): Decision("a", "b", 25)}  # a sixteenth of 5 %, and 0.011 of two is more
    race.look(names, 50)
    assert race.waiting("abc") == {"a", "b", "c"}
    race.look(names, 100)
    assert race.decided[frozenset("ac")] == Decision("c", "a", 100)
    assert asked.count(("a", "b")) == 1
    assert race.waiting("abc") == {"b", "c"}


def test_models_of_other_numbers_are_not_compared() -> None:
    oracle = draw(np.random.default_rng(3), 20, 5)
    with pytest.raises(MismatchedEnsembles, match="the same models, got 20 and 10"):
        compared(quick(oracle, oracle), quick(oracle[:10], oracle))


def test_the_quick_distance_is_the_distance() -> None:
    rng = np.random.default_rng(4)
    margins, oracle = draw(rng, 25, 7), draw(rng, 33, 7) * 2
    oracle[:, 0] *= np.float32(0.01)  # below the least spread
    statistic = ByExample(partial(wasserstein, least=least_scale(oracle)), lambda values: np.array([values.mean()]))
    whole, fast = leave_out(statistic, margins, oracle), quick(margins, oracle)
    for one, other in ((whole.whole, fast.whole), (whole.without_models, fast.without_models)):
        assert one == pytest.approx(other, rel=1e-5)
    assert whole.without_oracles == pytest.approx(fast.without_oracles, rel=1e-5)
