"""What Newton steps leave is never more than its bound, in float64; who uses up a budget, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest
from numpy import ndarray

from expunge.attacks.certified_logistic import Logistic, removed, served
from expunge.attacks.lab.arms import ATTACK as ATTACKED
from expunge.attacks.lab.arms import HONEST, NO_REQUEST, ORACLE
from expunge.attacks.lab.frame import require_attack
from expunge.attacks.lab.provider import Provider
from expunge.attacks.removal import Attacked
from expunge.attacks.slow_down import ATTACK, BEFORE, SPENT, SlowDown, most_influential, play
from expunge.errors import BadSetting, UnknownName
from tests.attacks.small import small

CERTIFICATE = {"epsilon": 1.0, "delta": 1e-4, "sigma": 1.0}


def task(seed: int = 0, decay: float = 1e-2, sigma: float = 0.1) -> Logistic:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(60, 4))
    y = np.where(x @ np.array([1.0, -2.0, 0.5, 0.0]) + rng.normal(size=60) > 0, 1.0, -1.0)
    return Logistic(x / np.linalg.norm(x, axis=1).max(), y, decay, sigma * rng.normal(size=4))


def left(objective: Logistic, row: int, w: ndarray) -> float:
    """The norm of the gradient on what remains."""
    return float(np.linalg.norm(objective.without(row).gradient(w)))


def test_training_ends_at_the_optimum() -> None:
    objective = task()
    assert np.linalg.norm(objective.gradient(objective.trained(np.zeros(4)))) < 1e-10


@pytest.mark.parametrize("what", ["gradient", "hessian"])
def test_derivatives_are_finite_differences(what: str) -> None:
    objective, w = task(), np.array([0.3, -0.2, 0.1, 0.5])

    def value(v: ndarray) -> float:
        losses = np.log1p(np.exp(-objective.y * (objective.x @ v))).sum()
        return float(losses + objective.decay * 60 / 2 * v @ v + objective.noise @ v)

    below = value if what == "gradient" else objective.gradient
    steps = 1e-6 * np.eye(4)
    slopes = [(np.asarray(below(w + step)) - np.asarray(below(w - step))) / 2e-6 for step in steps]
    np.testing.assert_allclose(getattr(objective, what)(w), np.array(slopes), atol=1e-6)


@pytest.mark.parametrize("decay", [1e-4, 1e-2, 1.0])
@pytest.mark.parametrize("seed", range(5))
def test_at_an_optimum_the_bound_is_never_below_what_a_removal_leaves(seed: int, decay: float) -> None:
    objective = task(seed, decay)
    w = objective.trained(np.zeros(4))
    for row in range(0, 60, 7):
        moved, bound = removed(objective, w, row)
        assert left(objective, row, moved) <= bound + 1e-9


@pytest.mark.parametrize("steps", [1, 2])
def test_from_elsewhere_the_gradient_where_training_stopped_is_to_be_added(steps: int) -> None:
    """Without it the bound does not hold; with it it does."""
    objective = task(decay=1e-3)
    w = objective.trained(np.zeros(4), steps)
    start = float(np.linalg.norm(objective.gradient(w)))
    broken = []
    for row in range(0, 60, 7):
        moved, bound = removed(objective, w, row)
        broken.append(left(objective, row, moved) > bound)
        assert left(objective, row, moved) <= bound + start + 1e-9
    assert any(broken)


def test_bounds_of_several_removals_add_up() -> None:
    objective = task()
    rows = [3, 8, 20]
    found = served(objective, rows, **{**CERTIFICATE, "sigma": 1e9})
    assert found.retrained == 0
    assert found.first == 3
    rest = Logistic(np.delete(objective.x, rows, 0), np.delete(objective.y, rows), objective.decay, objective.noise)
    assert np.linalg.norm(rest.gradient(found.w)) <= found.spent + 1e-9


def test_without_a_budget_every_removal_is_a_training() -> None:
    objective = task()
    found = served(objective, [3, 8], epsilon=0.0, delta=1e-4, sigma=1.0)
    assert (found.retrained, found.first) == (2, 0)
    rest = Logistic(np.delete(objective.x, [3, 8], 0), np.delete(objective.y, [3, 8]), objective.decay, objective.noise)
    np.testing.assert_allclose(found.w, rest.trained(np.zeros(4)), atol=1e-8)


def test_records_become_more_influential_within_ball_and_box() -> None:
    objective = task()
    w, rows = objective.trained(np.zeros(4)), np.array([3, 8, 20])
    moved = most_influential(objective, w, rows, 0.4, 30)
    changed = objective.x.copy()
    changed[rows] = moved
    poisoned = replace(objective, x=changed)
    assert (np.linalg.norm(moved - objective.x[rows], axis=1) <= 0.4 + 1e-9).all()
    assert (moved >= objective.x.min(0)).all()
    assert (moved <= objective.x.max(0)).all()
    inverse = np.linalg.inv(objective.hessian(w))

    def influence(of: Logistic, row: int) -> float:
        return float(np.linalg.norm(inverse @ (of.gradient(w) - of.without(row).gradient(w))))

    for row in rows.tolist():
        assert influence(poisoned, row) > influence(objective, row)


def test_the_attack_uses_more_of_the_budget_than_an_honest_request() -> None:
    found = play(Provider(small(), Attacked("second-order"), range(3)), SlowDown(budget=5, decay=1e-2)).arms
    assert (found[ATTACKED].more[SPENT] > found[HONEST].more[SPENT]).all()
    assert found[NO_REQUEST].success.tolist() == [0, 0, 0]  # type: ignore[union-attr]
    assert found[ORACLE].success.tolist() == [1 / 5] * 3  # type: ignore[union-attr]
    assert found[ORACLE].more[BEFORE].tolist() == [5, 5, 5]


REFUSED: dict[str, tuple[dict[str, object], str]] = {
    "no budget": ({"budget": 0}, "expected a budget of 1 to 50"),
    "over the data": ({"budget": 51}, "give --set budget=N"),
    "a method without a certificate": ({"methods": (Attacked("first-order"),)}, "has no certificate .* second-order"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_is_refused(case: str) -> None:
    changed, message = REFUSED[case]
    with pytest.raises(BadSetting, match=message):
        require_attack(ATTACK, small(), replace(SlowDown(models=3), **changed))  # type: ignore[arg-type]


def test_a_class_that_does_not_exist_is_refused() -> None:
    with pytest.raises(UnknownName, match="give --set positive=CLASS, or last"):
        require_attack(ATTACK, small(), SlowDown(models=3, positive="12"))


@pytest.mark.parametrize(
    ("changed", "message"),
    [({"sigma": 0.0}, "sigma above 0"), ({"epsilon": 2.0}, "epsilon of 1 at most"), ({"steps": 0}, "1 step")],
)
def test_wrong_settings_are_refused(changed: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SlowDown(**changed)  # type: ignore[arg-type]
