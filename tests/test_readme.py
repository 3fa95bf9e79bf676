"""What the README counts and lists is what there is."""

import contextlib
import importlib
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from expunge.attacks import ATTACKS
from expunge.attacks.defences import DEFENCES
from expunge.audits import AUDITS
from expunge.cli import app
from expunge.methods import METHODS
from expunge.methods.certified import CERTIFIED
from expunge.reports.boards import boards
from expunge.reports.leaderboard.records import read_records
from expunge.reports.tables import formats
from expunge.suites import SUITES, load_suite
from tests.reports.synthetic import FAR, scores

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
ONES = ["", "-one", "-two", "-three", "-four", "-five", "-six", "-seven", "-eight", "-nine"]


def test_the_table_of_families_has_every_method_and_counts_them() -> None:
    table = README.partition("| family | methods |\n| --- | --- |\n")[2].partition("\n\n")[0]
    named = re.findall(r"`([a-z][\w-]*)`", table)
    wanted = {name for name, method in METHODS.items() if not method.anchor}
    assert set(named) == wanted
    assert f"\n{in_words(len(wanted)).capitalize()} methods, each written from its paper" in README


def test_the_first_result_is_what_the_records_say(tmp_path: Path) -> None:
    """The table of the first screen, gap closed by method and forget set, and a cross where the model breaks."""
    table = README.partition("| to be forgotten |")[2].partition("\n\n")[0].splitlines()
    methods = re.findall(r"`([\w-]+)`", table[0])
    for line in table[2:]:
        forget_set = line.split()[1].rstrip(",")
        (place := tmp_path / forget_set / "digits" / forget_set).mkdir(parents=True)
        for name in ("oracle", "identity", *methods):
            shutil.copy(ROOT / "results/digits" / forget_set / f"{name}.json", place)
        [board] = boards(read_records(tmp_path / forget_set)["digits"])
        rows = {each.row.method: each for each in board.lines}
        wanted = []
        for name in methods:
            closed = rows[name].row.closed
            assert closed is not None
            spoilt = "✕ " if rows[name].reading == "breaks the model" else ""
            wanted.append(spoilt + formats.whole_percent(closed.value))
        assert [cell.strip(" *") for cell in line.split("|")[2:-1]] == wanted


def test_the_example_of_a_saturated_klom_is_what_the_records_say(tmp_path: Path) -> None:
    concepts = (ROOT / "docs/concepts.md").read_text(encoding="utf-8")
    far, near = re.findall(r"`([\w-]+)` \(([\d.]+)\), which lies ([\d.]+)", concepts.partition("KLoM prefers")[2][:300])
    (place := tmp_path / "digits" / "class-3").mkdir(parents=True)
    for name in ("oracle", "identity", far[0], near[0]):
        shutil.copy(ROOT / f"results/digits/class-3/{name}.json", place)
    [board] = boards(read_records(tmp_path)["digits"])
    rows = {each.row.method: each.row for each in board.lines}
    for name, klom, distance in (far, near):
        found = rows[name].klom("forget"), rows[name].distance("forget")
        assert [f"{found[0].value:.2f}", f"{found[1].value:.1f}"] == [klom, distance]  # type: ignore[union-attr]
    assert float(far[1]) < float(near[1])
    assert float(far[2]) > float(near[2])


def in_words(number: int) -> str:
    """A number from 2 to 99 as the README writes it."""
    small = ["two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen"]
    small += ["fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"]
    return small[number - 2] if number < 20 else TENS[number // 10 - 2] + ONES[number % 10]


COUNTS = {  # what the README counts, and the table that it comes from
    "{} audits ask what": len(AUDITS),
    "{} methods come with certificates": len(CERTIFIED),
    "{} attacks through requests for removal": len(ATTACKS),
    "and {} defences that": len(DEFENCES),
    "and {} forget sets: random": len(load_suite("digits").forget_sets),
}


@pytest.mark.parametrize("told", COUNTS)
def test_what_is_counted_in_words_is_the_number_of_rows(told: str) -> None:
    counted = in_words(COUNTS[told])
    assert told.format(counted) in README or told.format(counted.capitalize()) in README


def test_the_list_of_methods_has_the_anchors_besides() -> None:
    assert f"(`expunge list methods` has {len(METHODS)} rows, with the anchors `identity` and `oracle`)" in README
    assert {name for name, row in METHODS.items() if row.anchor} == {"identity", "oracle"}


def test_the_methods_that_are_ranked_and_those_that_are_not_are_all_methods() -> None:
    told = re.search(r"The other (\d+) of (\d+) methods are not ranked: (`.*`) are for comparison only\.", README)
    assert told
    others, every = int(told[1]), int(told[2])
    assert (every, others) == (len(METHODS) - 2, told[3].count("`") // 2)
    assert f"the first 10 of {every - others} methods" in README


def test_the_scores_of_fashion_mnist_are_counted() -> None:
    told = {
        "class-6": "a class",
        "subclass-100": "a cluster of one",
        "memorised-100": "memorised",
        "random-100": "random examples",
    }
    files = list((ROOT / "results/fashion-mnist-10k").glob("*/*.json"))
    methods = {
        name: {each.stem for each in files if each.parent.name == name} - {"identity", "oracle"} for name in told
    }
    assert {file.parent.name for file in files} == told.keys()
    assert len({frozenset(each) for each in methods.values()}) == 1
    *first, last = told.values()
    sets = f"of {', of '.join(first)} and of {last}"
    assert f"Scores of {len(methods['class-6'])} methods on Fashion-MNIST, {sets}, are in" in " ".join(README.split())


PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_a_page_links_to_is_there(page: Path) -> None:
    targets = re.findall(r"\]\(([^)\s#]+)[^)]*\)", page.read_text(encoding="utf-8"))
    assert not [each for each in targets if "://" not in each and not (page.parent / each).exists()]


def test_the_suites_are_counted() -> None:
    counts = ["ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen"]
    assert f"expunge list suites                                # {counts[len(SUITES) - 10]}: " in README


def test_the_number_that_is_read_out_of_scores_is_the_headline() -> None:
    [line] = [line for line in README.splitlines() if line.startswith("far = ")]
    known: dict[str, Any] = {"scores": scores("random-12")}
    exec(line, known)
    assert known["far"]["scrub", "forget"] == FAR * 0.66
    assert known["far"]["gradient-ascent", "retain"] == FAR * 8.4


def test_every_command_is_in_the_table_of_commands() -> None:
    table = (ROOT / "docs/commands.md").read_text(encoding="utf-8")
    groups = [(each.typer_instance and each.typer_instance.info.name) or each.name for each in app.registered_groups]
    commands = [each.name or getattr(each.callback, "__name__", "") for each in app.registered_commands]
    names = {name.replace("_", "-") for name in (*commands, *groups) if isinstance(name, str)}
    assert {"bench", "attack", "verify", "certify", "threats"} <= names
    missing = [name for name in names if not re.search(rf"expunge {name}\b", table)]
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_names_that_a_page_tells_of_are_there(page: Path) -> None:
    for name in re.findall(r"`((?:expunge|xp)(?:\.\w+)+)", page.read_text()):
        assert resolves(name.replace("xp.", "expunge.", 1) if name.startswith("xp.") else name), name


def resolves(name: str) -> bool:
    """Whether a dotted name is a module, or something in one."""
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        with contextlib.suppress(ModuleNotFoundError):
            found: object = importlib.import_module(".".join(parts[:end]))
            for part in parts[end:]:
                found = getattr(found, part, None)
            return found is not None
    return False
