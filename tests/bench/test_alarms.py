"""Rows that must not be read as forgetting raise an alarm, each its own; honest rows of any forget set raise none."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy import ndarray

from expunge.bench.alarms import alarms_of
from expunge.bench.external_margins import score_margins
from expunge.bench.ranks import rankable
from expunge.bench.score import ScoredRow, floor_row, identity_row, reference_of, score_row
from expunge.ensembles import EnsembleMargins, Plan, read_margins
from expunge.ensembles.origin import Origin
from expunge.errors import BadMargins
from expunge.metrics import Reference, Row
from expunge.records import LIKELY
from expunge.reports.boards import boards
from expunge.reports.leaderboard.records import read_records
from expunge.reports.studies.cheats import CHEATS, Material
from expunge.suites import Suite

SETS = ("random-50", "class-3", "memorised-50")
READ = ("distance", "gap-closed", "klom", "outliers")


def judged(suite: Suite, name: str, models: int = 100) -> tuple[Reference, ndarray]:
    forget = suite.forget_sets[name]
    return reference_of(suite, forget, models, models), read_margins(Plan(suite, "pretrained"), 0, models).values


def row_of(suite: Suite, reference: Reference, margins: ndarray) -> Row:
    origin = Origin(suite.address, suite.digest, "unlearned", reference.forget.key, tuple(range(len(margins))))
    return Row(suite, reference.forget, "mine", EnsembleMargins(margins, None, origin))


def cheating(suite: Suite, name: str, cheat: str, *, everywhere: bool = False) -> tuple[Row, Reference]:
    """A cheat on the examples to forget, or on all."""
    reference, untouched = judged(suite, name)
    columns = np.arange(suite.data.width) if everywhere else suite.columns(reference.forget)["forget"]
    other = read_margins(Plan(suite, "oracle", suite.forget_sets["random-144"]), 0, 100).values
    sources = (untouched, reference.oracle.values, reference.held_out.values, other)
    margins = np.array(untouched)
    material = Material(*(np.array(each[:, columns]) for each in sources))
    margins[:, columns] = CHEATS[cheat].make(material, np.random.default_rng(3))
    return row_of(suite, reference, margins), reference


ALARMS = {
    "constant at the oracles' mode": "one answer",
    "a refusing head": "one answer",
    "a bias of the class": "only rescaled",
    "temperature 3": "only rescaled",
    "normal about the oracles' mean": "drawn apart from the models",
    "reference, each example shuffled": "not independent of the oracles",
    "reference with 0.25 sd of noise": "not independent of the oracles",
    "draws with the reference's covariance": "drawn apart from the models: .* all other examples",
    "noise, 10 sd": "drawn apart from the models",
}
QUICK = {(name, cheat) for name, cheat in zip(SETS * 3, ALARMS, strict=True)}  # each once, on one set or another


@pytest.mark.parametrize(
    ("name", "cheat"),
    [
        pytest.param(name, cheat, marks=() if (name, cheat) in QUICK else pytest.mark.slow)
        for name in SETS
        for cheat in ALARMS
    ],
)
def test_a_cheat_on_the_examples_to_forget_raises_its_alarm(suite: Suite, name: str, cheat: str) -> None:
    row, reference = cheating(suite, name, cheat)
    found = alarms_of(row, reference)
    assert any(re.search(ALARMS[cheat], each) for each in found), found


@pytest.mark.parametrize("name", SETS)
def test_honest_models_raise_none(suite: Suite, name: str) -> None:
    for models in (100, 20) if name == "class-3" else (20, 3):
        reference, untouched = judged(suite, name, models)
        more = read_margins(Plan(suite, "pretrained"), 100, models).values
        for margins in (reference.held_out.values, untouched, more):
            assert not alarms_of(row_of(suite, reference, np.array(margins)), reference)


def test_oracles_of_another_seed_or_another_set_raise_none(suite: Suite) -> None:
    """A perfect method, and one that forgot the wrong data: what they score says enough."""
    reference, _ = judged(suite, "memorised-50")
    other = read_margins(Plan(suite, "oracle", suite.forget_sets["random-50"]), 0, 100).values
    for margins in (reference.held_out.values, other):
        assert not alarms_of(row_of(suite, reference, np.array(margins)), reference)


def test_models_that_are_there_twice_are_told(suite: Suite) -> None:
    reference, untouched = judged(suite, "class-3")
    twice = np.repeat(untouched[:50], 2, axis=0)
    assert alarms_of(row_of(suite, reference, twice), reference)[0] == "50 of 100 models are there more than once"


@pytest.mark.parametrize("cheat", ["reference, models rotated", "draws with the reference's covariance"])
@pytest.mark.parametrize("whose", ["reference", "held-out"])
def test_mixtures_of_oracles_are_refused(suite: Suite, cheat: str, whose: str) -> None:
    row, reference = cheating(suite, "memorised-50", cheat, everywhere=True)
    if whose == "held-out":
        swapped = Material(*(np.array(reference.held_out.values),) * 4)
        margins = CHEATS[cheat].make(swapped, np.random.default_rng(3))
        row = row_of(suite, reference, margins)
    assert "mixtures of the oracles" in scored(row, reference).scores[0].reason


@pytest.mark.parametrize(
    ("first", "whose"), [(0, "a reference oracle"), (100, "a held-out oracle"), (150, "oracles 120 to 199")]
)
def test_all_oracles_of_a_store_are_guarded(suite: Suite, first: int, whose: str) -> None:
    reference, _ = judged(suite, "class-3", 20)
    stolen = read_margins(Plan(suite, "oracle", reference.forget), first, 20).values
    with pytest.raises(BadMargins, match=whose):
        score_margins(suite, "class-3", np.array(stolen))


def scored(row: Row, reference: Reference) -> ScoredRow:
    return score_row([row], reference, READ)


@pytest.mark.parametrize("alarm", [True, False])
def test_a_doubted_row_says_why_and_has_no_rank(suite: Suite, alarm: bool) -> None:
    reference, untouched = judged(suite, "class-3")
    oracles = np.array(reference.held_out.values)
    mixed = np.concatenate([untouched[:40], oracles[40:]])
    row = replace(row_of(suite, reference, mixed), method="scrub", alarms=("made up",) if alarm else ())
    row = replace(row, margins=replace(row.margins, origin=replace(row.margins.origin, kind="pretrained")))
    anchors = [floor_row(reference), identity_row(suite, reference.forget, judged_untouched(suite))]
    found = {each.method: scored(each, reference).scores for each in (*anchors, row)}
    assert rankable(found) == ([] if alarm else ["scrub"])
    assert {score.reason for score in found["scrub"]} == {"made up" if alarm else ""}
    lines = boards([score for scores in found.values() for score in scores])[0].lines
    reads = {line.row.method: (line.reading, line.row.reason) for line in lines}
    assert reads["scrub"] == (("doubted", "made up") if alarm else ("partly forgets", ""))


def judged_untouched(suite: Suite) -> EnsembleMargins:
    return read_margins(Plan(suite, "pretrained"), 0, 100)


def test_margins_that_were_handed_in_are_unverified_always(suite: Suite) -> None:
    untouched = np.array(read_margins(Plan(suite, "pretrained"), 100, 20).values)
    (told,) = [
        each.note for each in boards(score_margins(suite, "class-3", untouched))[0].lines if each.row.method == "yours"
    ]
    assert "nothing was unlearned; UNVERIFIED: margins" in told
    found = boards(score_margins(suite, "class-3", untouched + np.float32(0.001)))[0].lines
    assert {line.row.method: line.note for line in found} == {
        "oracle": "",
        "identity": "",
        "yours": "UNVERIFIED: margins that were handed in; no rank",
    }


def test_no_row_of_the_leaderboard_is_doubted() -> None:
    records = read_records(Path(__file__).parents[2] / "results")["digits"]
    assert {score.metric for score in records} >= {"distance", "model-level"}
    reasons = {score.subject.method: score.reason for score in records if score.status == "ok"}
    assert not [name for name, why in reasons.items() if why and not why.startswith(LIKELY)]
