"""Fixed batches: neighbours stay together in every epoch, and the order of the batches is each model's own."""

import torch

from expunge.ensembles.seeds import Generators
from expunge.ensembles.train import epoch_order, minibatches
from expunge.suites import Recipe

FIXED = Recipe(epochs=1, batch_size=4, lr=0.1, batches="fixed")


def batches(n: int, seed: int = 0) -> list[list[list[int]]]:
    """Of each of three models the batches of one epoch."""
    parts = minibatches(epoch_order(FIXED, n, Generators([seed, seed + 1, seed + 2])), FIXED.batch_size)
    return [[part[model].tolist() for part in parts] for model in range(3)]


def test_every_batch_is_a_run_of_neighbours_and_every_example_is_seen_once() -> None:
    for each in batches(20):
        assert sorted(each) == [list(range(start, start + 4)) for start in range(0, 20, 4)]


def test_the_order_of_the_batches_is_drawn_for_each_model_and_epoch() -> None:
    first, second = batches(80), batches(80, seed=7)
    assert first[0] != first[1] != first[2]
    assert first[0] != second[0]
    assert first[0][0] != [0, 1, 2, 3] or first[1][0] != [0, 1, 2, 3]


def test_what_is_left_over_comes_last_for_all_models() -> None:
    for each in batches(11):
        assert each[-1] == [8, 9, 10]


def test_a_single_example_left_over_joins_the_last_batch() -> None:
    for each in batches(9):
        assert each[-1][-1] == 8
        assert sorted(example for batch in each for example in batch) == list(range(9))


def test_fewer_examples_than_a_batch_are_one_batch() -> None:
    assert batches(3) == [[[0, 1, 2]]] * 3


def test_shuffled_batches_are_as_they_were() -> None:
    shuffled = Recipe(epochs=1, batch_size=4, lr=0.1)
    assert torch.equal(epoch_order(shuffled, 20, Generators([3])), Generators([3]).permutation(20))


def test_the_digest_of_a_recipe_with_shuffled_batches_does_not_speak_of_them() -> None:
    assert "batches" not in Recipe(epochs=1, batch_size=4, lr=0.1).facts
    assert FIXED.facts["batches"] == "fixed"
