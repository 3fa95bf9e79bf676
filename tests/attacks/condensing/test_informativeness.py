"""What examples teach by themselves: counted on test examples, by models that each have their own."""

import numpy as np
import pytest
import torch

from expunge.attacks.condensing.condense import condense
from expunge.attacks.condensing.informativeness import STEPS, _recipe, informativeness, trained_alone
from expunge.errors import BadSetting
from expunge.suites import Examples, Recipe, Suite
from tests.attacks.condensing.small import CLASSES, config, pictures, table


@pytest.fixture(scope="module")
def small() -> Suite:
    return pictures()


def test_good_examples_teach_and_wrong_labels_do_not(small: Suite) -> None:
    rows = small.data.train.take(np.arange(0, 72, 6))
    wrong = Examples(rows.x, (rows.y + 1) % CLASSES)
    right = trained_alone(small, rows, "suite", 3, passes=40)
    assert right.shape == (3,)
    assert right.min() > 0.8
    assert trained_alone(small, wrong, "suite", 3, passes=40).max() < 0.2


def test_each_model_has_its_own_examples_and_does_not_see_the_others(small: Suite) -> None:
    rows = small.data.train.take(np.arange(0, 72, 6))
    wrong = Examples(rows.x, (rows.y + 1) % CLASSES)
    found = trained_alone(small, [rows, wrong, rows], "suite", 3, passes=40)
    assert found[1] < 0.2 < 0.8 < min(found[0], found[2])
    np.testing.assert_allclose(found[0], trained_alone(small, rows, "suite", 1, passes=40)[0])


def test_networks_take_300_steps_or_the_recipe_s_own() -> None:
    recipe = Recipe(epochs=15, batch_size=64, lr=0.1, augment="flip", prune="omp:0.5")
    assert _recipe(recipe, 100, None).epochs == STEPS // 2
    assert _recipe(recipe, 10, None).epochs == STEPS
    assert _recipe(recipe, 64 * 100, None).epochs == 15
    assert _recipe(recipe, 10, 7).epochs == 7
    assert (_recipe(recipe, 10, 7).augment, _recipe(recipe, 10, 7).prune) == ("none", "")


def test_condensed_examples_stand_beside_as_many_real_ones(small: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    from expunge.attacks.condensing import informativeness as module

    asked: list[list[Examples]] = []

    def noted(suite: Suite, examples: list[Examples], network: str, models: int, seed: int) -> np.ndarray:
        asked.append(examples)
        return np.zeros(models)

    monkeypatch.setattr(module, "trained_alone", noted)
    sets = condense(small, config(iterations=1), [0, 1])
    found = informativeness(small, sets, 4)
    assert list(found) == ["suite", "convnet"]
    taught, real = asked[:2]
    assert [each is sets[model % 2].examples for model, each in enumerate(taught)] == [True] * 4
    assert all(torch.equal(each.y, taught[0].y) for each in real)
    assert all(not torch.equal(one.x, other.x) for row, one in enumerate(real) for other in real[:row])


def test_tables_are_judged_by_a_perceptron_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("expunge.attacks.condensing.informativeness.STEPS", 20)
    suite = table()
    [found] = condense(suite, config(pixels="free", embedding="perceptron", images=1, iterations=1))
    judged = informativeness(suite, found, 2)
    assert list(judged) == ["suite", "perceptron"]
    assert all(0 <= share <= 1 for pair in judged.values() for each in pair for share in each)


def test_every_model_needs_as_many_examples(small: Suite) -> None:
    rows = small.data.train
    with pytest.raises(BadSetting, match=r"as many examples for each of 2 models, at least one, got \[4, 5\]"):
        trained_alone(small, [rows.take(np.arange(4)), rows.take(np.arange(5))], "suite", 2)
    with pytest.raises(BadSetting, match="each of 2 models"):
        trained_alone(small, [rows.take(np.arange(4))], "suite", 2)
