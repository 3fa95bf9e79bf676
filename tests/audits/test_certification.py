"""A certified method is tried, end to end: both arms, a bound beside the claim, checks, planted faults, a restart."""

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from expunge.audits.certification import DRAWN, MODELS, Certification, arms_of, measure, tried_together
from expunge.audits.refutation import release_noise, trial
from expunge.audits.refutation.arms import Arm, Arms
from expunge.audits.refutation.measured import measured_epsilon
from expunge.audits.refutation.planted import PLANTED
from expunge.audits.refutation.trial import STAGES, both_arms, make_chunk, rows_of, split_of, trial_of
from expunge.audits.shadows import Labour
from expunge.certificates.checking import check
from expunge.ensembles import Ensemble
from expunge.errors import BadSetting, MethodFailed, TooFewModels, UnknownName
from expunge.methods.certified import trained
from expunge.suites import Suite, load_suite
from tests.certificates.made import certificate

FORGET, COUNT, DRAWS = "random-10", 40, 300_000
BALL, STEPS = "output-perturbation", "noisy-fine-tuning-clipped"
SETTINGS = {"delta": 1e-3}  # at which so few draws see a noise that is too small by the square root of 2


def short(epochs: int = 15) -> Suite:
    """Logistic regression that trains in a moment, in chunks of 20 models."""
    suite = load_suite("tabular")
    return replace(suite, chunk=20, recipe=replace(suite.recipe, epochs=epochs))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("store")


