"""Why a row breaks the model is measured of its own models, and said as likely."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy import ndarray

from expunge.bench.causes import _nats, likely_cause
from expunge.bench.ranks import with_causes
from expunge.bench.score import identity_row, reference_of
from expunge.ensembles import pretrain
from expunge.ensembles.shards import vote
from expunge.ensembles.stored_margins import EnsembleMargins
from expunge.methods.put_back import PutBack, joined, put_back
from expunge.metrics import Reference, Row
from expunge.reports.boards import boards
from expunge.suites import Suite
from tests.reports.synthetic import scores

MODELS = 10


@pytest.fixture(scope="module")
def reference(suite: Suite) -> Reference:
    return reference_of(suite, suite.forget_sets["random-50"], MODELS, MODELS)


def epochs(reference: Reference, *falls: float | ndarray, told: PutBack | None = None) -> list[Row]:
    """A row whose margins fell after each epoch by so much, of each model or of all."""
    given = reference.untouched
    assert given is not None
    row = identity_row(reference.suite, reference.forget, given)
    row = replace(row, method="mine", config={"lr": 0.1}, put_back=told)
    return [
        replace(row, margins=EnsembleMargins(given.values - np.asarray(fall).reshape(-1, 1), None, given.origin, "cpu"))
        for fall in falls
    ]


ONE = np.eye(MODELS)[3]
CAUSES: dict[str, tuple[list[float | ndarray], PutBack | None, str]] = {
    "statistics": (
        [20.0],
        PutBack(4.0, 0.1),
        "likely cause: statistics of BatchNorm: with those of the given",
    ),
    "statistics are not all": ([20.0], PutBack(4.0, 3.9), "likely cause: learning rate"),
    "a model": ([30 * ONE], None, "likely cause: outliers: 1 of 10 models has 100% of the rise of the loss on retain"),
    "rate": ([20.0, 25.0], None, "likely cause: learning rate: the loss on retain rose from the first epoch, from "),
    "later": ([0.0, 0.0, 25.0], None, ""),
    "nothing": ([0.0], None, ""),
}


@pytest.mark.parametrize("cause", CAUSES)
def test_the_cause_that_explains_most_of_the_rise_is_named(cause: str, reference: Reference) -> None:
    falls, told, line = CAUSES[cause]
    found = likely_cause(epochs(reference, *falls, told=told), reference)
    assert found.startswith(line)
    assert bool(found) == bool(line)


def test_what_a_certificate_adds_is_no_learning_rate(reference: Reference) -> None:
    config = {"lr": 0.1, "epsilon": 0.5}
    own, certified = (
        [replace(row, method=name, config=config) for row in epochs(reference, 20.0)] for name in ("mine", "dp-sgd")
    )
    assert likely_cause(own, reference).startswith("likely cause: learning rate")
    found = likely_cause(certified, reference)
    assert found.startswith(
        "likely cause: certificate: the noise or clipping that it asks for at epsilon 0.5; the loss"
    )


def test_nothing_is_put_back_into_models_that_are_built_otherwise(suite: Suite) -> None:
    before = pretrain(suite, models=2)
    votes = vote([before, before], before.origin)
    assert put_back(before, votes, suite.data.train, suite.target) is None


def test_statistics_are_put_back_and_nothing_else(suite: Suite) -> None:
    before = pretrain(suite, 2, first=100)
    after, retain = before.copy(), suite.split(suite.forget_sets["random-50"]).retain
    assert put_back(before, after, retain, suite.target) is None
    with torch.no_grad():
        for name, tensor in after.network.named_buffers():
            if name.endswith("running_mean"):
                tensor.add_(5)
    told = put_back(before, after, retain, suite.target)
    assert told
    assert told.after > 1 > 0.1 > told.back


def test_of_groups_of_models_the_losses_are_means() -> None:
    assert joined([PutBack(1, 0), PutBack(4, 3)], [2, 1]) == PutBack(2, 1)
    assert joined([PutBack(1, 0), None], [2, 1]) is None


def test_a_row_that_breaks_the_model_says_it_and_others_do_not() -> None:
    found = scores("random-50")
    names = dict.fromkeys(each.subject.method for each in found)
    own = {name: [each for each in found if each.subject.method == name and each.status == "ok"] for name in names}
    own = {name: each for name, each in own.items() if each}
    told = with_causes(own, dict.fromkeys(own, "likely cause: so"))
    broken = {line.row.method for line in boards(found)[0].lines if line.reading == "breaks the model"}
    assert broken
    assert {name for name, each in told.items() if any(score.reason for score in each)} == broken
    [board] = boards([score for each in told.values() for score in each])
    notes = {line.row.method: line.note for line in board.lines if line.note.startswith("breaks")}
    assert notes == dict.fromkeys(broken, "breaks the model, likely cause: so")


def test_a_loss_is_told_in_as_many_digits_as_are_read() -> None:
    assert [_nats(loss) for loss in (0.00142, 2.345, 99.4, 99.6, 1234.5, 3.02e22)] == [
        "0.0014",
        "2.3",
        "99",
        "100",
        "1,234",
        "3e+22",
    ]
