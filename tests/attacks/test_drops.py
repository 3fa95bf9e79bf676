"""What removal costs: paired where models are the same, and never a ratio where there is nothing to divide by."""

from dataclasses import replace

import numpy as np
import pytest

from expunge import Suite
from expunge.attacks.drops import drop, drop_ratio, drop_scores, excess, excess_over_draws, ordinary_drop
from expunge.attacks.removal import RETRAINING, Removal
from expunge.bench.score import identity_row, reference_of
from expunge.ensembles import Plan, read_margins
from expunge.metrics.over_models import ratio
from expunge.store import at_store

BEFORE = np.array([0.90, 0.80, 0.95, 0.85])


@pytest.fixture
def removal(tiny_suite: Suite, tiny_store) -> Removal:  # type: ignore[no-untyped-def]
    forget = tiny_suite.forget_sets["first"]
    with at_store(tiny_store):
        row = identity_row(tiny_suite, forget, read_margins(Plan(tiny_suite, "pretrained"), 0, 4))
        reference = reference_of(tiny_suite, forget, 4, 4)
    return Removal("shuffled", "attack", "amnesiac", row, reference, BEFORE, BEFORE - 0.1)


def test_a_loss_that_all_models_share_has_an_interval_without_width(removal: Removal) -> None:
    found = drop(removal)
    assert found.value == pytest.approx(0.1)
    assert found.high - found.low < 1e-12


def test_of_retraining_the_models_are_others_so_nothing_is_paired(removal: Removal) -> None:
    found = drop(replace(removal, label=RETRAINING))
    assert found.value == pytest.approx(0.1)
    assert found.high - found.low > 0.1


def test_the_same_removal_twice_costs_nothing_more(removal: Removal) -> None:
    found = excess(removal, replace(removal, request="random"))
    assert (found.value, found.low, found.high) == (0, 0, 0)


def test_the_excess_is_positive_where_the_attack_loses_more(removal: Removal) -> None:
    assert excess(removal, replace(removal, after=BEFORE - 0.04)).value == pytest.approx(0.06)


def test_there_is_no_ratio_to_a_control_that_loses_nothing(removal: Removal) -> None:
    assert drop_ratio(removal, replace(removal, after=BEFORE + np.array([0.01, -0.01, 0.02, -0.02]))) is None
    assert drop_ratio(removal, replace(removal, after=BEFORE - 0.05)).value == pytest.approx(2.0)  # type: ignore[union-attr]


def test_there_is_no_ratio_to_a_control_that_gains(removal: Removal) -> None:
    assert drop_ratio(removal, replace(removal, after=BEFORE + 0.05)) is None


def draws(rng: np.random.Generator, count: int, models: int = 20, between: float = 0.05) -> np.ndarray:
    """Accuracies after the removal of random sets that differ, by models that differ."""
    sets, own = rng.normal(scale=between, size=(count, 1)), rng.normal(scale=0.02, size=(1, models))
    return np.asarray(0.5 + sets + own + rng.normal(scale=0.01, size=(count, models)))


def test_one_more_random_set_in_the_attacks_place_stands_out_as_rarely_as_it_should(removal: Removal) -> None:
    rng, wrong, naive = np.random.default_rng(0), 0, 0
    for _ in range(400):
        found = draws(rng, 9)
        one = replace(removal, before=np.full(20, 0.9), after=found[0], ordinary=found[1:])
        over, beside = excess_over_draws(one), excess(one, replace(one, after=found[1]))
        assert over is not None
        wrong += not over.low <= 0 <= over.high
        naive += not beside.low <= 0 <= beside.high
    assert wrong / 400 < 0.07
    assert naive / 400 > 0.5  # beside one set alone, over models, it stands out nearly always


def test_the_mean_over_draws_covers_what_random_records_cost(removal: Removal) -> None:
    rng, hits = np.random.default_rng(1), 0
    for _ in range(400):
        before = np.full(20, 0.9)
        found = ordinary_drop(replace(removal, before=before, after=before, ordinary=draws(rng, 8)))
        assert found is not None
        hits += found.low <= 0.4 <= found.high
    assert hits / 400 > 0.93


def test_one_draw_alone_says_nothing_of_others(removal: Removal) -> None:
    alone = replace(removal, ordinary=(BEFORE - 0.1)[None])
    assert excess_over_draws(alone) is None
    assert ordinary_drop(alone) is None


def test_records_say_batching_request_and_the_settings_of_the_attack(removal: Removal) -> None:
    control = replace(removal, request="random", after=BEFORE - 0.05)
    scores = drop_scores([removal, control], {"attack.generator": "dm"})
    assert {score.subject.config["attack.batching"] for score in scores} == {"shuffled"}
    assert {score.subject.config["attack.generator"] for score in scores} == {"dm"}
    found = {(score.subject.config["attack.request"], score.metric, score.aggregate): score.value for score in scores}
    assert found["attack", "accuracy-drop", "mean"] == pytest.approx(0.1)
    assert found["attack", "excess-drop", "over random"] == pytest.approx(0.05)
    assert found["attack", "drop-ratio", "to random"] == pytest.approx(2.0)
    assert ("random", "excess-drop", "over random") not in found
    assert ("attack", "klom", "p95") in found


def test_a_failed_removal_is_a_failed_row_with_its_reason(removal: Removal) -> None:
    scores = drop_scores([replace(removal, after=None, reason="it broke")], {})
    assert scores
    assert {(score.status, score.value, score.reason) for score in scores} == {("failed", None, "it broke")}


def test_fiellers_interval_covers_as_often_as_it_says() -> None:
    rng, hits, found = np.random.default_rng(0), 0, 0
    for _ in range(1000):
        shared = rng.normal(size=20)
        top, bottom = 3 + shared + rng.normal(size=20), 2 + shared
        estimate = ratio(top, bottom)
        if estimate is not None:
            found += 1
            hits += estimate.low <= 1.5 <= estimate.high
    assert found > 950
    assert 0.93 < hits / found < 0.97
