"""``expunge list``, ``info``, ``cite`` and ``doctor``: what there is and whether it is sound."""

import json

import pytest

from expunge.terminal import out
from tests.cli.commands import run


def test_list_methods_is_an_interface() -> None:
    methods = json.loads(run("list", "methods", "--json").stdout)
    names = [method["name"] for method in methods]
    assert {"identity", "oracle", "fine-tune", "scrub"} <= set(names)
    assert all({"name", "source", "needs"} <= method.keys() for method in methods)


def test_list_shows_eight_forget_sets_of_digits() -> None:
    sets = json.loads(run("list", "forget-sets", "--json").stdout)
    names = [entry["name"] for entry in sets if entry["suite"] == "digits"]
    wanted = "random-10 random-50 random-144 class-3 subclass-50 influential-50 neighbours-50 memorised-50"
    assert sorted(names) == sorted(wanted.split())


@pytest.mark.parametrize("name", ["scrub", "digits", "digits@omp-0.95", "klom", "memorised-50"])
def test_info_tells_of_every_kind_of_thing(name: str) -> None:
    assert json.loads(run("info", name, "--json").stdout)["name"] == name


def test_a_list_keeps_to_the_width_of_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setattr(out, "_width", 60)  # which it reads when it is made
    assert max(map(len, run("list", "attacks").stdout.splitlines())) <= 60


def test_info_of_a_method_is_its_card() -> None:
    told = run("info", "scrub").stdout
    for line in ("what ", "sources ", "needs ", "cost ", "deviations ", "results ", "tuned "):
        assert f"\n{line}" in told
    assert "data-unlearning-bench builds the optimizer on the teacher" in told
    assert "fashion-mnist-10k class-6 = " in told


def test_cite_prints_bibtex() -> None:
    told = run("cite", "scrub", "fine-tune").stdout
    assert [line.partition("{")[2] for line in told.splitlines() if line.startswith("@")] == [
        "kurmanji2023,",
        "warnecke2023,",
        "golatkar2020,",
    ]
    assert run("cite").stdout.startswith("@software{expunge,")
    assert json.loads(run("cite", "klom", "--json").stdout)["klom"].startswith("@misc{georgiev2024,")


def test_doctor_finds_a_sound_installation() -> None:
    done = run("doctor", "--json")
    assert done.returncode == 0
    assert all(check["ok"] for check in json.loads(done.stdout))
