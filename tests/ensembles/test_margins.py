import numpy as np
import pytest
import torch

from expunge.ensembles import check_margins
from expunge.errors import BadMargins
from expunge.suites.target import log_odds as margins


def test_a_margin_is_the_logit_of_the_probability() -> None:
    logits = torch.randn(4, 5, 10, dtype=torch.float64)
    labels = torch.arange(5)
    p = logits.softmax(-1)[:, torch.arange(5), labels]
    torch.testing.assert_close(margins(logits, labels), p.logit())


def test_a_margin_of_a_certain_model_does_not_saturate() -> None:
    assert margins(torch.tensor([[80.0, 0.0]]), torch.tensor([0])).item() == 80


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda m: m[:, :-1], r"expected shape \(models, 6\)"),
        (lambda m: m[0], r"expected shape \(models, 6\)"),
        (lambda m: m[:1], "at least 2 models, got 1"),
        (lambda m: m.astype(int), "floating-point"),
        (lambda m: np.where(np.arange(3)[:, None] == 1, np.nan, m), "NaN or infinity in model 1;"),
        (lambda m: np.where(np.arange(3)[:, None] >= 1, np.inf, m), "in model 1, 2;"),
        (lambda m: np.where(np.arange(3)[:, None] == 2, 1.0, m), "model 2 has one and the same margin"),
        (lambda m: m[[0, 1, 0]], r"models \[0, 2\] are bit-identical"),
    ],
)
def test_margins_that_no_ensemble_gives_are_refused(spoil, message: str) -> None:  # type: ignore[no-untyped-def]
    good = np.random.default_rng(0).normal(size=(3, 6))
    check_margins(good, 6, "mine")
    with pytest.raises(BadMargins, match=message):
        check_margins(spoil(good), 6, "mine")
