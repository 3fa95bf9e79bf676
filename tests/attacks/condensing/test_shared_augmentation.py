"""Augmentations: one draw changes a whole batch alike, within its limits, and lets gradients through."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from expunge.attacks.condensing.distribution_matching import discrepancy
from expunge.attacks.condensing.shared_augmentation import (
    TRANSFORMS,
    Augmentation,
    apply,
    apply_each,
    draw,
    names_of,
)
from expunge.suites import Data, Examples, Suite
from tests.attacks.condensing.small import material, pictures, table

SHAPE = (3, 8, 8)
NAMES = sorted(TRANSFORMS)


def batch(size: int = 4) -> torch.Tensor:
    return torch.randn(size, *SHAPE, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def drawn(name: str, seed: int) -> Augmentation:
    return draw([name], np.random.default_rng(seed), SHAPE)


@pytest.mark.parametrize("name", NAMES)
def test_every_example_of_a_batch_is_changed_alike(name: str) -> None:
    x = batch(1).expand(4, *SHAPE)
    for seed in range(20):
        changed = apply(drawn(name, seed), x)
        assert changed.shape == x.shape
        torch.testing.assert_close(changed, changed[:1].expand_as(changed))


@pytest.mark.parametrize("name", NAMES)
def test_an_example_is_changed_the_same_whatever_stands_beside_it(name: str) -> None:
    x = batch()
    for seed in range(20):
        torch.testing.assert_close(apply(drawn(name, seed), x)[1:2], apply(drawn(name, seed), x[1:2]))


@pytest.mark.parametrize("name", NAMES)
def test_gradients_pass(name: str) -> None:
    x = batch(2).requires_grad_()
    for seed in range(4):
        assert torch.autograd.gradcheck(lambda x, seed=seed: apply(drawn(name, seed), x), [x], fast_mode=True)


@pytest.mark.parametrize("name", NAMES)
def test_draws_differ_and_the_same_seed_draws_the_same(name: str) -> None:
    values = {drawn(name, seed).values for seed in range(20)}
    assert len(values) > 1
    assert drawn(name, 0) == drawn(name, 0)


def test_each_name_is_drawn_and_none_without_names() -> None:
    rng = np.random.default_rng(0)
    assert {draw(NAMES, rng, SHAPE).name for _ in range(200)} == set(NAMES)
    assert draw([], rng, SHAPE) == Augmentation("none")
    assert apply(Augmentation("none"), x := batch()) is x


def test_no_turn_and_no_scale_change_nothing() -> None:
    x = batch()
    for same in (Augmentation("rotate", (0.0,)), Augmentation("scale", (1.0, 1.0)), Augmentation("crop", (0.0, 0.0))):
        torch.testing.assert_close(apply(same, x), x)


def test_a_flip_and_a_move_are_what_they_say() -> None:
    x = batch()
    assert torch.equal(apply(Augmentation("flip", (1.0,)), x), x.flip(-1))
    moved = apply(Augmentation("crop", (1.0, -1.0)), x)
    assert torch.equal(moved[..., 1:, :-1], x[..., :-1, 1:])
    assert not moved[..., 0, :].any()
    assert not moved[..., -1].any()


def test_a_quarter_turn_is_a_quarter_turn() -> None:
    x = batch()
    torch.testing.assert_close(apply(Augmentation("rotate", (np.pi / 2,)), x), x.rot90(1, (2, 3)))


def test_the_hole_of_a_cutout_is_half_as_wide_or_less_at_the_edge() -> None:
    x = torch.ones(1, *SHAPE)
    sizes = {int((apply(drawn("cutout", seed), x)[0, 0] == 0).sum()) for seed in range(200)}
    assert max(sizes) == 16
    assert min(sizes) == 4


def test_colours_keep_the_centre_but_for_brightness() -> None:
    x = batch()
    for seed in range(5):
        change = drawn("colour", seed)
        torch.testing.assert_close(apply(change, x).mean((1, 2, 3)), x.mean((1, 2, 3)) + change.values[0])
    assert torch.equal(apply(Augmentation("colour", (0.0, 1.0, 1.0)), x).round(decimals=12), x.round(decimals=12))


def test_each_seed_has_its_own() -> None:
    x = batch().expand(2, 4, *SHAPE)
    changes = [drawn("crop", 0), drawn("cutout", 1)]
    found = apply_each(changes, x)
    assert torch.equal(found[0], apply(changes[0], x[0]))
    assert torch.equal(found[1], apply(changes[1], x[1]))


def test_a_set_is_at_no_distance_from_itself_under_one_draw_but_is_under_two() -> None:
    task = material(pictures(torch.float64), (0,))
    real, weights = task.batch(), task.weights()
    one, other = (draw(["crop"], np.random.default_rng(seed), (1, 8, 8)) for seed in (0, 3))
    assert one != other

    def distance(of_real: Augmentation, of_synthetic: Augmentation) -> float:
        changed = [
            apply(each, real[0].flatten(0, 1)).unflatten(0, real.shape[1:3])[None] for each in (of_real, of_synthetic)
        ]
        return discrepancy(task.embeddings(0), changed[0], weights, changed[1]).item()

    assert distance(one, one) == pytest.approx(0, abs=1e-20)
    assert distance(one, other) > 1e-3


def colourful(suite: Suite) -> Suite:
    def three(examples: Examples) -> Examples:
        return Examples(examples.x.expand(-1, 3, -1, -1), examples.y)

    return replace(suite, data=Data(three(suite.data.train), three(suite.data.test), suite.data.classes))


def test_auto_is_what_fits_the_data() -> None:
    grey = pictures()
    assert names_of("auto", grey) == ("crop", "scale", "rotate", "cutout")
    flips = replace(grey, recipe=replace(grey.recipe, augment="flip"))
    assert names_of("auto", flips)[0] == "flip"
    assert names_of("auto", colourful(grey))[-1] == "colour"
    assert names_of("auto", table()) == names_of("none", grey) == ()
    assert names_of("crop flip", grey) == ("crop", "flip")
