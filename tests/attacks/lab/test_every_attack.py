"""What holds for every attack of the lab, on a suite that trains in a blink."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from expunge.attacks import ATTACKS
from expunge.attacks.lab.arms import ARMS, ATTACK, CONTROLS, HONEST, NO_REQUEST, Played
from expunge.attacks.lab.cells import play_on
from expunge.attacks.lab.frame import require_attack, run_attack
from expunge.attacks.lab.provider import Provider
from expunge.attacks.lab.records import EXCESS, LOST, SUCCESS, UTILITY
from expunge.attacks.lab.settings import Lab, configured
from expunge.attacks.removal import Attacked
from expunge.errors import BadSetting, ExpungeError, UnknownName
from expunge.records import read_scores
from expunge.reports.attacks import report_attack
from expunge.suites import Suite
from tests.attacks.lab.settings import QUICK
from tests.attacks.small import small

pytestmark = pytest.mark.usefixtures("common_store")

LAB = sorted(name for name, row in ATTACKS.items() if row.play)
MODELS = 3


def settings(name: str, **changed: object) -> Lab:
    """Settings of an attack with which it takes no time."""
    config: Lab = configured(name, ATTACKS[name].config, {**QUICK[name], **changed}, models=MODELS)
    return config


@cache
def played(name: str, *, idle: bool = False) -> Played:
    config = settings(name, **(ATTACKS[name].idle if idle else {}))
    return play_on(name, ATTACKS[name], small(), config, config.methods[0], range(MODELS))


@pytest.mark.parametrize("name", LAB)
def test_has_the_attack_and_four_controls_measured_on_every_victim(name: str) -> None:
    found = played(name)
    assert set(found.arms) == set(ARMS)
    success = ATTACKS[name].success
    assert success is not None
    for arm in found.arms.values():
        assert not arm.reason
        for values in arm.arrays.values():
            assert values.shape == (MODELS,)
            assert np.isfinite(values).all()
        assert arm.success is not None
        assert arm.utility is not None
        assert ((arm.success >= success.least) & (arm.success <= success.most)).all()
        assert ((arm.utility >= 0) & (arm.utility <= 1)).all()


@pytest.mark.parametrize("name", LAB)
def test_with_nothing_to_attack_with_it_is_its_honest_control(name: str) -> None:
    """Same points, same seed: the same bytes, not nearly the same."""
    found = played(name, idle=True)
    attack, honest = found.arms[ATTACK], found.arms[HONEST]
    assert {key for key in attack.arrays} == {key for key in honest.arrays}
    for key in attack.arrays.keys() - {"seconds"}:
        assert np.array_equal(attack.arrays[key], honest.arrays[key]), key


@pytest.mark.parametrize("name", LAB)
def test_an_attack_differs_from_its_honest_control(name: str) -> None:
    """Else the law above would hold of an attack that never does anything."""
    found = played(name)
    attack, honest = found.arms[ATTACK], found.arms[HONEST]
    assert any(not np.array_equal(attack.arrays[key], honest.arrays[key]) for key in attack.arrays.keys() - {"seconds"})


@pytest.mark.parametrize("name", [name for name in LAB if ATTACKS[name].partly])
def test_a_request_let_through_whole_is_the_attack_and_one_held_back_is_none(name: str) -> None:
    config, found, partly = settings(name), played(name), ATTACKS[name].partly
    assert partly is not None
    provider = Provider(small(), config.methods[0], range(MODELS), config.seed)
    left = partly(provider, config, [*found.requests[:-1], None])
    for number in ("success", "utility"):
        attack, nothing = (found.arms[arm].arrays[number] for arm in (ATTACK, NO_REQUEST))
        np.testing.assert_allclose(left.arrays[number], [*attack[:-1], nothing[-1]], atol=1e-6)


@pytest.mark.parametrize("name", LAB)
def test_a_victim_is_attacked_alike_whoever_stands_beside_it(name: str) -> None:
    config = settings(name)
    alone = play_on(name, ATTACKS[name], small(), config, config.methods[0], range(1, 2))
    together = played(name)
    assert np.array_equal(alone.requests[0].indices, together.requests[1].indices)
    np.testing.assert_allclose(alone.requests[0].examples.x, together.requests[1].examples.x, atol=1e-4)


@pytest.mark.parametrize("name", LAB)
def test_its_records_and_its_page_are_written_and_a_second_run_takes_all_from_the_store(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row, suite, config = ATTACKS[name], small(), settings(name)
    scores = run_attack(name, row, suite, config, tmp_path)
    assert read_scores(tmp_path / "scores.jsonl") == scores
    found = {(each.metric, each.aggregate) for each in scores}
    assert found >= {(metric, arm) for metric in (SUCCESS, UTILITY) for arm in ARMS}
    assert found >= {(EXCESS, f"over {control}") for control in CONTROLS}
    assert found >= {(LOST, arm) for arm in ARMS if arm != NO_REQUEST}
    assert {each.status for each in scores} == {"ok"}
    assert name in report_attack(tmp_path).read_text()

    def never(*_: object, **__: object) -> None:
        raise AssertionError("it was played before")

    monkeypatch.setattr("expunge.attacks.lab.provider.run_method", never)
    monkeypatch.setattr("expunge.attacks.lab.provider.train", never)
    assert run_attack(name, row, suite, config, tmp_path / "again") == scores


@pytest.mark.parametrize("name", LAB)
def test_its_row_says_who_what_for_what_success_is_and_how_it_is_run(name: str) -> None:
    row = ATTACKS[name]
    assert row.success
    assert len(row.success.what) > 20
    assert row.example
    assert row.idle
    assert set(row.idle) <= set(row.config().own)
    assert not row.summary.endswith(".")


def test_no_two_attacks_say_the_same() -> None:
    assert len({row.summary for row in ATTACKS.values()}) == len(ATTACKS)


REFUSED: dict[str, tuple[dict[str, object], str]] = {
    "one victim": ({"models": 1}, "expected 2 to 12 victims"),
    "more victims than models": ({"models": 13}, "expected 2 to 12 victims"),
    "no method": ({"methods": ()}, "expected at least 1 method"),
    "an anchor": ({"methods": (Attacked("identity"),)}, "'identity' makes no models"),
    "a method of margins": ({"methods": (Attacked("dm-direct"),)}, "'dm-direct' makes no models"),
    "an unknown method": ({"methods": (Attacked("scrubb"),)}, "did you mean 'scrub'"),
    "a wrong setting": ({"methods": (Attacked("first-order", {"tau": -1.0}),)}, "tau must be above 0"),
    "an unknown defence": ({"defences": ("memberships",)}, "did you mean 'membership'"),
    "few honest requests": ({"defences": ("membership",), "honest": 199}, "expected 200 to 10000 honest requests"),
    "a seed below 0": ({"seed": -1}, "expected a seed of at least 0"),
}


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.parametrize("name", LAB)
def test_what_no_attack_can_do_is_said_before_any_work(name: str, case: str, tmp_path: Path) -> None:
    changed, message = REFUSED[case]
    config = replace(settings(name), **changed)  # type: ignore[arg-type]
    with pytest.raises(ExpungeError, match=message):
        run_attack(name, ATTACKS[name], small(), config, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", LAB)
def test_settings_are_read_by_name_and_type(name: str) -> None:
    with pytest.raises(UnknownName, match=f"attack '{name}' has no setting 'nothing'"):
        configured(name, ATTACKS[name].config, {"nothing": "1"})
    for key, value in ATTACKS[name].config().own.items():
        assert configured(name, ATTACKS[name].config, {key: str(value)}).own[key] == value
        if not isinstance(value, str):
            with pytest.raises(BadSetting, match=f"{name}.{key}: expected"):
                configured(name, ATTACKS[name].config, {key: "x"})


@pytest.mark.parametrize("name", LAB)
def test_a_suite_that_has_what_it_needs_is_not_refused(name: str) -> None:
    suite: Suite = small()
    require_attack(ATTACKS[name], suite, settings(name))
