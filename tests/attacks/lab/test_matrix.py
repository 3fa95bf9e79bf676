"""Attacks before methods and defences: a cell is what an attack by itself plays, and what cannot be says why."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy import ndarray

from expunge.attacks import ATTACKS, Attack
from expunge.attacks.attack_folder import NAME
from expunge.attacks.defence import Defence, Scene
from expunge.attacks.defences import DEFENCES
from expunge.attacks.lab import cells
from expunge.attacks.lab.arms import ARMS, Played
from expunge.attacks.lab.frame import run_attack
from expunge.attacks.lab.matrix import CAN_BE, LOOKING, SERVING, TELLING, row_of, run_matrix
from expunge.attacks.lab.provider import Provider
from expunge.attacks.lab.records import ALARMS, CAUGHT, DEFENCE, LEFT, SUCCESS
from expunge.attacks.lab.settings import Lab, configured
from expunge.attacks.removal import Attacked
from expunge.errors import BadSetting, UnknownName
from expunge.methods import METHODS
from expunge.records import Score, read_scores
from expunge.reports.attacks import read_findings
from expunge.suites.request import Request
from tests.attacks.lab.settings import QUICK
from tests.attacks.small import small

FAST = ("over-unlearning", "fairness-harm")  # no planning, no training of victims
FIRST, SISA = Attacked("first-order", {"tau": 0.1}), Attacked("sisa")


def config(name: str, *methods: Attacked, defences: tuple[str, ...] = (), **own: object) -> Lab:
    found: Lab = configured(
        name, ATTACKS[name].config, {**QUICK[name], **own}, models=2, methods=methods or (FIRST,), defences=defences
    )
    return found


def matrix(tmp_path: Path, *methods: Attacked, names: tuple[str, ...] = FAST, **more: tuple[str, ...]) -> list[Score]:
    return run_matrix(small(), {name: config(name, *methods, **more) for name in names}, tmp_path / "matrix")


def of(scores: list[Score], name: str, metric: str = SUCCESS) -> list[Score]:
    return [each for each in scores if each.subject.config[NAME] == name and each.metric == metric]


def never(*_: object, **__: object) -> None:
    raise AssertionError("it was done before")


def test_a_cell_is_what_the_attack_by_itself_plays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    suite, own = small(), config("over-unlearning", defences=("membership",))
    alone = run_attack("over-unlearning", ATTACKS["over-unlearning"], suite, own, tmp_path / "alone")
    monkeypatch.setattr("expunge.attacks.lab.provider.run_method", never)
    monkeypatch.setattr("expunge.attacks.lab.worlds.suspicions", never)
    assert run_matrix(suite, {"over-unlearning": own}, tmp_path / "matrix") == alone


def test_an_attack_by_itself_plays_no_cell_of_a_matrix_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scores = matrix(tmp_path)
    assert read_scores(tmp_path / "matrix/scores.jsonl") == scores
    monkeypatch.setattr("expunge.attacks.lab.provider.run_method", never)
    for name in FAST:
        alone = run_attack(name, ATTACKS[name], small(), config(name), tmp_path / name)
        assert alone == [each for each in scores if each.subject.config[NAME] == name]


def test_the_requests_of_every_cell_are_written(tmp_path: Path) -> None:
    matrix(tmp_path)
    found = {file.name for file in (tmp_path / "matrix").glob("*.npz")}
    assert found == {f"requests-{name}-first-order%2C%20tau%3D0.1.npz" for name in FAST}


def test_a_run_that_was_stopped_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(done: int, total: int, label: str) -> None:
        if label == "over-unlearning on first-order, tau=0.1":
            raise KeyboardInterrupt

    configs = {name: config(name) for name in FAST}
    with pytest.raises(KeyboardInterrupt):
        run_matrix(small(), configs, tmp_path / "matrix", watch=stop)
    assert not (tmp_path / "matrix/scores.jsonl").exists()
    played: list[str] = []

    def differentiating(row: Attack, provider: Provider, own: Lab) -> Played:
        played.append(row.module)
        return before(row, provider, own)

    before = cells._differentiating
    monkeypatch.setattr(cells, "_differentiating", differentiating)
    scores = run_matrix(small(), configs, tmp_path / "matrix")
    assert played == ["expunge.attacks.fairness_harm"]
    assert {each.subject.config[NAME] for each in scores} == set(FAST)


def test_what_cannot_be_is_a_cell_that_says_why(tmp_path: Path) -> None:
    scores = matrix(tmp_path, FIRST, SISA, names=("hidden-poison",))
    found = {each.aggregate: each for each in of(scores, "hidden-poison") if each.subject.method == "sisa"}
    assert set(found) == set(ARMS)
    for each in found.values():
        assert each.value is None
        assert each.reason == "'sisa' begins with what was kept of trainings without the planted records"
        assert each.subject.config[CAN_BE] is False
    played = [each for each in of(scores, "hidden-poison") if each.subject.method == FIRST.label]
    assert {each.status for each in played} == {"ok"}
    assert not any(CAN_BE in each.subject.config for each in played)
    assert [each.method for each in read_findings(scores).victims] == [FIRST.label, "sisa"]


def test_an_attack_that_no_method_serves_is_refused_with_what_mends_it() -> None:
    with pytest.raises(BadSetting, match=r"attack 'hidden-poison': .* give --set hidden-poison\.poisons="):
        row_of("hidden-poison", small(), config("hidden-poison", FIRST, SISA, poisons=150))
    with pytest.raises(BadSetting, match="attack 'hidden-poison': 'sisa' begins with"):
        row_of("hidden-poison", small(), config("hidden-poison", SISA))
    with pytest.raises(UnknownName, match="did you mean 'fairness-harm'"):
        row_of("fairness", small(), config("fairness-harm"))
    with pytest.raises(BadSetting, match="'usability' has a run of its own"):
        row_of("usability", small(), config("fairness-harm"))


def test_nothing_is_done_where_one_attack_of_several_is_refused(tmp_path: Path) -> None:
    wrong = {"fairness-harm": config("fairness-harm"), "over-unlearning": config("over-unlearning", budget=199)}
    with pytest.raises(BadSetting, match=r"give --set over-unlearning\.budget=N, or --set over-unlearning\.owned="):
        run_matrix(small(), wrong, tmp_path / "matrix")
    assert not (tmp_path / "matrix").exists()


def test_a_method_that_fails_is_a_failed_cell_and_the_rest_finishes(tmp_path: Path) -> None:
    broken = tmp_path / "broken.py"
    broken.write_text("def forget(model, retain, forget, seed):\n    raise RuntimeError('out of luck')\n")
    scores = matrix(tmp_path, FIRST, Attacked(f"{broken}:forget"), names=FAST[:1], defences=("membership",))
    own = [each for each in scores if each.subject.method.startswith(str(broken))]
    (attack,) = [each for each in own if (each.metric, each.aggregate) == (SUCCESS, "attack")]
    assert (attack.status, attack.value) == ("failed", None)
    assert "out of luck" in attack.reason
    assert [each.reason for each in own if each.metric == LEFT] == [attack.reason]
    assert {each.status for each in scores if each not in own} == {"ok"}


def rejecting(known: Callable[[Request], bool]) -> Defence:
    """It suspects whoever it does not know."""

    def requests(scene: Scene) -> ndarray:
        row = np.array([float(not known(request)) for request in scene.requests])
        return np.tile(row, (len(scene.victims), 1))

    return Defence(summary="", when="request", price="", source="", requests=requests)


def calibrated_on(request: Request) -> bool:
    """Every other honest request sets a threshold."""
    name, _, number = request.owner.partition("-")
    return name == "honest" and int(number) % 2 == 0


REJECTING = {"everything": rejecting(lambda request: False), "all but those it was tuned on": rejecting(calibrated_on)}


@pytest.mark.parametrize("what", REJECTING)
def test_a_filter_that_rejects_everything_scores_as_useless(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Either it catches nothing at the price that is allowed, or it catches all, and all honest requests with them."""
    monkeypatch.setitem(DEFENCES, "rejecting", REJECTING[what])
    scores = matrix(tmp_path, names=FAST[:1], defences=("rejecting",))
    found = {each.metric: each.value for each in scores if DEFENCE in each.subject.config}
    ((victims,),) = [read_findings(scores).victims]
    (guard,) = victims.guards
    assert guard.auroc
    if what == "everything":
        assert (found[CAUGHT], found[ALARMS], guard.auroc.value) == (0.0, 0.0, 0.5)
        assert found[LEFT] == victims.arms["attack"].success.value  # type: ignore[union-attr]
    else:
        assert (found[CAUGHT], found[ALARMS]) == (1.0, 1.0)
        assert guard.is_no_filter


def test_honest_requests_are_looked_at_once_for_all_attacks_of_a_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []

    def requests(scene: Scene) -> ndarray:
        seen.append(len(scene.requests))
        return np.zeros((len(scene.victims), len(scene.requests)))

    looking = Defence(summary="", when="request", price="", source="", requests=requests)
    monkeypatch.setitem(DEFENCES, "looking", looking)
    configs = {
        name: config(name, FIRST, Attacked("fine-tune"), defences=("looking",), budget=3, owned=0.4) for name in FAST
    }
    run_matrix(small(), configs, tmp_path / "matrix")
    assert sorted(seen) == [2, 2, 2, 2, 200]


def test_the_defaults_are_there_and_unlike() -> None:
    assert {ATTACKS[name].goal for name in TELLING} >= {"targeted", "untargeted", "privacy"}
    assert any("training" in ATTACKS[name].phases for name in TELLING)
    assert set(SERVING) <= set(METHODS)
    assert not any(DEFENCES[name].practice for name in LOOKING)  # they take as long again
    assert (len(TELLING), len(SERVING), len(LOOKING)) == (5, 6, 4)
