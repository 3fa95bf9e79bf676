"""Cards of methods say all that is known, and the pages made of them are what is in the tree."""

import dataclasses
import functools
import json
import re
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest

from expunge.errors import BadSetting, UnknownName
from expunge.methods import METHODS, tuned
from expunge.methods.certified import CERTIFIED
from expunge.methods.references import REFERENCES, Reference
from expunge.methods.searches import write_search
from expunge.reports import cards
from expunge.reports.cards import card, cite, methods_page
from expunge.reports.catalogue import catalogue
from expunge.reports.leaderboard.results import Result, read_results
from expunge.reports.summaries import Interval
from expunge.suites import Suite
from tests.searches import a_search

ROOT = Path(__file__).parents[2]
page = functools.cache(methods_page)  # as it is, for all tests that change nothing
LITTLE = 0.2  # of a gap closed on the forget set where a method does best
ENTRY = re.compile(r"@\w+\{(\w+),\n(  \w+ = \{.*\},?\n)+\}")


@pytest.mark.parametrize("name", list(METHODS))
def test_the_page_tells_all_of_every_method(name: str) -> None:
    section = page().partition(f"\n## {name}\n")[2].partition("\n## ")[0]
    method = METHODS[name]
    assert method.summary[1:] in section
    assert all(f"`{field.name}` = {field.default}" in section for field in dataclasses.fields(method.config))
    assert all(REFERENCES[key].title in section for key in method.cite)
    assert all(need in section for need in method.needed)
    assert method.deviations in section
    if not method.anchor:
        assert (method.config.__doc__ or "").strip().splitlines()[0] in section
    if method.from_scratch:
        assert "holds the training of models from their first weights" in section


