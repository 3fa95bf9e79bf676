"""How many models are enough: the promised power holds on simulated families, and half the models do not have it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy import ndarray
from scipy.stats import binom

from expunge.bench import enough
from expunge.bench.enough import METHODS, ORACLE, Gap, models_needed
from expunge.bench.scatter import Scatter, scatter_of
from expunge.errors import BadSetting, StoreError, TooFewModels, UnknownName
from expunge.metrics.calibration import estimate_of
from expunge.metrics.jackknife import LeftOut
from expunge.metrics.power import POWER, Contrast, cheapest
from expunge.metrics.ranking import mean_difference
from expunge.metrics.wasserstein import least_scale
from expunge.suites import Suite
from tests.metrics.quick_distance import quick
from tests.metrics.simulated import FAMILIES, draw

SHIPPED, EXAMPLES, NOTHING = 100, 30, 1.5  # models, examples to be forgotten, how far the pretrained lie
Draws = Callable[[np.random.Generator, int], list[ndarray]]  # so many models of the far one, and of the near one


def shown(rng: np.random.Generator, family: str, shift: float) -> float:
    """The mean distance that a table of as many models as are shipped shows of one that is so far away."""
    found = []
    for _ in range(60):
        mine, oracle = (np.sort(draw(rng, SHIPPED, EXAMPLES, family=family), axis=0) for _ in range(2))
        found.append(float((np.abs(mine + shift - oracle).mean(axis=0) / oracle.std(axis=0, ddof=1)).mean()))
    return float(np.mean(found))


def shift_that_shows(family: str, distance: float) -> float:
    shifts = np.linspace(0, 2.5, 26)
    return float(np.interp(distance, [shown(np.random.default_rng(0), family, each) for each in shifts], shifts))


def shipped(rng: np.random.Generator, family: str) -> Scatter:
    pretrained, oracle, held_out = (draw(rng, SHIPPED, EXAMPLES, family=family) for _ in range(3))
    return Scatter(pretrained + np.float32(NOTHING), oracle, held_out, least_scale(oracle))


def two_methods(family: str, gap: float) -> Draws:
    """Halfway, and half of their spread is that of the models they began from."""
    floor = shown(np.random.default_rng(0), family, 0.0)
    near = (floor + shown(np.random.default_rng(0), family, NOTHING) - gap) / 2
    shifts = [shift_that_shows(family, each) for each in (near + gap, near)]

    def draws(rng: np.random.Generator, models: int) -> list[ndarray]:
        start = draw(rng, models, EXAMPLES, family=family)
        return [np.sqrt(0.5) * (start + draw(rng, models, EXAMPLES, family=family)) + shift for shift in shifts]

    return draws


def from_the_oracle(family: str, gap: float) -> Draws:
    shift = shift_that_shows(family, shown(np.random.default_rng(0), family, 0.0) + gap)

    def draws(rng: np.random.Generator, models: int) -> list[ndarray]:
        return [draw(rng, models, EXAMPLES, family=family) + each for each in (shift, 0.0)]

    return draws


def told(rng: np.random.Generator, family: str, draws: Draws, numbers: tuple[int, int], *, paired: bool) -> bool:
    """Whether one bench of so many models and oracles says that the far one is farther."""
    models, oracles = numbers
    oracle = draw(rng, oracles, EXAMPLES, family=family)
    pair: list[LeftOut] = [quick(each, oracle) for each in draws(rng, models)]
    [found] = estimate_of(mean_difference, pair, pairs=[(0, 1)] if paired else [])
    return found.value > 0 and found.p_value <= 0.05


def power(question: str, family: str, gap: float, *, plans: int, benches: int) -> tuple[float, float]:
    """How many benches tell the gap, from other ensembles each time: of the planned numbers, and of half of them."""
    rng, found = np.random.default_rng(1), np.zeros(2)
    draws = (two_methods if question == METHODS else from_the_oracle)(family, gap)
    for _ in range(plans):
        scatter = shipped(rng, family)
        contrast = scatter.two_methods(gap)[0] if question == METHODS else scatter.from_the_oracle(gap)
        planned = cheapest(contrast, 0.3 if question == METHODS else 1.3, 1.0)
        assert planned
        for place, part in enumerate((1.0, 0.5)):
            numbers = max(5, round(part * planned[0])), max(5, round(part * planned[1]))
            for _ in range(benches):
                found[place] += told(rng, family, draws, numbers, paired=question == METHODS)
    whole, half = found / plans / benches
    print(f"{question}, {family}, {gap} sd: power {whole:.3f}, of half the numbers {half:.3f}")
    return float(whole), float(half)


def least(runs: int) -> float:
    """What a power of 95 % falls below once in a thousand times."""
    return float(binom.ppf(0.001, runs, POWER)) / runs


@pytest.mark.parametrize("question", [METHODS, ORACLE])
def test_the_planned_numbers_have_the_power_and_half_of_them_have_not(question: str) -> None:
    whole, half = power(question, "normal", 0.4, plans=3, benches=40)
    assert whole >= least(120) > half


@pytest.mark.slow
@pytest.mark.parametrize("gap", [0.2, 0.4])
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("question", [METHODS, ORACLE])
def test_the_power_holds_in_every_family(question: str, family: str, gap: float) -> None:
    whole, half = power(question, family, gap, plans=12, benches=50)
    assert whole >= 0.93
    assert half < 0.9


def test_the_cheapest_numbers_are_enough_and_fewer_of_either_are_not() -> None:
    contrast = Contrast(near=0.5, far=0.7, floor=1.3, models=0.4, oracles=0.2)
    models, oracles = cheapest(contrast, 0.3, 1.0) or (0, 0)

    def tells(some: int, many: int) -> bool:
        return bool(contrast.tells(np.array([float(some)]), np.array([float(many)]))[0])

    assert tells(models, oracles)
    assert not tells(models, oracles - 1)
    assert not tells(models - 1, oracles)


def test_dear_oracles_are_replaced_by_models() -> None:
    contrast = Contrast(near=0.5, far=0.7, floor=1.3, models=0.4, oracles=0.4)
    cheap, dear = cheapest(contrast, 1.0, 1.0), cheapest(contrast, 0.1, 1.0)
    assert cheap
    assert dear
    assert dear[0] > cheap[0]
    assert dear[1] < cheap[1]


def test_where_no_number_is_enough_there_is_none() -> None:
    never = Contrast(near=0.5, far=0.5 + 1e-9, floor=1.3, models=0.4, oracles=0.4)
    assert cheapest(never, 1.0, 1.0) is None
    assert cheapest(Contrast(near=0.5, far=0.7, floor=1.3, models=0.4, oracles=0.4), 1.0, 1.0, oracles=10) is None
    assert cheapest(never, 1.0, 1.0, models=5) is None


def test_a_row_for_each_question_on_each_set(suite: Suite) -> None:
    found = models_needed(suite, "20%", ["memorised-50"])
    assert [each.question for each in found] == [METHODS, ORACLE]
    (methods, oracle) = found
    assert methods.gap == pytest.approx(oracle.gap)
    assert methods.held_out == 0
    assert oracle.held_out == oracle.models
    assert methods.left
    assert 0.1 < methods.left < 1
    assert (methods.own_models, methods.own_oracles) == (methods.models, methods.oracles)


@pytest.mark.slow
def test_more_than_the_suite_has_is_said(suite: Suite) -> None:
    for each in models_needed(suite, "0.02", ["random-50"]):
        assert "more than the suite has, 100 of each" in each.note
        assert each.own_models is None
        assert each.models
    (first, _) = models_needed(suite, Gap(1e-6, False), ["random-50"])
    assert first.models is None
    assert "not told by 100,000 models" in first.note


def test_a_set_without_headroom_has_no_shares(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(enough, "scatter_of", lambda *these: (scatter_of(*these)[0], False))
    for each in models_needed(suite, "5%", ["random-50"]):
        assert (each.gap, each.models) == (None, None)
        assert "no headroom" in each.note
    assert all(each.models for each in models_needed(suite, "0.15", ["random-50"]))


def test_a_gap_beyond_the_whole_gap_is_refused_and_only_said_where_another_set_has_it(suite: Suite) -> None:
    told = r"expected a gap of at most 0\.206 sd on 'random-50', all between doing nothing and the floor, got 50"
    with pytest.raises(BadSetting, match=told):
        models_needed(suite, "50", ["random-50"])
    with pytest.raises(BadSetting, match=r"of at most 1\.835 sd on 'memorised-50', .* got 50"):
        models_needed(suite, "50", ["random-50", "memorised-50"])
    narrow, wide = models_needed(suite, "0.5", ["random-50", "memorised-50"])[::2]
    assert narrow.note == "the whole gap, between doing nothing and the floor, is 0.206 sd"
    assert (narrow.gap, narrow.models) == (0.5, None)
    assert wide.models
    assert all(each.models for each in models_needed(suite, "100%", ["memorised-50"]))


@pytest.mark.parametrize(
    "gap", ["0", "0%", "-1", "-5%", "101%", "1e30", "far", "", "nan", "inf", "1e999", "5 percent", "0,2", "٥"]
)
def test_what_is_no_gap_is_refused(gap: str) -> None:
    with pytest.raises(BadSetting, match="expected a gap"):
        Gap.parse(gap)


def test_bad_input_is_refused(suite: Suite, tiny_suite: Suite, tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="unknown forget set"):
        models_needed(suite, "0.2", ["random-5"])
    with pytest.raises(TooFewModels, match=r"expected 20 models of each ensemble or more .* got the 12"):
        models_needed(tiny_suite, "0.2")
    with pytest.raises(StoreError, match="expunge build fashion-mnist-10k"):
        models_needed("fashion-mnist-10k", "0.2")
    with pytest.raises(BadSetting, match="expected 1 to 1,000,000 methods, got 0"):
        models_needed(suite, "0.2", methods=0)
    with pytest.raises(BadSetting, match="a cost above 0"):
        models_needed(suite, "0.2", cost=float("nan"))
