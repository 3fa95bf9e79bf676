"""The matrix: what is done is not done again, and its page is made of its numbers."""

from pathlib import Path
from typing import Any

import pytest

from expunge.audits.proofs import matrix
from expunge.audits.proofs.beacon import Beacon
from expunge.audits.proofs.matrix import OWNER, loss_auc, policies, run_matrix
from expunge.engine import silent
from expunge.errors import BadSetting
from expunge.reports.proofs.matrix_page import matrix_page, mean, share
from expunge.reports.proofs.matrix_table import passes_table
from expunge.reports.studies.entries import read_entries
from expunge.suites import ForgetSet, Suite


@pytest.mark.slow
def test_it_goes_on_where_it_stopped(
    suite: Suite, ten: ForgetSet, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(matrix, "MAKERS", {name: matrix.MAKERS[name] for name in ("honest", "Adv-N, pixel")})
    kept = {"2 worst of an epoch", "beacon-bound"}
    monkeypatch.setattr(matrix, "policies", lambda *given: {k: v for k, v in policies(*given).items() if k in kept})
    found = run_matrix(suite, ten, 4, 1, silent)
    outcomes = {each.name: each.rows[0]["outcomes"] for each in found}
    assert set(outcomes["honest"].values()) == {"PASS"}
    assert outcomes["Adv-N, pixel"]["2 worst of an epoch"] == "PASS"
    assert outcomes["Adv-N, pixel"]["beacon-bound"] == "FAIL"
    monkeypatch.setattr(matrix, "repeat", None)
    again = run_matrix(suite, ten, 4, 1, silent)
    assert [each.rows for each in again] == [each.rows for each in found]
    assert 0 <= loss_auc(found[0].margins[0], suite, ten) <= 1


def test_too_few_repetitions_are_refused(suite: Suite, ten: ForgetSet) -> None:
    with pytest.raises(BadSetting, match="4 repetitions or more"):
        run_matrix(suite, ten, 3, 1, silent)


def test_the_page_is_made_of_its_entries() -> None:
    one = [0.5, 0.4, 0.6]
    entry = {
        "attack": "honest",
        "passes": {name: [1.0, 0.8, 1.0] for name in policies(Beacon("", ""), 1.0)},
        "accuracy": {"retain": one, "test": one, "forget": one},
        "inconclusive": {"beacon-bound": 2, OWNER: 0},
        "largest errors": [1e-7, 0.2],
        "cost": one,
        "loss AUC": one,
        "trigger": {"before": one, "after": one},
        "KLoM": [1.25, 1, 2],
        "U-LiRA": one,
    }
    entry["passes"][OWNER] = [0.0, 0.0, 0.2]  # type: ignore[index]
    nothing = {"attack": "nothing done", "KLoM": [2.5, 2, 3], "U-LiRA": one}
    oracles = {"attack": "oracles", "KLoM": [1.0, 0.9, 1.1], "U-LiRA": one}
    text = matrix_page([entry, nothing, oracles], "digits", "random-10", 20)
    assert "Told from oracles, by KLoM or by U-LiRA: `nothing done`." in text
    assert "Not told: `honest`" in text
    assert "| honest | 100 [80, 100] |" in text
    assert "| 0 [0, 20] |" in text
    assert "`honest` before `beacon-bound`, 2 were INCONCLUSIVE" in text
    assert "| honest | 1.25 [1.00, 2.00] | 0.500 [0.400, 0.600] | 50.0 [40.0, 60.0] | 50.0 [40.0, 60.0] |" in text
    assert "| nothing done | 2.50 [2.00, 3.00] |" in text


def test_the_table_of_a_terminal_has_a_row_for_each_provider() -> None:
    entries: list[dict[str, Any]] = [
        {"attack": "honest", "passes": {"at the noise": [1.0, 0.8, 1.0], "beacon-bound": [0.95, 0.75, 1.0]}},
        {"attack": "forged", "passes": {"at the noise": [0.0, 0.0, 0.2], "beacon-bound": [0.0, 0.0, 0.2]}},
        {"attack": "oracles", "KLoM": [1.0, 0.9, 1.1]},
    ]
    table = passes_table(entries)
    assert [column.header for column in table.columns] == ["provider", "at the noise", "beacon-bound"]
    assert [list(column.cells) for column in table.columns] == [["honest", "forged"], ["100", "0"], ["95", "0"]]


def test_intervals() -> None:
    assert share([True] * 20)[1] == pytest.approx(0.025 ** (1 / 20))
    assert mean([1.0]) is None
    middle, low, high = mean([1.0, 3.0]) or []
    assert middle == 2
    assert low == 0
    assert high - middle == pytest.approx(12.706, abs=1e-2)
    assert (mean([0.9, 1.0], 1) or [])[2] == 1


def test_the_published_page_is_made_of_its_figures() -> None:
    folder = Path(__file__).parents[3] / "results/verification"
    found = read_entries(folder / "matrix.json")
    assert found is not None
    page = matrix_page(found["rows"], "digits", "memorised-50", found["facts"]["models"])
    assert page == (folder / "matrix.md").read_text(encoding="utf-8")
