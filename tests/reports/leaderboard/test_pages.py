"""The leaderboard: complete rows only, ranks of one bench only, and pages that are what the records make."""

from dataclasses import replace
from pathlib import Path

import pytest

from expunge.errors import StoreError, UserError
from expunge.methods import METHODS, tuned
from expunge.methods.searches import Stop, write_search
from expunge.records import Score, write_scores
from expunge.reports.boards import boards
from expunge.reports.leaderboard import notes
from expunge.reports.leaderboard.front import BEGIN, END, front_block, read_page, with_block
from expunge.reports.leaderboard.pages import results_page
from expunge.reports.leaderboard.records import collect, read_records
from expunge.reports.leaderboard.standings import standings
from expunge.suites import Suite
from tests.cli.commands import refused, run
from tests.publications import small_publication
from tests.records import changed
from tests.reports.synthetic import score, scores_of
from tests.searches import a_search

ROOT = Path(__file__).parents[3]
P95 = {"forget": 0.5, "retain": 0.5, "test": 0.5}
NOTHING = 5.0  # the forget P95 of doing nothing


def scored(forget_set: str, ranks: dict[str, tuple[int, int]], ratios: dict[str, float]) -> list[Score]:
    """A forget set: the floor, and methods at multiples of it, with their places."""
    found = list(scores_of(forget_set, "oracle", P95, NOTHING, cost=1.0, seconds=None))
    for method, ratio in ratios.items():
        found += scores_of(forget_set, method, P95 | {"forget": 0.5 * ratio}, NOTHING)
    for method, (best, worst) in ranks.items():
        found.append(
            score(
                forget_set=forget_set,
                method=method,
                metric="rank",
                aggregate="distance",
                value=float(best),
                low=float(best),
                high=float(worst),
            )
        )
    return found


ONE = scored("one", {"scrub": (1, 1), "ssd": (2, 3), "gone": (2, 3)}, {"scrub": 2, "ssd": 4, "gone": 4, "bound": 1.0})
TWO = scored("two", {"scrub": (1, 2), "ssd": (1, 2)}, {"scrub": 8, "ssd": 9, "bound": 1.0})


def failed(forget_set: str, method: str) -> Score:
    return score(
        forget_set=forget_set, method=method, status="failed", value=None, low=None, high=None, reason="diverged"
    )


def test_a_mean_is_of_complete_rows_only() -> None:
    found = {each.method: each for each in standings(boards([*ONE, *TWO, failed("two", "gone")]))}
    assert found["scrub"].closed == pytest.approx((4 + 1) / 2 / 4.36)  # of 5, the untouched, to 1 and to 4
    assert found["ssd"].closed == pytest.approx((3 + 0.5) / 2 / 4.36)
    assert (found["gone"].closed, found["gone"].note) == (None, "scored on 1 of 2 forget sets")
    assert found["bound"].closed == pytest.approx(4.5 / 4.36)
    assert found["scrub"].nearer == 0  # without a row identity nothing can be told
    assert found["scrub"].drift == pytest.approx(-0.05, abs=0.02)
    assert [*found] == ["bound", "scrub", "ssd", "gone"]


def test_who_breaks_the_model_anywhere_stands_below_all_others() -> None:
    far, near = (scores_of(name, "best", P95 | {"retain": p95}, NOTHING) for name, p95 in (("one", 9.0), ("two", 0.5)))
    found = standings(boards([*ONE, *TWO, *far, *near]))
    assert [(each.method, each.note) for each in found][-2:] == [
        ("best", "✕ on 1 of 2"),
        ("gone", "scored on 1 of 2 forget sets"),
    ]


def test_a_set_on_which_a_method_was_not_scored_counts_as_one_on_which_it_failed() -> None:
    (gone,) = [each for each in standings(boards([*ONE, *TWO])) if each.method == "gone"]
    assert (gone.note, gone.closed) == ("scored on 1 of 2 forget sets", None)


def test_ranks_of_two_benches_are_refused() -> None:
    stray = score(forget_set="two", method="other", metric="rank", aggregate="distance", value=1.0, low=1.0, high=1.0)
    with pytest.raises(UserError, match="forget set two: 3 rows have ranks that go to 2"):
        standings(boards([*ONE, *TWO, *scores_of("two", "other", P95), stray]))


def in_plain_spaces(page: str) -> str:
    return page.replace("\N{NO-BREAK SPACE}", " ")


def results(folder: Path) -> Path:
    out = folder / "out"
    out.mkdir()
    write_scores(out / "scores.jsonl", [*ONE, *TWO, failed("two", "gone")])
    collect(out, folder / "results")
    return folder / "results"


