"""One hand-computed case for each method; each fails when the method is swapped for any other row."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from expunge.ensembles import Ensemble, Origin
from expunge.ensembles.seeds import Generators
from expunge.methods import METHODS
from expunge.suites import Examples, Split

LR = 0.1
TRAINING = sorted(METHODS.keys() - {"identity", "oracle"})
W = torch.tensor([[1.0, -0.5], [0.25, 0.5], [-1.0, 0.0]], dtype=torch.float64)  # three classes, two inputs
RETAIN = Examples(torch.tensor([[1.0, 2.0]], dtype=torch.float64), torch.tensor([0]))
FORGET = Examples(torch.tensor([[-1.0, 1.0]], dtype=torch.float64), torch.tensor([2]))
SETTINGS = {
    "ascent-descent": {"momentum": 0.0},
    "neg-grad-plus": {"beta": 0.75, "momentum": 0.0},
    "scrub": {"alpha": 0.5, "gamma": 0.9, "temperature": 2.0, "momentum": 0.0},
    "random-labels": {"momentum": 0.0},
    "fine-tune": {"momentum": 0.0},
    "gradient-ascent": {"momentum": 0.0},
}


def cross_entropy_gradient(w: Tensor, x: Tensor, y: int) -> Tensor:
    """``(softmax(W x) - e_y) x^T``."""
    p = (w @ x).softmax(0)
    p[y] -= 1
    return p[:, None] * x


def distillation_gradient(teacher: Tensor, w: Tensor, x: Tensor, t: float) -> Tensor:
    """Of ``T^2 KL(softmax(W0 x / T) || softmax(W x / T))``: ``T (q - p) x^T``."""
    p, q = (teacher @ x / t).softmax(0), (w @ x / t).softmax(0)
    return t * (q - p)[:, None] * x


def fine_tune() -> Tensor:
    return W - LR * cross_entropy_gradient(W, RETAIN.x[0], 0)


def gradient_ascent() -> Tensor:
    return W + LR * cross_entropy_gradient(W, FORGET.x[0], 2)


def ascent_descent() -> Tensor:
    up = gradient_ascent()
    return up - LR * cross_entropy_gradient(up, RETAIN.x[0], 0)


def neg_grad_plus() -> Tensor:
    down, up = cross_entropy_gradient(W, RETAIN.x[0], 0), cross_entropy_gradient(W, FORGET.x[0], 2)
    return W - LR * (0.75 * down - 0.25 * up)


def scrub() -> Tensor:
    up = W + LR * distillation_gradient(W, W, FORGET.x[0], 2.0)  # zero: the student is still the teacher
    down = 0.5 * distillation_gradient(W, up, RETAIN.x[0], 2.0) + 0.9 * cross_entropy_gradient(up, RETAIN.x[0], 0)
    return up - LR * down


def scrub_second_epoch() -> Tensor:
    first = scrub()
    up = first + LR * distillation_gradient(W, first, FORGET.x[0], 2.0)
    down = 0.5 * distillation_gradient(W, up, RETAIN.x[0], 2.0) + 0.9 * cross_entropy_gradient(up, RETAIN.x[0], 0)
    return up - LR * down


def random_labels() -> list[Tensor]:
    """Either wrong label may be drawn; both examples are in one batch."""
    retain = cross_entropy_gradient(W, RETAIN.x[0], 0)
    return [W - LR * (retain + cross_entropy_gradient(W, FORGET.x[0], wrong)) / 2 for wrong in (0, 1)]


def result_of(name: str, settings: dict[str, float], epochs: int = 1) -> Tensor:
    network = nn.Sequential(nn.Linear(2, 3, bias=False)).double()
    network.load_state_dict({"0.weight": W})
    ensemble = Ensemble.stack([network] * 2, Origin("test", "0", "pretrained", None, (0, 1)), (2,))
    method = METHODS[name]
    config = method.config(epochs=epochs, lr=LR, **settings)
    assert method.unlearn is not None
    *_, last = method.unlearn(ensemble, Split(RETAIN, FORGET, 3, 64, 1), config, Generators([0, 1]))
    return last.state()["0.weight"]


def matches(name: str, expected: list[Tensor]) -> bool:
    found = result_of(name, SETTINGS[name])
    return all(any(torch.allclose(each, one, rtol=0, atol=1e-12) for one in expected) for each in found)


CASES: dict[str, Callable[[], list[Tensor]]] = {
    "fine-tune": lambda: [fine_tune()],
    "gradient-ascent": lambda: [gradient_ascent()],
    "ascent-descent": lambda: [ascent_descent()],
    "neg-grad-plus": lambda: [neg_grad_plus()],
    "scrub": lambda: [scrub()],
    "random-labels": random_labels,
}


@pytest.mark.parametrize("name", TRAINING)
def test_one_step_is_the_equation(name: str) -> None:
    assert matches(name, CASES[name]())


@pytest.mark.parametrize("name", TRAINING)
def test_no_other_method_passes_for_it(name: str) -> None:
    impostors = [other for other in TRAINING if other != name and matches(other, CASES[name]())]
    assert impostors == []


def test_scrub_disobeys_from_the_second_epoch_on() -> None:
    found = result_of("scrub", {**SETTINGS["scrub"], "ascent_epochs": 2}, epochs=2)
    torch.testing.assert_close(found[0], scrub_second_epoch(), rtol=0, atol=1e-12)


def test_neg_grad_plus_with_beta_1_takes_the_steps_of_fine_tuning() -> None:
    found = result_of("neg-grad-plus", {"beta": 1.0, "momentum": 0.0})
    torch.testing.assert_close(found[0], fine_tune(), rtol=0, atol=1e-12)


def test_random_labels_are_wrong_and_all_wrong_ones_come_up() -> None:
    from expunge.methods.random_labels import wrong_labels

    forget = Examples(torch.zeros(300, 2), torch.arange(3).repeat(100))
    drawn = wrong_labels(Split(RETAIN, forget, 3, 64, 1), Generators([0, 1]))
    assert (drawn != forget.y).all()
    counts = torch.stack([torch.bincount(row, minlength=3) for row in drawn])
    assert (counts - 100).abs().max() < 5 * math.sqrt(100)
    assert not torch.equal(drawn[0], drawn[1])


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("fine-tune", {"epochs": 0}),
        ("fine-tune", {"lr": 0.0}),
        ("fine-tune", {"momentum": 1.0}),
        ("fine-tune", {"batch_size": 0}),
        ("neg-grad-plus", {"beta": 1.5}),
        ("neg-grad-plus", {"forget_batch_size": 0}),
        ("ascent-descent", {"ascent_epochs": 0}),
        ("scrub", {"temperature": 0.0}),
        ("scrub", {"alpha": -1.0}),
    ],
)
def test_settings_out_of_range_are_refused(name: str, settings: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=", got "):
        METHODS[name].config(**settings)
