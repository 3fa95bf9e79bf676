"""``--budget``: the share of a retraining that tuned settings are taken for, and what is no such share."""

from pathlib import Path

import pytest

from expunge.bench.rebuild import rebuild
from expunge.cli.options import share_of
from expunge.errors import BadSetting
from expunge.methods import tuned
from expunge.methods.searches import Settings, Stop, write_search
from expunge.methods.tuned import BUDGET, require_budget
from expunge.suites import load_suite
from tests.cli.commands import TINY, refused, run, scores_of
from tests.conftest import built_store
from tests.searches import a_search

BENCH = ["bench", TINY, "--method", "fine-tune", "--models", "3", "--workers", "1"]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with all ensembles of the tiny suite, as the command loads it."""
    return built_store(load_suite(TINY), tmp_path_factory.mktemp("built"))


@pytest.fixture(autouse=True)
def found(built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What searches found for the tiny suite, for random sets: cheap settings and dear ones."""
    monkeypatch.setattr(tuned, "SHIPPED", tmp_path / "tuned")
    monkeypatch.setenv("EXPUNGE_STORE", str(built))
    (tmp_path / "tuned/tiny/random").mkdir(parents=True)
    settings: dict[str, list[Settings]] = {
        "fine-tune": [{"lr": 0.01, "epochs": 1}, {"lr": 0.02, "epochs": 3}],
        "sisa": [{"shards": 1, "slices": 1}, {"shards": 2, "slices": 1}],
    }
    for method, each in settings.items():
        stops = [
            Stop(trial=0, cost=cost, objective=1 - cost, settings=one)
            for cost, one in zip((0.125, 0.375), each, strict=True)
        ]
        record = a_search(load_suite(TINY), method=method, frontier=stops)
        write_search(tmp_path / f"tuned/tiny/random/{method}.json", record)


def settings_of(folder: Path) -> tuple[object, ...]:
    (each, *_) = scores_of(folder, method="fine-tune")
    return each.subject.config["lr"], each.subject.config["epochs"], each.subject.tuning, each.subject.budget


def test_a_bench_takes_what_was_found_for_its_budget_and_fifteen_per_cent_by_default(tmp_path: Path) -> None:
    for options, share in (([], "15"), (["--budget", "50%"], "50")):
        done = run(*BENCH, *options, "--forget-set", "first", "--out", tmp_path / share)
        assert done.returncode == 0, done.stderr
        assert f"settings: tuned for random, {share} % (fine-tune)" in done.stderr
    assert settings_of(tmp_path / "15") == (0.01, 1, "tuned for random, 15 %", 0.15)
    assert settings_of(tmp_path / "50") == (0.02, 3, "tuned for random, 50 %", 0.5)


def test_that_nothing_found_is_so_cheap_is_said_and_so_is_a_set_that_names_no_kind(tmp_path: Path) -> None:
    done = run(*BENCH, "--budget", "5 %", "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert "settings: tuned for random, 5 %, nothing found so cheap (fine-tune)" in done.stderr
    for name in ("first", "more"):
        assert f"{name} names no kind of random, class, " in done.stderr
        assert "it gets what was found for random" in done.stderr
    assert settings_of(tmp_path / "out") == (0.01, 1, "tuned for random, 5 %, nothing found so cheap", 0.05)
    default = run(*BENCH, "--tuning", "default", "--forget-set", "first", "--out", tmp_path / "default")
    assert default.returncode == 0, default.stderr
    assert "names no kind" not in default.stderr  # which makes no difference there


def test_a_build_for_a_method_is_of_the_settings_that_the_bench_takes() -> None:
    suite = load_suite(TINY)
    (cheap,), (same,), (dear,) = (
        rebuild(suite, ["first"], methods=["sisa"], models=2, budget=budget) for budget in (BUDGET, 0.15, 0.5)
    )
    assert cheap["folder"] == same["folder"] != dear["folder"]
    done = run("build", TINY, "--for", "sisa", "--forget-set", "first", "--models", "2", "--budget", "50%", "--json")
    assert done.returncode == 0, done.stderr
    assert str(dear["folder"]) in done.stdout


@pytest.mark.parametrize(
    ("text", "share"),
    [("15%", 0.15), ("15 %", 0.15), (" 0.15 ", 0.15), ("100%", 1), ("1", 1), ("1%", 0.01), (".5", 0.5)],
)
def test_a_share_is_taken_as_people_write_it(text: str, share: float) -> None:
    assert share_of(text) == pytest.approx(share)


@pytest.mark.parametrize(
    ("text", "near"),
    [
        ("15", "; did you mean 15%?"),
        ("1.5", "; did you mean 1.5%?"),
        ("100", "; did you mean 100%?"),
        ("150%", "; the nearest is 100%"),
        ("150", "; the nearest is 100%"),
        ("inf", "; the nearest is 100%"),
        ("0", ""),
        ("0%", ""),
        ("-5%", ""),
        ("abc", ""),
        ("nan", ""),
        ("", ""),
        ("%", ""),
        ("15%%", ""),
        ("%15", ""),
    ],
)
def test_what_is_no_share_of_a_retraining_is_refused_in_a_line_before_any_work(
    text: str, near: str, tmp_path: Path
) -> None:
    line = f"--budget {text!r}: expected a share of a retraining, above 0% and at most 100%{near}"
    for command in ([*BENCH, "--out", tmp_path / "out"], ["build", TINY, "--for", "sisa"]):
        assert refused(run(*command, f"--budget={text}")) == f"expunge: {line}"
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("budget", "message"),
    [
        (15, "above 0 and at most 1, a whole retraining, got 15; did you mean 0.15?"),
        (150.0, "above 0 and at most 1, a whole retraining, got 150; the nearest is 1"),
        (0, "above 0 and at most 1, a whole retraining, got 0"),
        (float("nan"), "above 0 and at most 1, a whole retraining, got nan"),
        ("15%", "expected a number as the budget, such as 0.15, got '15%'"),
        (None, "expected a number as the budget, such as 0.15, got None"),
        (True, "expected a number as the budget, such as 0.15, got True"),
    ],
)
def test_in_python_too(budget: object, message: str) -> None:
    with pytest.raises(BadSetting) as told:
        require_budget(budget)
    assert message in str(told.value)
