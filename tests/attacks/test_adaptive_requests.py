"""Adaptive requests: what the second owner asks for, what the observer sees by hand, what tells and what does not."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from expunge.attacks import ATTACKS
from expunge.attacks.adaptive_requests import (
    READ,
    AdaptiveRequests,
    Owner,
    Secrets,
    check,
    class_margins,
    measure,
    secrets_of,
)
from expunge.attacks.lab.arms import ATTACK, HONEST, NO_REQUEST, ORACLE, Played
from expunge.attacks.lab.cells import play_on
from expunge.attacks.lab.provider import Provider
from expunge.attacks.removal import Attacked
from expunge.ensembles.pretraining import pretrain
from expunge.errors import BadSetting
from expunge.suites import Data
from tests.attacks.small import small

NAME, MODELS = "adaptive-requests", 6
CONFIG = AdaptiveRequests(models=MODELS, budget=12, owned=0.7, shadows=3, reads="record")


def provider() -> Provider:
    return Provider(small(), CONFIG.methods[0], range(MODELS))


@cache
def played(reads: str) -> Played:
    config = replace(CONFIG, reads=reads)
    return play_on(NAME, ATTACKS[NAME], small(), config, config.methods[0], range(MODELS))


def test_secrets_are_two_records_of_different_classes_that_are_not_the_second_owners() -> None:
    found, labels = secrets_of(provider(), CONFIG), small().data.train.y.numpy()
    for pair, own, fixed in zip(found.pairs, found.owned, found.fixed, strict=True):
        assert labels[pair[0]] != labels[pair[1]]
        assert not set(pair) & set(own)
        assert set(fixed.indices) <= set(own)
    assert set(found.gone) == {0, 1}


def test_the_second_owner_asks_for_its_own_records_of_the_class_that_it_believes_gone() -> None:
    suite, found = small(), secrets_of(provider(), CONFIG)
    models, labels = provider().victims, suite.data.train.y.numpy()
    asked = Owner(suite, CONFIG, found).ask(models, models)
    for request, own, rows in zip(asked, found.owned, found.first, strict=True):
        assert set(request.indices) <= set(own)
        wanted = labels[rows[0]]
        assert (labels[request.indices] == wanted).sum() == min(CONFIG.budget, (labels[own] == wanted).sum())


def test_where_releases_are_alike_it_believes_the_first_record_gone() -> None:
    models = provider().victims
    owner = Owner(small(), replace(CONFIG, reads="releases"), secrets_of(provider(), CONFIG))
    owner.ask(models, models)
    assert owner.read == [0] * MODELS


def test_the_observer_names_the_class_that_is_furthest_below_what_is_usual() -> None:
    suite = small()
    labels, models = suite.data.train.y.numpy(), pretrain(suite, 2)
    pair = np.array([int(np.flatnonzero(labels == 3)[0]), int(np.flatnonzero(labels == 5)[0])])
    secrets = Secrets(np.stack([pair, pair]), np.array([0, 1]), np.zeros((2, 1), int), [])
    usual = class_margins(suite, models).min(0)
    usual[3] += 1000.0  # both models are far below what is usual on class 3
    found = measure(suite, secrets, usual, None, models, models)
    assert found.success.tolist() == [1.0, 0.0]
    assert found.more[READ].tolist() == [0.5, 0.5]


def test_margins_are_means_over_the_test_examples_of_a_class() -> None:
    suite = small()
    models = pretrain(suite, 2)
    margins = models.margins(suite.data)[:, suite.data.sizes[0] :].astype(np.float64)
    test = suite.data.test.y.numpy()
    np.testing.assert_allclose(class_margins(suite, models)[:, 4], margins[:, test == 4].mean(1), rtol=1e-6)


def test_exact_removal_does_not_help_against_requests_that_answer_what_was_removed() -> None:
    arms = played("record").arms
    exact, fixed = (arms[name].success for name in (ORACLE, HONEST))
    assert exact is not None
    assert fixed is not None
    assert (exact == 1).all()
    assert fixed.mean() < 1
    assert (arms[ORACLE].more[READ] == 1).all()


def test_both_requests_are_paid_for() -> None:
    arms = played("releases").arms
    spent = [arms[name].cost for name in (NO_REQUEST, ATTACK)]
    assert spent[0] is not None
    assert spent[1] is not None
    epochs = small().recipe.epochs  # of a retraining on what is left: 199 records, then 187
    np.testing.assert_allclose(spent[0], 1 / (199 * epochs))
    np.testing.assert_allclose(spent[1], 1 / (199 * epochs) + 12 / (187 * epochs))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"budget": 0}, "expected a budget of 1 to 140 records"),
        ({"owned": 1.0}, "expected owned to be a share"),
        ({"shadows": 7}, "give --set shadows=N"),
        ({"methods": (Attacked("sisa"),)}, "'sisa' takes back at once all that was ever asked for"),
    ],
)
def test_what_cannot_be_is_refused_with_what_mends_it(changed: dict[str, object], message: str) -> None:
    with pytest.raises(BadSetting, match=message):
        check(small(), replace(CONFIG, **changed))  # type: ignore[arg-type]


def test_a_class_that_no_test_example_has_is_refused() -> None:
    suite = small()
    test = suite.data.test.take(np.flatnonzero(suite.data.test.y.numpy() != 7))
    lacking = replace(suite, data=Data(suite.data.train, test, classes=10))
    with pytest.raises(BadSetting, match="no test examples of class 7, by which an observer"):
        check(lacking, CONFIG)


def test_a_reader_that_it_does_not_know_is_refused() -> None:
    with pytest.raises(ValueError, match="reads must be one of releases, record"):
        AdaptiveRequests(reads="minds")