def test_a_bench_is_collected_and_shown(tmp_path: Path) -> None:
    place = results(tmp_path)
    assert sorted(read_records(place)["digits"], key=repr) == sorted([*ONE, *TWO, failed("two", "gone")], key=repr)
    lines = in_plain_spaces(results_page(place)).splitlines()
    overall = [line for line in lines if line.startswith("| `")][:4]
    assert overall[0].startswith("| `bound` | 103 % | −0.05 | 0 of 2 |")
    assert overall[1].startswith("| `scrub` | 57 % | −0.05 | 0 of 2 |")
    assert overall[2].startswith("| `ssd` | 40 % | −0.05 | 0 of 2 |")
    assert overall[3].startswith("| `gone` |  |  | scored on 1 of 2 forget sets |")
    assert overall[3].endswith("| failed |")
    top = [line for line in front_block(place).splitlines() if line.startswith("| `")]
    assert [line.split("`")[1] for line in top] == ["bound", "scrub", "ssd", "gone"]
    assert top[3].endswith("| failed |")


def test_a_readme_shows_methods_by_kind_with_the_price_and_who_is_best_over_the_kinds_first(tmp_path: Path) -> None:
    records = []
    for name, kind in (("a", "random"), ("b", "random"), ("c", "class"), ("d", "memorised")):
        found = scored(name, {}, {"identity": 10, "scrub": 4, "ssd": 6, "jit": 1})
        found = [changed(each, forget_kind=kind, budget=0.15) for each in found]
        costs = {"scrub": 0.12, "ssd": 0.15, "jit": 0.6 if kind == "class" else 0.1}
        records += [changed(each, cost=costs.get(each.subject.method)) for each in found]
    write_scores(tmp_path / "scores.jsonl", records)
    collect(tmp_path, tmp_path / "results")
    block = front_block(tmp_path / "results")
    assert "settings for at most 15 % of a retraining: the first 3 of 3 methods by the sum of their shares." in block
    lines = [line for line in block.splitlines() if line.startswith("|")]
    assert lines[0] == "| method | random | class | memorised |"
    assert [line.split("`")[1] for line in lines[2:]] == ["scrub", "ssd", "jit"]  # jit's price on the class is above
    assert lines[2].count(" % at 12 %") == 3
    assert lines[4].count("at 60 % ↑") == 1
    assert "At this price no method wholly forgets (●) these kinds: class." in block
    every = len(METHODS) - 2  # but the anchors
    assert block.endswith(
        f"The other {every - 3} of {every} methods are not ranked: {every - 3} methods were not benched."
    )


def test_what_is_over_the_budget_is_marked_and_stands_below(tmp_path: Path) -> None:
    records = []
    for name in ("a", "b"):
        found = [changed(each, budget=0.15) for each in scored(name, {}, {"identity": 10, "scrub": 4, "jit": 1.5})]
        costs = {"scrub": 0.16, "jit": 0.6 if name == "b" else 0.1}  # a tenth more is a rounding
        records += [replace(each, cost=costs.get(each.subject.method)) for each in found]
    write_scores(tmp_path / "scores.jsonl", records)
    collect(tmp_path, tmp_path / "results")
    page = in_plain_spaces(results_page(tmp_path / "results"))
    overall = [line for line in page.splitlines() if line.startswith("| `")][:3]
    assert [line.split("`")[1] for line in overall] == ["scrub", "identity", "jit"]
    assert "| ↑ on 1 of 2 |" in overall[2]
    assert overall[2].count(" % ↑") == 1
    assert page.count("60.0% &gt;15% |") == 1
    assert ", settings for at most 15 % of a retraining.\n" in page


def test_why_models_broke_stands_below_the_table_of_a_forget_set(tmp_path: Path) -> None:
    broken = scores_of("one", "jit", P95 | {"retain": 9.0}, NOTHING)
    records = [*scored("one", {}, {"identity": 10, "scrub": 4}), *broken]
    cause = {"scrub": "likely cause: none, for it breaks nothing", "jit": "likely cause: many"}
    records = [replace(each, reason=cause.get(each.subject.method, "")) for each in records]
    write_scores(tmp_path / "scores.jsonl", records)
    collect(tmp_path, tmp_path / "results")
    assert results_page(tmp_path / "results").endswith("\n\nWhy these break the model, likely:\n\n- `jit`: many.\n")


