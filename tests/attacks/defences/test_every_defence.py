"""What holds for every row of the table, on pictures and on a table."""

from collections.abc import Sequence
from functools import cache

import numpy as np
import pytest
import torch
from numpy import ndarray

from expunge.attacks.defence import Defence, Scene
from expunge.attacks.defences import DEFENCES
from expunge.attacks.detection import detection
from expunge.ensembles import Ensemble, pretrain
from expunge.errors import BadSetting
from expunge.methods.parts.curvature import gradient_sum
from expunge.methods.parts.per_sample import flat_weights, with_weights
from expunge.suites import Examples, Request, load_suite
from tests.attacks.defences.scenes import blobs, request_of, scene_of

REQUESTS = 240
SUITES = ("digits", "tabular")
LOOKING = [name for name, row in DEFENCES.items() if row.practice is None]
WITHOUT_MODEL = {"pixel-range", "pixel-grid", "duplicates", "isolated", "membership", "owner-cap"}


@cache
def suspicions(name: str, suite: str) -> ndarray:
    """Of all requests, computed once for all tests."""
    return DEFENCES[name].suspicion(honest_scene(suite))


@cache
def honest_scene(name: str) -> Scene:
    """Two trained models, and owners who each ask for five records drawn at random."""
    suite = load_suite(name)
    victims, rng = pretrain(suite, 2, first=100), np.random.default_rng(0)
    drawn = [np.sort(rng.choice(suite.data.sizes[0], 5, replace=False)) for _ in range(REQUESTS)]

    def remove(request: Request) -> Ensemble:
        gradients = gradient_sum(victims, request.examples)
        return with_weights(victims, flat_weights(victims) + 0.3 * gradients)

    requests = [request_of(suite.data.train, indices) for indices in drawn]
    return Scene(suite, victims, requests, remove, np.arange(100))


@pytest.mark.parametrize("name", DEFENCES)
def test_says_in_words_what_it_does_costs_and_comes_from(name: str) -> None:
    defence = DEFENCES[name]
    for text in (defence.summary, defence.price, defence.source):
        assert len(text) > 20
        assert not any(mark in text.lower() for mark in ("todo", "...", "xxx", "tbd", "?"))
    assert [defence.records, defence.requests, defence.practice].count(None) == 2
    practice = "release" if defence.practice and defence.practice.tells else "serving"
    assert defence.when == (practice if defence.practice else "training" if defence.records else "request")
    assert defence.module.startswith("expunge.attacks.defences.")


def test_no_two_say_the_same() -> None:
    assert len({defence.summary for defence in DEFENCES.values()}) == len(DEFENCES)


@pytest.mark.parametrize("suite_name", SUITES)
@pytest.mark.parametrize("name", LOOKING)
def test_gives_finite_suspicions_of_the_promised_shape(name: str, suite_name: str) -> None:
    defence, scene = DEFENCES[name], honest_scene(suite_name)
    rows = 1 if name in WITHOUT_MODEL else 2
    found = suspicions(name, suite_name)
    assert found.shape == (rows, REQUESTS)
    assert np.isfinite(found).all()
    if defence.records:
        each = defence.records(scene)
        assert each.shape == (rows, scene.suite.data.sizes[0])
        assert np.isfinite(each).all()


@pytest.mark.parametrize("suite_name", SUITES)
@pytest.mark.parametrize("name", LOOKING)
def test_tells_no_honest_request_from_another(name: str, suite_name: str) -> None:
    found = suspicions(name, suite_name)
    shuffled = np.random.default_rng(1).permutation(REQUESTS)
    half = detection(found[:, shuffled[:120]], found[:, shuffled[120:]])
    assert abs(half.auroc.value - 0.5) < 0.12
    assert half.tpr.value < 0.06


@pytest.mark.parametrize("name", LOOKING)
def test_says_the_same_each_time_and_leaves_the_models_as_they_are(name: str) -> None:
    scene = honest_scene("tabular")
    before = {key: value.clone() for key, value in scene.victims.state().items()}
    first, second = (DEFENCES[name].suspicion(few(scene, 20)) for _ in range(2))
    assert np.array_equal(first, second)
    assert all(value.equal(before[key]) for key, value in scene.victims.state().items())
    assert not scene.victims.training


@pytest.mark.parametrize("name", sorted(set(LOOKING) - WITHOUT_MODEL))
def test_a_model_is_judged_alike_whatever_stands_beside_it(name: str) -> None:
    scene = few(honest_scene("digits"), 3)
    second = scene.victims.take([1]).eval()
    alone = Scene(
        scene.suite, second, scene.requests, lambda request: scene.remove(request).take([1]), scene.validation
    )
    np.testing.assert_allclose(
        DEFENCES[name].suspicion(alone)[0], DEFENCES[name].suspicion(scene)[1], rtol=1e-4, atol=1e-6
    )


def few(scene: Scene, requests: int) -> Scene:
    return Scene(scene.suite, scene.victims, scene.requests[:requests], scene.remove, scene.validation)


def suspicion_of(each: ndarray, requests: Sequence[Request]) -> ndarray:
    defence = Defence(summary="", when="training", price="", source="", records=lambda scene: each)
    return defence.suspicion(scene_of(blobs(60), requests=requests))


def test_a_request_is_as_suspicious_as_its_records_on_average() -> None:
    requests = [request_of(blobs(60), [0, 4]), request_of(blobs(60), [7])]
    each = np.arange(120.0).reshape(2, 60)
    assert suspicion_of(each, requests).tolist() == [[2.0, 7.0], [62.0, 67.0]]


@pytest.mark.parametrize("index", [-1, 60])
def test_a_claim_that_names_no_record_is_refused_at_training_time(index: int) -> None:
    request = Request(Examples(torch.zeros(1, 6), torch.zeros(1, dtype=torch.int64)), np.array([index]), "ann")
    with pytest.raises(BadSetting, match="ann: expected indices 0 to 59"):
        suspicion_of(np.zeros((1, 60)), [request])