@pytest.fixture(autouse=True)
def same_store(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All tests of this file have one store."""
    monkeypatch.setenv("EXPUNGE_STORE", str(store))


@pytest.fixture(scope="module")
def found(store: Path) -> Iterator[dict[str, Certification]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EXPUNGE_STORE", str(store))
        patch.setenv("EXPUNGE_DEVICE", "cpu")
        yield {method: tried(method) for method in (BALL, STEPS)}


def arms_of_noise(models: int) -> Arms:
    """Arms that are alike."""
    rng = np.random.default_rng(0)
    return Arms(*(Arm(tuple(range(models)), {"margins": rng.normal(size=(models, 2))}) for _ in range(2)))


def tried(method: str, *, planted: bool = True) -> Certification:
    return measure(method, short(), FORGET, models=COUNT, settings=SETTINGS, planted=planted, draws=DRAWS)


@pytest.mark.parametrize("method", [BALL, STEPS])
def test_a_sound_claim_stands(found: dict[str, Certification], method: str) -> None:
    one = found[method]
    assert {each.word for each in one.tried.values()} == {"NOT REFUTED"}
    assert all(each.value <= one.asked == 1 for each in one.tried.values())
    assert not any(one.checks.values())
    assert "noise" in one.checks
    assert (one.subject.method, one.subject.forget_set, one.subject.model_numbers) == (method, FORGET, "0-39")


def test_where_a_theorem_hides_a_shift_its_noise_is_drawn_and_its_ball_is_checked(
    found: dict[str, Certification],
) -> None:
    assert set(found[BALL].evidence) == {MODELS, DRAWN}
    assert set(found[STEPS].evidence) == {MODELS}
    assert {"norms", "shift"} <= set(found[BALL].checks)
    apart, shift = found[BALL].apart, found[BALL].certificate.claim.shift
    assert apart is not None
    assert shift is not None
    assert 0.1 < apart < shift  # of weights that are about 2 long


def test_every_fault_is_caught_that_a_method_can_have(found: dict[str, Certification]) -> None:
    outcomes = {method: {each.fault: each.outcome for each in found[method].planted} for method in found}
    assert outcomes[BALL] == dict.fromkeys(PLANTED, "caught")
    assert outcomes[STEPS] == dict.fromkeys(PLANTED, "caught") | {"projection-left-out": "cannot be had"}


def test_each_model_has_its_certificate(found: dict[str, Certification]) -> None:
    for one in found.values():
        assert [each.model for each in one.certificates] == list(range(COUNT))
        assert one.certificate.verdict == "VACUOUS"  # the noise of such balls drowns so few weights
        assert not any(check(each) for each in one.certificates)


def test_a_claim_stands_where_it_is_certified_and_each_test_could_have_refuted_it(
    found: dict[str, Certification],
) -> None:
    vacuous = found[STEPS]
    sound = replace(vacuous, certificates=(certificate(),))
    few = replace(sound, evidence={MODELS: measured_epsilon(arms_of_noise(8), 1e-5, 1.0)})
    assert few.tried[MODELS].word == "NOT TESTABLE"
    faulty = replace(sound, checks={**sound.checks, "noise": "there is none"})
    assert [each.stands for each in (sound, vacuous, few, faulty)] == [True, False, False, False]


def test_half_of_the_models_count(found: dict[str, Certification]) -> None:
    facts = found[BALL].evidence[MODELS].facts()
    assert facts["held_out"] == "20-39"
    assert facts["models"] == facts["references"] == 20


def test_the_record_is_json_and_holds_both_sides(found: dict[str, Certification]) -> None:
    told = json.loads(json.dumps(found[BALL].as_json(), allow_nan=False))
    assert told["certificate"]["epsilon"] == 1
    assert told["bounds"][MODELS]["side"] == "lower"
    assert told["tried"][DRAWN]["word"] == "NOT REFUTED"
    assert told["planted"][0]["outcome"] == "caught"
    assert told["subject"]["config"]["radius"] == 10


def test_models_at_chance_are_told_in_the_record_and_in_each_certificate(found: dict[str, Certification]) -> None:
    for one in found.values():
        assert one.guessing
        assert one.guessing.place == "at chance"
        told = {note for each in one.certificates for note in each.claim.notes}
        assert told == {one.guessing.told()}
        assert json.loads(json.dumps(one.as_json()))["guessing"]["place"] == "at chance"


def test_utility_is_told_before_and_after_the_noise(found: dict[str, Certification]) -> None:
    seen = {(each.stage, each.split): each for each in found[BALL].utility}
    before, after = seen["unlearned, without noise", "test"], seen["unlearned", "test"]
    assert before.accuracy.value > 0.9 > after.accuracy.value
    assert before.distance is not None
    assert after.distance is not None
    assert before.distance < after.distance
    assert seen["retrained", "test"].distance is None
    assert seen["retrained", "test"].accuracy.value > 0.9


def test_without_noise_the_models_go_on_as_with_it(found: dict[str, Certification]) -> None:
    """Of noise in each step, too: it is left out of all of them."""
    seen = {(each.stage, each.split): each for each in found[STEPS].utility}
    assert seen["unlearned, without noise", "test"].accuracy.value > 0.9 > seen["unlearned", "test"].accuracy.value


def test_cost_is_that_of_claim_and_update(found: dict[str, Certification]) -> None:
    steps = found[STEPS].subject.config
    assert (steps["steps"], steps["batch_size"]) == (30, 64)
    assert found[STEPS].cost == pytest.approx((4 * 445 + 2 * 64) / (445 * 15))  # seven steps are a pass
    assert found[BALL].cost == 0


def test_what_was_made_is_not_made_again(found: dict[str, Certification], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "trained", None)
    again = tried(BALL)
    assert again.as_json() == found[BALL].as_json()


def test_a_run_that_was_stopped_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the arms of a chunk: that of reference takes its noise from what was claimed before."""
    task = trial_of(BALL, short(3), short(3).forget_set(FORGET), SETTINGS)
    first = make_chunk(task, "released", range(20))
    made: list[tuple[int, int]] = []

    def watched(*given: Any, **more: Any) -> Ensemble:
        made.append((len(given[2]), given[3][0]))
        return trained(*given, **more)

    monkeypatch.setattr(trial, "trained", watched)
    seen: list[tuple[int, int]] = []
    arms = both_arms(task, range(40), Labour(watch=lambda done, total, label: seen.append((done, total))))
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert sorted(made) == [(445, 0), (445, 20), (455, 20)]
    assert np.array_equal(arms["released"].margins["released"][:20], first.array("margins")[2])
    assert np.array_equal(arms["reference"].noise, arms["released"].noise)


def test_the_arm_of_reference_never_saw_the_forget_set_and_has_nothing_to_forget() -> None:
    task = trial_of(BALL, short(), short().forget_set(FORGET), SETTINGS)
    assert not set(rows_of(task.suite, task.forget, "reference")) & set(task.forget.indices)
    assert len(rows_of(task.suite, task.forget, "released")) == 455
    assert len(split_of(task, "reference").forget) == 0
    assert len(split_of(task, "released").forget) == 10
    assert len(split_of(task, "reference").retain) == len(split_of(task, "released").retain) == 445


def test_arms_share_no_chance() -> None:
    task = trial_of(BALL, short(), short().forget_set(FORGET), SETTINGS)
    arms = both_arms(task, range(8), Labour())
    noise = [
        (arms[side].weights - arms[side].unnoised) / arms[side].noise[:, None] for side in ("released", "reference")
    ]
    assert abs(np.corrcoef(noise[0].ravel(), noise[1].ravel())[0, 1]) < 0.2
    assert noise[0].std() == pytest.approx(1, abs=0.15)


def test_buffers_are_seen_with_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    task = trial_of(BALL, short(), short().forget_set(FORGET), SETTINGS)
    made = both_arms(task, range(8), Labour())
    kept = {side: replace(each, buffers={"mean": np.ones((8, 2, 3))}) for side, each in made.items()}
    assert arms_of(kept, "released", task).released.readings["buffers"].shape == (8, 6)
    assert "buffers" not in arms_of(made, "released", task).released.readings


def forgets_its_noise(ensemble: Ensemble, sigmas: object, rng: object) -> Ensemble:
    return ensemble.copy()


def test_a_release_that_forgets_its_noise_is_refuted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EXPUNGE_STORE", str(tmp_path))
    monkeypatch.setattr(trial, "released", forgets_its_noise)
    monkeypatch.setattr(release_noise, "released", forgets_its_noise)
    broken = tried(BALL, planted=False)
    assert {each.word for each in broken.tried.values()} == {"REFUTED"}
    assert broken.tried[DRAWN].value > 10
    assert "2 of 2 tensors" in broken.checks["noise"]
    assert broken.planted == ()


def test_claims_of_a_page_are_judged_together(found: dict[str, Certification]) -> None:
    page = tried_together(list(found.values()))
    assert [set(each) for each in page] == [{MODELS, DRAWN}, {MODELS}]
    assert {each.claims for row in page for each in row.values()} == {3}
    assert found[STEPS].tried[MODELS].claims == 1
    assert page[1][MODELS].cap < found[STEPS].tried[MODELS].cap


def test_what_claims_nothing_is_refused() -> None:
    with pytest.raises(UnknownName, match="unknown certified method 'scrub'"):
        measure("scrub", short(), FORGET)


def test_few_models_are_refused_before_any_is_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "trained", None)
    with pytest.raises(TooFewModels, match="at least 8 models in an arm, got 7"):
        measure(BALL, short(), FORGET, models=7)


def test_a_wrong_setting_is_refused() -> None:
    with pytest.raises(BadSetting, match="epsilon must be above 0"):
        measure(BALL, short(), FORGET, settings={"epsilon": 0.0})


def test_margins_that_are_not_finite_fail_with_the_numbers_of_the_models(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("EXPUNGE_STORE", str(tmp_path))

    def explodes(ensemble: Ensemble, sigmas: object, rng: object) -> Ensemble:
        shown = ensemble.copy()
        next(shown.parameters()).data[3] = math.nan
        return shown

    monkeypatch.setattr(trial, "released", explodes)
    with pytest.raises(MethodFailed, match=r"the margins of models \[3\] are not finite when they are released"):
        make_chunk(trial_of(BALL, short(), short().forget_set(FORGET), SETTINGS), "released", range(8))


def test_all_stages_are_kept(found: dict[str, Certification]) -> None:
    task = trial_of(BALL, short(), short().forget_set(FORGET), SETTINGS)
    part = make_chunk(task, "released", range(8))
    assert part.array("margins").shape == (len(STAGES), 8, 569)
