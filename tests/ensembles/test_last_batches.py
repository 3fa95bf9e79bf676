"""A last minibatch of a few examples with BatchNorm is told of before ensembles are trained."""

from dataclasses import replace

import numpy as np
import pytest
from torch import nn

from expunge.bench.rebuild import rebuild
from expunge.ensembles import pretrain, retrain
from expunge.ensembles.last_batches import last_batch, sound_size
from expunge.suites import ForgetSets, Suite


def normed() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 10))


def suite_of(tiny: Suite, batch_size: int, forget: int = 10) -> Suite:
    """200 training examples."""
    recipe = replace(tiny.recipe, batch_size=batch_size, epochs=1)
    sets = ForgetSets({"first": np.arange(forget)})
    return replace(tiny, name="normed", network=normed, recipe=recipe, forget_sets=sets, models=3, chunk=3)


def said_of(suite: Suite) -> list[str]:
    said: list[str] = []
    rebuild(suite, say=said.append)
    return said


def test_few_examples_in_a_last_batch_are_told_of_once_with_the_nearest_sound_size(tiny_suite: Suite) -> None:
    (line,) = said_of(suite_of(tiny_suite, 66))  # 200 = 3 x 66 + 2
    assert "with a batch size of 66 the last minibatch of pretrained, 200 examples, has 2" in line
    assert line.endswith(f"the nearest sound one is {sound_size([200, 190], 66)}")
    assert "\n" not in line


def test_oracles_whose_last_batch_has_few_are_named(tiny_suite: Suite) -> None:
    (line,) = said_of(suite_of(tiny_suite, 47))  # 190 = 4 x 47 + 2, 200 = 4 x 47 + 12
    assert "the last minibatch of oracle first, 190 examples, has 2" in line


def test_sound_batches_and_networks_without_batchnorm_are_not_told_of(tiny_suite: Suite) -> None:
    assert said_of(suite_of(tiny_suite, 50)) == []
    assert said_of(replace(suite_of(tiny_suite, 66), network=tiny_suite.network)) == []


def test_what_trains_in_python_warns_and_what_is_in_the_store_does_not(tiny_suite: Suite) -> None:
    suite = suite_of(tiny_suite, 66)
    with pytest.warns(UserWarning, match="nearest sound one"):
        pretrain(suite, 3)
    with pytest.warns(UserWarning, match="nearest sound one"):
        retrain(suite, "first", 3)
    pretrain(suite, 3)
    retrain(suite, "first", 3)


@pytest.mark.parametrize(("counts", "size"), [([450, 400], 32), ([200, 190], 66), ([101, 7], 32)])
def test_the_sound_size_is_sound_and_the_nearest(counts: list[int], size: int) -> None:
    def is_sound(size: int) -> bool:
        return all(last_batch(each, size) >= min(8, size / 4) for each in counts)

    found = sound_size(counts, size)
    assert found is not None
    assert is_sound(found)
    assert not [each for each in range(2, min(counts)) if abs(each - size) < abs(found - size) and is_sound(each)]
