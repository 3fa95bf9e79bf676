"""What is kept of attacks was measured with the settings that its command has today: a record that was not is named."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from shlex import split
from typing import Any

import pytest

from expunge.attacks import ATTACKS
from expunge.attacks.attack_folder import NAME
from expunge.attacks.lab.frame import METHOD, serving_facts
from expunge.attacks.lab.matrix import SERVING, TELLING
from expunge.attacks.lab.settings import Lab, configured
from expunge.attacks.removal import Attacked
from expunge.cli import attack, attack_lab
from expunge.records import Setting
from expunge.reports.leaderboard.records import read_kept
from expunge.reports.threats.defended import FOLDER
from expunge.reports.threats.results import KEPT
from expunge.suites import load_suite

ROOT = Path(__file__).parents[3]
KEPT_HERE = ROOT / "results/attacks"
DEFENDED = KEPT_HERE.parent / FOLDER


def runs_in(script: str) -> dict[str, list[str]]:
    """The arguments of the runs of a script, by their names."""
    lines = [split(line) for line in (ROOT / "runs" / script).read_text().splitlines() if line.startswith("run ")]
    return {words[1]: words[2:] for words in lines}


RUNS, UNDER_DEFENCES = runs_in("attacks.sh"), runs_in("attack_defences.sh")
Facts = Mapping[str, Setting]


def of_lab(arguments: list[str]) -> tuple[Lab, str]:
    """The settings of a command of the lab, and its suite."""
    name, suite, *options = arguments
    given = list(zip(options[::2], options[1::2], strict=True))
    own, of_methods = attack_lab._divided([value for option, value in given if option == "--set"])
    row, named = ATTACKS[name], [value for option, value in given if option == "--method"]
    assert {option for option, _ in given} <= {"--set", "--method"}
    return configured(name, row.config, own, methods=attack_lab._attacked(named, of_methods, row)), suite


def of_usability(monkeypatch: pytest.MonkeyPatch) -> Facts:
    """The settings of the usability attack as its command has them."""
    seen: list[Any] = []

    def run(suite: object, config: Any, *_: object, **__: object) -> None:
        seen.append(config)
        raise StopIteration

    monkeypatch.setattr("expunge.attacks.usability.run", run)
    with pytest.raises(StopIteration):
        attack.usability(suite="digits")
    found: Facts = seen[0].facts
    return found


def strange(found: Facts, wanted: Facts, begin: str) -> list[str]:
    """Where settings of which the names begin so are not what is wanted."""
    return [
        f"{key} {found.get(key, 'not told')}, today {value}"
        for key, value in wanted.items()
        if key.startswith(begin) and found.get(key, None) != value
    ]


def stale(arguments: list[str], file: Path) -> Iterator[str]:
    """Where a record of a run has other settings than its command; of who serves where it says them."""
    config, suite = of_lab(arguments)
    wanted = {NAME: arguments[0], **config.facts}
    serving = {each.label: serving_facts(load_suite(suite), each, config) for each in config.methods}
    for record in read_kept(file):
        found = record.subject.config
        yield from strange(found, wanted, "attack.")
        if any(key.startswith(METHOD) for key in found):
            yield from strange(found, serving[record.subject.method], METHOD)


@pytest.mark.parametrize("run", [name for name, words in RUNS.items() if words[0] != "usability"])
def test_a_kept_run_has_the_settings_of_its_command(run: str) -> None:
    assert sorted(set(stale(RUNS[run], KEPT_HERE / f"{run}{KEPT}"))) == [], f"run {run} of runs/attacks.sh again"


@pytest.mark.parametrize("file", sorted(DEFENDED.glob(f"*{KEPT}")), ids=lambda file: file.name)
def test_a_kept_run_under_defences_has_the_settings_of_its_command(file: Path) -> None:
    run = file.name.removesuffix(KEPT)
    assert sorted(set(stale(UNDER_DEFENCES[run], file))) == [], f"run runs/attack_defences.sh {run} again"


def test_the_kept_run_of_the_usability_attack_has_the_settings_of_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted, records = of_usability(monkeypatch), read_kept(KEPT_HERE / f"usability{KEPT}")
    assert {line for each in records for line in strange(each.subject.config, wanted, "attack.")} == set()


def test_the_kept_matrix_has_the_settings_of_its_command() -> None:
    rows = json.loads((KEPT_HERE / "matrix.json").read_text())["rows"]
    told = [row for row in rows if row["arm"] == "attack" and not row["defence"]]
    assert [row["attack"] for row in told[:: len(SERVING)]] == list(TELLING)
    for row in told:
        name, served = row["attack"], Attacked(row["method"])
        config = configured(name, ATTACKS[name].config, {}, methods=(served,))
        of_method = {} if row["value"] is None else serving_facts(load_suite("digits"), served, config)
        wanted = {key.removeprefix("attack."): value for key, value in {**config.facts, **of_method}.items()}
        assert strange(row["settings"], wanted, "") == [], f"{name} on {row['method']}: run runs/attack_matrix.sh again"


def test_a_setting_that_has_changed_is_named() -> None:
    assert strange({"attack.by": "loss"}, {"attack.by": "lead"}, "attack.") == ["attack.by loss, today lead"]
    assert strange({}, {"attack.by": "lead"}, "attack.") == ["attack.by not told, today lead"]
