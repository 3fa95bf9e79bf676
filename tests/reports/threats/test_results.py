"""Results of attacks say what records say, with the command that makes them again; what is shipped is of records."""

from dataclasses import replace
from pathlib import Path
from shlex import split

import numpy as np
import pytest

from expunge.attacks import ATTACKS
from expunge.attacks.attack import Place
from expunge.attacks.hidden_poison import HiddenPoison
from expunge.attacks.lab.arms import ARMS, ATTACK, HONEST, ORACLE, Arm, Played
from expunge.attacks.lab.defended import Defended
from expunge.attacks.lab.provider import as_they_lie
from expunge.attacks.lab.records import Asked, defence_scores, scores_of
from expunge.attacks.lab.settings import Lab
from expunge.attacks.relearning import Relearning
from expunge.errors import StoreError
from expunge.records import Score, write_scores
from expunge.reports.attacks import read_findings
from expunge.reports.leaderboard.records import read_kept
from expunge.reports.threats.defended import FOLDER, defences_text, write_defences
from expunge.reports.threats.results import KEPT, SHIPPED, collect, read_results, results_of, summarised, write_results
from expunge.suites import load_suite

ROOT = Path(__file__).parents[3]
KEPT_HERE = ROOT / "results/attacks"


def records(name: str, config: Lab, label: str = "first-order", reason: str = "", **success: float) -> list[Score]:
    """Those of an attack that comes to the same for every victim, arm by arm."""
    models = config.models
    victims = np.linspace(0, 0.01, models)  # so that an interval has a width
    arms = {
        arm: Arm(success.get(arm.partition(" ")[0], 0.1) + victims, 0.9 + victims, victims, victims) for arm in ARMS
    }
    if reason:
        arms[ORACLE] = Arm(reason=reason)
    suite = load_suite("digits")
    requests = [as_they_lie(suite, np.arange(2), "somebody")] * models
    place = Place(suite, Asked(requests), {"attack.name": name, **config.facts}, models)
    return scores_of(ATTACKS[name], label, Played(arms, requests, victims), place)


def test_an_attack_shows_that_has_more_than_its_control() -> None:
    (found,) = results_of("hidden-poison", records("hidden-poison", HiddenPoison(), attack=0.8))
    assert (found.attack, found.suite, found.method, found.models) == ("hidden-poison", "digits", "first-order", 10)
    assert found.shows
    assert found.arms[ATTACK].value == pytest.approx(0.805)
    assert found.arms[HONEST].value == pytest.approx(0.105)
    assert found.excess[HONEST].value == pytest.approx(0.7)
    (other,) = results_of("hidden-poison", records("hidden-poison", HiddenPoison(), attack=0.1))
    assert other.shows is False


def test_an_attack_is_judged_by_the_control_of_its_row() -> None:
    (found,) = results_of("relearning", records("relearning", Relearning(), attack=0.8, oracle=0.8))
    assert found.against == ORACLE
    assert not found.shows


def test_an_arm_that_failed_is_why_nothing_can_be_told() -> None:
    (found,) = results_of("relearning", records("relearning", Relearning(), reason="diverged"))
    assert found.shows is None
    assert found.reason == "oracle: diverged"
    assert ORACLE not in found.arms


def test_the_command_says_what_is_not_the_default() -> None:
    (plain,) = results_of("hidden-poison", records("hidden-poison", HiddenPoison()))
    assert plain.command == "expunge attack hidden-poison digits"
    config = HiddenPoison(style="matching", eps=0.5, models=4)
    (found,) = results_of("x", records("hidden-poison", config, "scrub, lr=0.1"))
    assert found.settings == {"style": "matching", "eps": 0.5}
    assert split(found.command) == split(
        "expunge attack hidden-poison digits --set style=matching --set eps=0.5 --method scrub --set scrub.lr=0.1 "
        "--models 4"
    )


def test_records_that_lack_a_setting_are_refused() -> None:
    scores = records("hidden-poison", HiddenPoison())
    for each in scores:
        each.subject.config.pop("attack.steps")
    with pytest.raises(StoreError, match="records of old do not say steps, which the attack has; run it again"):
        results_of("old", scores)


