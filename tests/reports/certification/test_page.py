"""The page of certificates says at once what a certificate is bought with, and what the tests could have seen."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from expunge.reports.certification.page import certificates_page

KEPT = Path(__file__).parents[3] / "results/certificates/certificates.json"
ROWS = {(each["suite"], each["method"]): each for each in json.loads(KEPT.read_text())["rows"]}


def row(method: str = "model-clipping", *, released: tuple[float, float, float] = (0.5, 0.4, 0.6)) -> dict[str, Any]:
    """An entry of the page in results, its released models of this accuracy, where guessing gets 63 %."""
    found: dict[str, Any] = copy.deepcopy(ROWS["tabular", method])
    found["guessing"] = {"models": list(released), "guess": [0.63, 0.54, 0.72]}
    found["utility"]["unlearned/test"]["accuracy"] = list(released)
    return found


@pytest.mark.parametrize(
    ("released", "place"), [((0.5, 0.4, 0.6), "at chance"), ((0.75, 0.7, 0.8), "near chance"), ((0.9, 0.8, 1.0), "")]
)
def test_a_certificate_that_is_bought_with_models_of_no_use_says_so_beside_its_word(
    released: tuple[float, float, float], place: str
) -> None:
    told = certificates_page([row(released=released)])
    assert f"| `model-clipping` | CERTIFIED{f', models {place}' * bool(place)} | 1 |" in told
    assert (f"- `model-clipping`: models {place}: after the noise their test accuracy is " in told) == bool(place)
    assert f"{100 * released[2]:.1f}]{f', {place}' * bool(place)} | " in told  # beside the accuracy


def test_the_accuracy_of_guessing_stands_above_the_others() -> None:
    assert "Always guessing the most frequent class: 63.0 [54.0, 72.0]." in certificates_page([row()])


def test_what_the_tests_could_have_seen_stands_below_the_claims() -> None:
    told = certificates_page([row("certified-newton")])
    assert "at best: by 100 models a side that count, from a true epsilon of 10.5 on; by draws of noise, " in told


def test_claims_that_no_test_could_have_refuted_are_counted_and_said() -> None:
    blind = row()
    blind["models"] = 25
    blind["tried"]["models"] |= {"word": "NOT TESTABLE", "power": None, "cap": 0.178}
    told = certificates_page([blind, row("dp-sgd")])
    assert "Tests of claims: 1 of 2 could have refuted theirs, 0 did; 1 could not (NOT TESTABLE), which" in told
    told = certificates_page([blind])
    assert "by 12 models a side that count, at no true epsilon where 1 is claimed: so many refute nothing above" in told


def test_the_legend_of_planted_faults_has_what_is_in_the_tables_and_nothing_else() -> None:
    caught, other = row("output-perturbation"), row("dp-sgd")
    assert {each["outcome"] for each in caught["planted"]} == {"caught"}
    assert "*Cannot be had*" not in certificates_page([caught])
    assert "*Cannot be had*: the method has no such part. *Cannot be shown*" in certificates_page([other])
