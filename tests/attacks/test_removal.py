"""Requests are served: every method on every request, and what each is compared with."""

from pathlib import Path

import numpy as np
import pytest
import torch

from expunge.attacks.removal import RETRAINING, Attacked, Removal, build_own, serve, starts_from, tasks_of
from expunge.ensembles import Plan, pretrain, read_margins
from expunge.ensembles.pretraining import read_weights
from expunge.ensembles.seeds import Generators
from expunge.ensembles.train import epoch_order, minibatches
from expunge.ensembles.update_log import TRAINED, UPDATES
from expunge.errors import BadSetting
from expunge.methods.task import unlearned_models
from expunge.store import at_store
from tests.attacks.small import MODELS, attacked

METHODS = (Attacked("gradient-ascent"), Attacked("amnesiac", {"epochs": 0}), Attacked("amnesiac"), Attacked("sisa"))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("attacked")


@pytest.fixture(scope="module")
def served(store: Path) -> list[Removal]:
    with at_store(store), pytest.MonkeyPatch.context() as patch:
        patch.setenv("EXPUNGE_DEVICE", "cpu")
        return serve([attacked("shuffled"), attacked("dedicated")], METHODS, MODELS)


@pytest.fixture(autouse=True)
def in_store(own_store: Path, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was served once is read by all tests."""
    monkeypatch.setenv("EXPUNGE_STORE", str(store))


def test_every_method_serves_every_request_beside_retraining(served: list[Removal]) -> None:
    found = {(each.batching, each.request, each.label) for each in served}
    labels = [RETRAINING, "gradient-ascent", "amnesiac, epochs=0", "amnesiac", "sisa"]
    expected = {(b, r, label) for b in ("shuffled", "dedicated") for r in ("attack", "random") for label in labels}
    assert found == expected
    assert len(served) == len(expected)
    assert not [each.reason for each in served if each.reason]


def test_what_is_before_is_what_the_method_starts_from(served: list[Removal]) -> None:
    injection = attacked("shuffled")
    test = np.arange(200, 260)
    for each in served:
        if each.batching == "shuffled" and each.request == "attack":
            votes = Plan(injection.suite, "sharded", settings=(("shards", 3), ("slices", 2)))
            plan = votes if each.label == "sisa" else Plan(injection.suite, "pretrained")
            margins = read_margins(plan, 0, MODELS)
            assert margins.correct is not None
            assert np.allclose(each.before, margins.correct[:, test].mean(axis=1))


def test_retraining_is_the_held_out_oracles_of_that_very_request(served: list[Removal]) -> None:
    injection = attacked("dedicated")
    for name, forget in injection.requests.items():
        (found,) = [
            each for each in served if (each.batching, each.request, each.label) == ("dedicated", name, RETRAINING)
        ]
        oracles = read_margins(Plan(injection.suite, "oracle", forget), MODELS, MODELS)
        assert oracles.correct is not None
        assert found.after is not None
        assert np.allclose(found.after, oracles.correct[:, 200:].mean(axis=1))
        assert not found.paired


def test_amnesiac_removal_in_dedicated_batches_subtracts_the_logged_updates_to_the_bit() -> None:
    injection = attacked("dedicated")
    ((task, _, _),) = tasks_of(injection, [Attacked("amnesiac", {"epochs": 0})], {"attack": injection.attack}, 0)
    plan = starts_from(task)
    assert plan is not None
    build_own([task], MODELS)
    kept = read_weights(plan, range(MODELS))
    made = unlearned_models(task, range(MODELS)).state()
    for key, tensor in made.items():
        assert torch.equal(tensor, kept[TRAINED + key] - kept[UPDATES + key])
    before = pretrain(injection.suite, MODELS).state()
    assert all(torch.equal(before[key], kept[TRAINED + key]) for key in before)


def test_in_dedicated_batches_one_update_an_epoch_is_taken_back() -> None:
    """The whole set is one batch: the steps that met it are as many as there are epochs, in shuffled batches more."""
    for batching, fewest, most in (("dedicated", 8, 8), ("shuffled", 30, 80)):
        injection = attacked(batching)  # type: ignore[arg-type]
        suite, met = injection.suite, 0
        generators = Generators([0])
        forgotten = torch.zeros(200, dtype=torch.bool)
        forgotten[torch.as_tensor(injection.attack.indices)] = True
        for _ in range(suite.recipe.epochs):
            order = epoch_order(suite.recipe, 200, generators)
            met += sum(bool(forgotten[part].any()) for part in minibatches(order, suite.recipe.batch_size))
        assert fewest <= met <= most


def test_a_method_that_makes_no_models_or_is_unknown_is_refused() -> None:
    injection = attacked()
    with pytest.raises(ValueError, match="unknown method 'amnesic'; did you mean 'amnesiac'"):
        tasks_of(injection, [Attacked("amnesic")], injection.requests, 0)
    with pytest.raises(BadSetting, match="amnesiac: epochs must be at least 0"):
        tasks_of(injection, [Attacked("amnesiac", {"epochs": -1})], injection.requests, 0)