@pytest.mark.parametrize("name", list(METHODS))
def test_every_method_has_a_card_that_is_json(name: str) -> None:
    entry = json.loads(json.dumps(card(name), allow_nan=False))
    assert entry["name"] == name
    assert entry["settings"].keys() == {field.name for field in dataclasses.fields(METHODS[name].config)}
    assert len(entry["sources"]) == len(METHODS[name].cite)


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two results of scrub, one of which failed."""
    found = Result(
        suite="digits",
        forget_set="random-50",
        method="scrub",
        models=100,
        oracle_models=100,
        klom={"forget": Interval(1.5, 1.2, 1.8)},
        distance={"forget": Interval(0.5, 0.4, 0.6)},
        closed=Interval(0.7, 0.6, 0.8),
        rank=Interval(2, 2, 4),
        cost=0.098,
        settings="tuned",
    )
    failed = dataclasses.replace(found, forget_set="class-3", klom={}, distance={}, rank=None, cost=None)
    dearer = dataclasses.replace(found, forget_set="random-10", cost=0.131, rank=None, closed=None, settings="")
    monkeypatch.setattr(cards, "read_results", lambda: (found, failed, dearer))


@pytest.mark.usefixtures("measured")
def test_a_card_shows_what_was_measured() -> None:
    entry = card("scrub")
    assert entry["cost"] == "9.8 % to 13 % of a retraining, measured"
    assert entry["results"] == {
        "digits random-50": "distance forget 0.50 [0.40, 0.60], gap closed 70 %, KLoM P95 on forget 1.50; rank 2 to 4; "
        "cost 9.8 %; settings: tuned",
        "digits class-3": "failed",
        "digits random-10": "distance forget 0.50 [0.40, 0.60], KLoM P95 on forget 1.50; cost 13 %",
    }
    entry = card("fine-tune")
    assert (entry["cost"], entry["results"]) == ("not measured yet", "no results yet")


def test_a_method_that_trains_from_scratch_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(METHODS, "scrub", dataclasses.replace(METHODS["scrub"], from_scratch=True))
    assert card("scrub")["cost"].startswith("holds the training of models from their first weights, ")
    assert "- Cost: holds the training of models from their first weights" in methods_page()


def test_a_method_that_nobody_compared_with_public_code_says_so() -> None:
    assert card("retrain")["deviations"] == "not compared with public code"
    assert card("random-labels")["deviations"] == METHODS["random-labels"].deviations
    assert card("identity")["deviations"] == "nothing to compare"


def test_what_closes_little_of_every_gap_says_why() -> None:
    best: dict[str, float] = {}
    for result in read_results():
        if result.suite == "digits" and result.closed and METHODS[result.method].ranked:
            best[result.method] = max(best.get(result.method, 0.0), result.closed.value)
    others = {"identity", *CERTIFIED}  # a certificate's noise moves models far, which results say below their tables
    little = {name for name, share in best.items() if share < LITTLE and name not in others}
    assert little == {name for name, method in METHODS.items() if method.moves_little}
    for name in little:
        assert card(name)["moves little"] == METHODS[name].moves_little
        assert f"- Moves little: {METHODS[name].moves_little}" in page()


def test_a_card_and_the_page_show_the_tuned_settings(
    suite: Suite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "digits/random").mkdir(parents=True)
    write_search(tmp_path / "digits/random/scrub.json", a_search(suite))
    monkeypatch.setattr(tuned, "SHIPPED", tmp_path)
    told = (
        "at 15 %: 1.00 with lr = 0.02 (cost 10 %); at 50 and 100 %: 0.50 with lr = 0.02 (cost 30 %); doing nothing "
        "3.00; 1 trials, random, seed 0"
    )
    assert card("scrub")["tuned"] == {"digits, random": told}
    assert f"- Tuned:\n  - digits, random: {told}\n" in methods_page()
    assert "- Tuned: not yet\n" in methods_page()
    write_search(tmp_path / "digits/random/scrub.json", a_search(suite, limit=0.15))
    told = told.replace("; at 50 and 100 %: 0.50 with lr = 0.02 (cost 30 %)", "") + ", up to 15 % of a retraining"
    assert card("scrub")["tuned"] == {"digits, random": told}


def test_a_reference_can_be_read_by_bibtex() -> None:
    for name, method in METHODS.items():
        if method.cite:
            entries = cite(name).split("\n\n")
            assert [match[1] for entry in entries if (match := ENTRY.fullmatch(entry))] == list(method.cite)
    entry = Reference(authors="A, B", title="50 % & more_", year=2020, venue="Security & Privacy").bibtex("a2020")
    assert "title = {{50 \\% \\& more\\_}}" in entry
    assert "booktitle = {Security \\& Privacy}" in entry


def test_a_paper_in_a_journal_is_an_article() -> None:
    entry = Reference(authors="A, B", title="T", year=2020, journal="Letters & More", url="https://a.b")
    assert entry.bibtex("a2020").startswith("@article{a2020,")
    assert "journal = {Letters \\& More}" in entry.bibtex("a2020")
    assert "url = {https://a.b}" in entry.bibtex("a2020")
    assert "booktitle" not in entry.bibtex("a2020")
    assert entry.short == "A 2020, Letters & More"
    journals = {key for key, each in REFERENCES.items() if each.journal}
    assert {"agarwal2017", "foster2025", "tarun2023"} <= journals
    assert not any("Journal" in each.venue or "Transactions" in each.venue for each in REFERENCES.values())


def test_a_metric_is_cited_and_what_has_no_publication_says_so() -> None:
    assert cite("klom").startswith("@misc{georgiev2024,")
    assert cite("rmia").startswith("@inproceedings{zarifzadeh2024,")
    with pytest.raises(BadSetting, match="'identity' comes from no publication"):
        cite("identity")
    with pytest.raises(
        UnknownName, match="unknown method, metric, audit, attack or defence 'srcub'; did you mean 'scrub'"
    ):
        cite("srcub")


@pytest.mark.parametrize(
    "ask", [lambda: catalogue("methods"), lambda: card("scrub"), lambda: cite("scrub"), methods_page]
)
def test_a_key_that_no_reference_has_is_one_line(ask: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(METHODS, "scrub", dataclasses.replace(METHODS["scrub"], cite=("kurmanji2023", "kurmanij2023")))
    told = "the method of expunge.methods.zoo.scrub cites 'kurmanij2023', which expunge/methods/references.toml lacks; "
    with pytest.raises(UnknownName, match=re.escape(told) + ".* did you mean 'kurmanji2023'"):
        ask()


def test_references_stand_in_the_order_of_their_keys_which_are_first_author_and_year() -> None:
    assert list(REFERENCES) == sorted(REFERENCES)
    for key, each in REFERENCES.items():
        family = each.authors.partition(" and ")[0].partition(",")[0]
        plain = unicodedata.normalize("NFKD", family).encode("ascii", "ignore").decode().lower()
        assert re.fullmatch(re.escape(re.sub(r"[^a-z]", "", plain)) + rf"{each.year}[a-z]*", key), key


def test_expunge_is_cited_as_its_citation_file_says() -> None:
    facts = dict(re.findall(r'^([\w-]+): "?(.*?)"?$', (ROOT / "CITATION.cff").read_text(), re.MULTILINE))
    entry = cite()
    assert ENTRY.fullmatch(entry)
    assert f"title = {{{{{facts['title']}}}}}" in entry
    assert f"version = {{{facts['version']}}}" in entry
    assert f"year = {{{facts['date-released'][:4]}}}" in entry


def test_the_page_of_methods_is_up_to_date() -> None:
    assert (ROOT / "docs/methods.md").read_text() == methods_page(), "run `make docs`"