def test_records_are_kept_by_the_name_of_their_run_and_summarised_in_the_order_of_the_table(tmp_path: Path) -> None:
    for run, config in {"relearning": Relearning(), "hidden-poison": HiddenPoison()}.items():
        (tmp_path / "out" / run).mkdir(parents=True)
        write_scores(tmp_path / "out" / run / "scores.jsonl", records(run, config))
    collect(tmp_path / "out", tmp_path / "kept")
    assert [each.run for each in summarised(tmp_path / "kept")] == ["hidden-poison", "relearning"]
    with pytest.raises(StoreError, match=r"no records of attacks; make some with runs/attacks\.sh"):
        summarised(tmp_path / "out")


def test_shipped_results_are_those_of_the_records(tmp_path: Path) -> None:
    write_results(tmp_path / "results.json", summarised(KEPT_HERE))
    assert SHIPPED.read_text() == (tmp_path / "results.json").read_text(), "run `make docs`"
    assert {each.run for each in read_results()} == {
        file.name.removesuffix(KEPT) for file in KEPT_HERE.glob(f"*{KEPT}")
    }


def test_every_attack_was_measured_by_the_command_that_its_help_has() -> None:
    made = {each.run: each.command for each in read_results()}
    for name, row in ATTACKS.items():
        assert made[name] == f"expunge attack {name} {row.example or 'digits'}"


def test_what_is_kept_was_made_by_the_script() -> None:
    lines = (ROOT / "runs/attacks.sh").read_text().replace("\\\n", " ").splitlines()
    runs = {words[1]: words[2:] for line in lines if line.startswith("run ") for words in [split(line)]}
    made = {each.run: split(each.command)[2:] for each in read_results()}
    assert {run: sorted(words) for run, words in made.items()} == {run: sorted(words) for run, words in runs.items()}


def test_a_result_of_a_method_that_cannot_be_named_is_not_lost() -> None:
    scores = records("relearning", Relearning())
    mine = [replace(each, subject=replace(each.subject, method="mine.py:forget")) for each in scores]
    (found,) = results_of("relearning", mine)
    assert split(found.command)[-2:] == ["--method", "mine.py:forget"]


def test_what_defences_do_is_a_page_of_records(tmp_path: Path) -> None:
    """A section for an attack, with the command, and a line for each defence with its verdict."""
    run = tmp_path / "out" / "hidden-poison"
    run.mkdir(parents=True)
    config = HiddenPoison(defences=("membership",))
    found, stopped = records("hidden-poison", config, attack=0.8), np.linspace(0.1, 0.11, 10)
    arm = Arm(0.8 + np.linspace(0, 0.01, 10))
    guard = Defended(success=stopped, utility=stopped, control=stopped, caught=np.ones(10), alarms=np.ones((10, 100)))
    place = Place(load_suite("digits"), Asked([as_they_lie(load_suite("digits"), np.arange(2), "somebody")]), {}, 10)
    told = replace(place, facts=found[0].subject.config)
    defended = defence_scores(ATTACKS["hidden-poison"], "first-order", "membership", guard, told, arm)
    write_scores(run / "scores.jsonl", [*found, *defended])
    collect(tmp_path / "out", tmp_path / FOLDER)
    (tmp_path / "kept").mkdir()
    assert write_defences(tmp_path / "kept") == tmp_path / "kept" / "defences.md"
    page = (tmp_path / "kept" / "defences.md").read_text()
    assert "    expunge attack hidden-poison digits --defence all" in page
    (line,) = [each for each in page.splitlines() if each.startswith("| `membership` |")]
    assert line.endswith("| no filter |")  # it suspects all that is honest too
    assert "100.0 ! [100.0, 100.0]" in line


def test_the_kept_page_of_defences_is_that_of_its_records() -> None:
    kept = [read_findings(read_kept(file)) for file in (KEPT_HERE.parent / FOLDER).glob(f"*{KEPT}")]
    assert (KEPT_HERE / "defences.md").read_text() == defences_text(kept)
