"""Values outside the range of pictures, and between their levels; and data that have neither range nor levels."""

import numpy as np
import pytest
import torch
from torch import Tensor

from expunge import Suite
from expunge.attacks.defences.brightness import brightness
from expunge.attacks.defences.pixel_grid import pixel_grid
from expunge.attacks.defences.pixel_range import pixel_range
from expunge.suites import load_suite
from expunge.suites.pictures import scaled

MEAN, STD = (0.5, 0.4), (0.2, 0.3)


def pictures(levels: int = 255, n: int = 200) -> Tensor:
    """Of random grey levels, in each black and white somewhere."""
    drawn = np.random.default_rng(0).integers(levels + 1, size=(n, 2, 6, 6))
    drawn[:, :, 0, 0], drawn[:, :, 0, 1] = 0, levels
    return torch.tensor(drawn / levels, dtype=torch.float32)


def standardised() -> Tensor:
    drawn = (pictures() * 255).round().byte().numpy()
    return scaled(drawn, MEAN, STD)


def test_a_value_outside_is_suspicious_by_how_far_it_lies_outside() -> None:
    x = pictures()
    x[3, 0, 2, 2], x[4, 1, 3, 3], x[5, 0, 1, 1] = 1.25, -0.5, 1.0001
    found = pixel_range(x)
    np.testing.assert_allclose(found[[3, 4]], [0.25, 0.5])
    assert not np.delete(found, [3, 4]).any()  # what is less than rounding to 8 bits is none


@pytest.mark.parametrize("levels", [1, 16, 255])
def test_values_between_the_levels_are_suspicious_by_their_share(levels: int) -> None:
    x = pictures(levels)
    x[7, 0] = (x[7, 0] + 0.4 / levels).clamp(max=1 - 0.4 / levels)
    found = pixel_grid(x)
    assert found[7] == 0.5
    assert not np.delete(found, 7).any()


def test_the_grid_is_the_coarsest() -> None:
    """A value in the middle of two of 16 levels is no level, though it is one of 32."""
    x = pictures(16)
    x[7, 0, 2, 2] = 5.5 / 16
    assert pixel_grid(x)[7] == 1 / 72


def test_many_attacked_records_do_not_make_a_grid_of_their_own() -> None:
    x = pictures()
    x[:15] = torch.rand(15, 2, 6, 6, generator=torch.Generator().manual_seed(0))
    found = pixel_grid(x)
    assert found[:15].min() > 0.9
    assert not found[15:].any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_standardised_pictures_have_range_and_levels_too(dtype: torch.dtype) -> None:
    x = standardised()
    middle = (0.5 / 255 + 100 / 255 - MEAN[0]) / STD[0]
    x[3, 0, 2, 2], x[4, 0, 2] = (1.25 - MEAN[0]) / STD[0], middle
    x = x.to(dtype)
    outside, between = pixel_range(x), pixel_grid(x)
    np.testing.assert_allclose(outside[3], 0.25, atol=2e-3)
    assert not np.delete(outside, 3).any()
    assert between[4] == 6 / 72
    assert not np.delete(between, [3, 4]).any()


def test_brightness_of_standardised_pictures_is_what_they_were() -> None:
    found = brightness(standardised())
    assert found is not None
    torch.testing.assert_close(found, pictures().flatten(1), rtol=0, atol=1e-6)


def test_what_a_few_pictures_share_beyond_the_ends_is_no_end() -> None:
    x = standardised()
    x[:3, 0, 2, 2], x[:3, 1, 2, 2] = 9.0, -9.0
    found = pixel_range(x)
    assert found[:3].min() > 1
    assert not found[3:].any()


def test_tables_have_neither() -> None:
    x = load_suite("tabular").data.train.x
    assert brightness(x) is None
    assert not pixel_range(x).any()
    assert not pixel_grid(x).any()


def test_continuous_pictures_have_no_levels_and_no_ends() -> None:
    noise = torch.randn(200, 2, 6, 6, generator=torch.Generator().manual_seed(0))
    assert brightness(noise) is None
    assert not pixel_grid(noise.sigmoid()).any()


def test_no_digit_is_suspected(suite: Suite) -> None:
    x = suite.data.train.x
    assert not pixel_range(x).any()
    assert not pixel_grid(x).any()
    changed = x.clone()
    changed[5] += 0.01
    assert pixel_grid(changed)[5] == 1.0