def test_a_forget_set_without_headroom_says_so(tmp_path: Path) -> None:
    one, two = (scored(name, {}, {"identity": 10, "scrub": 4}) for name in ("one", "two"))
    write_scores(tmp_path / "scores.jsonl", [*one, *(each for each in two if each.metric != "gap-closed")])
    collect(tmp_path, tmp_path / "results")
    _, of_one, of_two = results_page(tmp_path / "results").split("\n### ")
    assert "No headroom" not in of_one
    assert "\n\nNo headroom: with so many models identity is too near to the floor" in of_two


def test_what_certifies_nothing_and_what_makes_no_models_is_said(tmp_path: Path) -> None:
    write_scores(tmp_path / "scores.jsonl", scored("one", {}, {"identity": 10, "dp-sgd": 4, "dm-direct": 2}))
    collect(tmp_path, tmp_path / "results")
    for page in (results_page(tmp_path / "results"), front_block(tmp_path / "results")):
        assert "makes no models: `dm-direct`.\n" in page
        assert "breaks a condition of their theorems, these certify nothing: `dp-sgd`." in page


def test_of_a_suite_without_its_examples_nothing_is_said_of_certificates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notes, "load_suite", lambda _: small_publication().suite)
    assert notes.uncertified("digits", ["dp-sgd"]) == []


def test_a_small_budget_is_told_as_it_is(tmp_path: Path) -> None:
    records = [changed(each, budget=0.005) for each in scored("one", {}, {"identity": 10, "scrub": 4})]
    write_scores(tmp_path / "scores.jsonl", [replace(each, cost=0.3) for each in records])
    collect(tmp_path, tmp_path / "results")
    page = in_plain_spaces(results_page(tmp_path / "results"))
    assert ", settings for at most 0.5 % of a retraining.\n" in page
    assert "30.0% &gt;0.5% |" in page


def test_who_is_nowhere_nearer_than_doing_nothing_is_said(tmp_path: Path) -> None:
    one = scored("one", {}, {"identity": 10, "scrub": 4, "ssd": 10, "jit": 30})
    two = scored("two", {}, {"identity": 10, "scrub": 10, "ssd": 10, "jit": 10})
    write_scores(tmp_path / "scores.jsonl", [*one, *two])
    collect(tmp_path, tmp_path / "results")
    page = results_page(tmp_path / "results")
    assert "unless they break the model there: `ssd`, `jit`.\n" in page
    assert "- ◐ *partly forgets*: surely closes more than 5 % of the gap on forget, and is not at the floor.\n" in page
    assert "*failed*" not in page


def test_whose_search_came_nowhere_nearer_than_doing_nothing_is_said(
    tmp_path: Path, suite: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, kind, objective in (("fine-tune", "class", 1.0), ("ct", "class", 3.5), ("ct", "random", 3.5)):
        stop = Stop(trial=0, cost=0.1, objective=objective, settings={})
        (tmp_path / "digits" / kind).mkdir(parents=True, exist_ok=True)
        found = a_search(suite, method=name, kind=kind, frontier=[stop])
        write_search(tmp_path / "digits" / kind / f"{name}.json", found)
    monkeypatch.setattr(tuned, "SHIPPED", tmp_path)
    records = scored("one", {}, {"identity": 10, "fine-tune": 4, "ct": 30})
    for benched, said in ((["class"], "class"), (["random", "class"], "class, random")):
        scores = [
            changed(each, tuning="tuned", forget_kind=kind, forget_set=kind) for kind in benched for each in records
        ]
        write_scores(tmp_path / "scores.jsonl", scores)
        collect(tmp_path, tmp_path / "results")
        page = results_page(tmp_path / "results")
        assert f"than doing nothing, for the kinds in brackets: `ct` ({said}).\n" in page


def test_that_settings_are_defaults_is_said(tmp_path: Path) -> None:
    told = "Here settings are the defaults of each method, not those of a search."
    for tuning, said in (("default", True), ("tuned", False), ("tuned; set: lr", False)):
        records = [changed(each, tuning=tuning) for each in scored("one", {}, {"identity": 10, "scrub": 4})]
        write_scores(tmp_path / "scores.jsonl", records)
        collect(tmp_path, tmp_path / "results")
        page = results_page(tmp_path / "results")
        assert (told in page) == said
        assert ("a search (`expunge tune`) found" in page) != said
        by_hand = ", ".join(f"`{name}` (lr)" for name in ("identity", "oracle", "scrub"))
        assert (f"Set by hand: {by_hand}." in page) == ("set:" in tuning)


def test_doing_nothing_is_no_method_among_the_first(tmp_path: Path) -> None:
    ranks = {"identity": (1, 3), "scrub": (1, 3), "ssd": (1, 3)}
    write_scores(tmp_path / "scores.jsonl", scored("one", ranks, {"identity": 10, "scrub": 4, "ssd": 10}))
    collect(tmp_path, tmp_path / "results")
    top = front_block(tmp_path / "results")
    assert "the first 2 of 2 methods" in top
    assert "| `identity` |" not in top


def test_what_trains_from_scratch_is_listed_with_its_cost(tmp_path: Path) -> None:
    one = scored("one", {}, {"identity": 10, "scrub": 4, "retrain": 2})
    costly = [replace(each, cost=1.25) if each.subject.method == "retrain" else each for each in one]
    write_scores(tmp_path / "scores.jsonl", costly)
    collect(tmp_path, tmp_path / "results")
    assert "one retraining: `retrain` 125.0%.\n" in results_page(tmp_path / "results")


def test_what_is_no_record_is_named(tmp_path: Path) -> None:
    place = results(tmp_path)
    (place / "digits/one/scrub.json").write_text('[{"suite": "digits"}]')
    with pytest.raises(StoreError, match=r"scrub\.json has no score records"):
        results_page(place)


def test_an_empty_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="has no records"):
        results_page(tmp_path)


