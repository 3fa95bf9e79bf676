"""The study of private triggers: a round of it, gone on with, its errors and its page."""

import json
from pathlib import Path

import pytest

from expunge.errors import StoreError
from expunge.reports.studies import verify_backdoor
from expunge.reports.studies.verify_backdoor import NOTHING, RETRAINING, STRANGERS, Setup, Trial, study_backdoor
from expunge.reports.studies.verify_backdoor_page import write_study
from expunge.reports.studies.verify_backdoor_rates import findings

SMALL = Setup(rounds=1, owners=2, strangers=2, queries=(30,), fresh=3)


@pytest.fixture(scope="module")
def tests(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Trial]]:
    folder = tmp_path_factory.mktemp("study")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EXPUNGE_STORE", str(folder / "store"))
        patch.setenv("EXPUNGE_DEVICE", "cpu")
        return folder, study_backdoor(folder, SMALL)


def test_a_trigger_works_before_and_not_after_retraining(tests: tuple[Path, list[Trial]]) -> None:
    of = {by: [each for each in tests[1] if each.by == by] for by in (RETRAINING, NOTHING, STRANGERS)}
    assert all(each.before >= 15 for each in of[NOTHING])
    assert all(each.after >= 15 for each in of[NOTHING])
    assert all(each.after <= 6 for each in of[RETRAINING])
    assert all(each.before <= 15 for each in of[STRANGERS])


def test_a_finished_round_is_read_and_not_made_again(
    tests: tuple[Path, list[Trial]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(verify_backdoor, "tests_of_round")
    assert study_backdoor(tests[0], SMALL) == tests[1]


def test_a_round_of_another_setup_is_made_anew(
    tests: tuple[Path, list[Trial]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "round-0-0.5.json").write_bytes((tests[0] / "round-0-0.5.json").read_bytes())
    monkeypatch.setattr(verify_backdoor, "tests_of_round", lambda *_: [])
    assert study_backdoor(tmp_path, Setup(rounds=1, owners=2, strangers=1, queries=(30,), fresh=3)) == []


def test_a_damaged_round_is_named(tests: tuple[Path, list[Trial]], tmp_path: Path) -> None:
    found = json.loads((tests[0] / "round-0-0.5.json").read_text())
    (tmp_path / "round-0-0.5.json").write_text(json.dumps({**found, "tests": [{"round": 0}]}))
    with pytest.raises(StoreError, match="holds no tests"):
        study_backdoor(tmp_path, SMALL)


def made(by: str, owner: int, after: int, fresh: tuple[int, ...] = (1, 0, 2), queries: int = 100) -> Trial:
    return Trial(0, by, owner, owner, queries, 98, after, fresh)


def test_errors_are_counted_by_what_was_done() -> None:
    every = [made(by, owner, 0) for by in (RETRAINING, STRANGERS) for owner in range(4)]
    every += [made(RETRAINING, 4, 60)]
    every += [made(by, owner, 97) for by in (NOTHING, "fine-tune", "neg-grad-plus") for owner in range(4)]
    errors = {(e["by"], e["way"], e["alpha"]): e for e in findings(every)["errors"]}
    worst = "worst fresh trigger, bounded"
    assert errors[RETRAINING, worst, 1e-3]["rejected"][0] == 0.2
    assert errors[RETRAINING, worst, 1e-3]["believed"][0] == 0.8
    assert errors[NOTHING, worst, 1e-3]["rejected"][0] == 1
    assert errors[NOTHING, worst, 1e-3]["missed_with_power"] == 0


def test_the_page_says_what_was_promised_and_what_came(tests: tuple[Path, list[Trial]], tmp_path: Path) -> None:
    without = Setup(rounds=1, owners=2, strangers=0, queries=(30,), fresh=3, decoys=0.0)
    write_study(tmp_path / "v", [SMALL, without], [tests[1], [each for each in tests[1] if each.by != STRANGERS]])
    page = (tmp_path / "v/backdoor.md").read_text()
    for word in ("promised at most", "strangers", "1/classes", "a tie is no rejection", "What no row shows"):
        assert word in page
    main, _ = json.loads((tmp_path / "v/backdoor.json").read_text())
    assert main["setup"]["owners"] == 2
    assert {e["tests"] for e in main["errors"]} == {2}
