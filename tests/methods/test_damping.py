"""Dampened weights and noise on weights: what their equations leave open."""

import math

import numpy as np
import pytest
import torch

from expunge.methods import METHODS
from expunge.methods.assd import percentile
from expunge.suites import Examples, Split
from tests.methods.equations.damping import SPLIT_3, THREE
from tests.methods.equations.toy import FORGET, SPLIT, W, cross_entropy_gradient, run_toy


def test_two_weights_are_dampened_as_on_paper() -> None:
    """Two classes, logits 0 and w x: for the second class the gradient is (s(w x) - y) x, for the first minus that."""
    split = Split(
        Examples(torch.tensor([[1.0]], dtype=torch.float64), torch.tensor([0])),
        Examples(torch.tensor([[2.0]], dtype=torch.float64), torch.tensor([0])),
        2,
        SPLIT.recipe,
    )
    w = torch.tensor([[0.25], [0.75]], dtype=torch.float64)

    def squared(x: float) -> float:
        return (x / (1 + math.exp(-0.5 * x))) ** 2  # p of the second class, which is wrong, times x

    forget, everything = squared(2.0), (squared(2.0) + squared(1.0)) / 2
    assert 1.5 < forget / everything < 2
    (found, *_) = run_toy("ssd", {"alpha": 1.5, "dampening": 1.0}, split, w)
    torch.testing.assert_close(found, (w * everything / forget).expand(2, -1, -1))
    (found, *_) = run_toy("ssd", {"alpha": 1.5, "dampening": 10.0}, split, w)
    torch.testing.assert_close(found, w.expand(2, -1, -1))  # never made larger
    (found, *_) = run_toy("ssd", {"alpha": 2.0, "dampening": 1.0}, split, w)
    torch.testing.assert_close(found, w.expand(2, -1, -1))  # below alpha, as F counts the forget set in


def test_with_batches_the_mean_gradient_is_squared_as_in_the_published_code() -> None:
    split = Split(FORGET, THREE, 3, SPLIT.recipe)
    gradients = torch.stack([cross_entropy_gradient(W, x, int(y)) for x, y in zip(THREE.x, THREE.y, strict=True)])
    forget = gradients.mean(0) ** 2
    everything = (3 * forget + cross_entropy_gradient(W, FORGET.x[0], 2) ** 2) / 4
    expected = torch.where(forget > everything, W * everything / forget, W)
    (found, *_) = run_toy("ssd", {"alpha": 1.0, "batch_size": 3}, split)
    torch.testing.assert_close(found, expected.expand(2, -1, -1))


def test_labels_do_not_matter_to_loss_free_dampening() -> None:
    wrong = Split(Examples(THREE.x, (THREE.y + 1) % 3), Examples(FORGET.x, (FORGET.y + 1) % 3), 3, SPLIT.recipe)
    for name in ("lfssd", "lfssd-det"):
        (right,), (other,) = (run_toy(name, {"alpha": 1.1}, split) for split in (SPLIT_3, wrong))
        assert torch.equal(right, other)
        assert not torch.equal(right[0], W)


@pytest.mark.parametrize("percent", [0.0, 37.0, 95.3, 100.0])
def test_a_percentile_is_that_of_numpy_without_what_is_no_number(percent: float) -> None:
    rows = torch.rand(3, 17, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    rows[0, :5] = torch.nan
    rows[1, 3] = torch.nan
    found = percentile(rows, percent)
    torch.testing.assert_close(found, torch.tensor(np.nanpercentile(rows.numpy(), percent, axis=1))[:, None])


@pytest.mark.parametrize("forgotten", [1, 10])
def test_adaptive_dampening_hits_the_logarithm_of_the_share(forgotten: int) -> None:
    """1 % forgotten, ln 2 = 0.69 % of the weights; 10 %, ln 11 = 2.4 %."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(100, 500, dtype=torch.float64, generator=generator)
    y = torch.randint(2, (100,), generator=generator)
    w = torch.randn(2, 500, dtype=torch.float64, generator=generator)
    split = Split(Examples(x[forgotten:], y[forgotten:]), Examples(x[:forgotten], y[:forgotten]), 2, SPLIT.recipe)
    (found, *_) = run_toy("assd", {}, split, w, models=1)
    share = float((found[0] != w).double().mean())
    assert share == pytest.approx(math.log(1 + forgotten) / 100, abs=0.002)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("ssd", {"alpha": 0.0}),
        ("ssd-det", {"dampening": -1.0}),
        ("lfssd", {"retain_examples": 0}),
        ("lfssd", {"batch_size": 0}),
        ("lfssd-det", {"alpha": -1.0}),
        ("assd", {"retain_examples": 0}),
    ],
)
def test_settings_out_of_range_are_refused(name: str, settings: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=", got "):
        METHODS[name].config(**settings)