def test_the_block_goes_between_its_markers_and_nowhere_else() -> None:
    assert with_block(f"a {BEGIN} old {END} b", "new") == f"a {BEGIN}\n\nnew\n\n{END} b"


def test_a_page_without_the_markers_or_that_is_none_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    place = results(tmp_path)
    (tmp_path / "page.md").write_text("no markers")
    (tmp_path / "binary").write_bytes(bytes(range(128, 256)))
    for name, message in (
        ("page.md", "expected the markers"),
        ("binary", "is no text"),
        ("absent.md", "No such file"),
        ("out", "is a folder"),
    ):
        with pytest.raises(UserError, match=message):
            read_page(tmp_path / name)
        assert message in refused(run("leaderboard", place, "--readme", tmp_path / name))
    assert not (place / "README.md").exists()


def test_what_is_no_bench_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="give the --out folder of a bench"):
        collect(tmp_path / "absent", tmp_path / "results")


def test_a_forget_set_has_the_rows_of_one_bench(tmp_path: Path) -> None:
    """A later bench of fewer methods has ranks among those alone."""
    place, later = results(tmp_path), tmp_path / "later"
    later.mkdir()
    write_scores(later / "scores.jsonl", scored("one", {"scrub": (1, 1), "ssd": (2, 2)}, {"scrub": 2, "ssd": 4}))
    before = results_page(place)
    with pytest.raises(UserError, match=r"digits/one has rows that the bench in .*later lacks \(bound, gone\)"):
        collect(later, place)
    assert results_page(place) == before


def test_methods_that_break_the_model_say_on_how_many_sets(tmp_path: Path) -> None:
    one = scored("one", {}, {"identity": 10, "scrub": 1, "ssd": 4})
    stray = score(
        forget_set="one", method="scrub", metric="outliers", aggregate="share", value=0.01, low=0.0, high=0.03
    )
    far = [replace(each, value=9.0, low=8.9, high=9.1) if is_retain(each, "ssd") else each for each in one]
    found = {each.method: each for each in standings(boards([*far, stray]))}
    assert found["scrub"].note == found["ssd"].note == "✕ on 1 of 1"
    write_scores(tmp_path / "scores.jsonl", [*far, stray])
    collect(tmp_path, tmp_path / "results")
    assert "| `scrub` | 103 % | −0.05 | ✕ on 1 of 1 | ✕ 103 % |" in in_plain_spaces(results_page(tmp_path / "results"))


def is_retain(each: Score, method: str) -> bool:
    return (each.subject.method, each.split, each.metric) == (method, "retain", "distance")


def test_the_pages_of_this_repository_are_what_the_records_make() -> None:
    place, readme = ROOT / "results", (ROOT / "README.md").read_text()
    assert (place / "README.md").read_text() == results_page(place), "run `make docs`"
    assert with_block(readme, front_block(place)) == readme, "run `make docs`"


def test_forget_sets_that_were_made_anew_since_are_named(tmp_path: Path, suite: Suite) -> None:
    records = [
        changed(each, forget_digest=digest)
        for name, digest in (("memorised-50", "ab" * 32), ("random-10", suite.forget_sets["random-10"].sha256))
        for each in scored(name, {}, {"identity": 10, "scrub": 4})
    ]
    write_scores(tmp_path / "scores.jsonl", records)
    collect(tmp_path, tmp_path / "results")
    told = "of other examples than those of the same name today: memorised-50.\n"
    assert told in results_page(tmp_path / "results")
