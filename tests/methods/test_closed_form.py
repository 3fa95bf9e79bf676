"""Methods by influence and curvature: what must hold beyond their equations."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from expunge.ensembles import Ensemble, Origin, Plan, pretrain
from expunge.ensembles.seeds import Generators
from expunge.ensembles.whole_models import first_weights
from expunge.errors import MethodFailed
from expunge.methods.parts.curvature import gauss_newton
from expunge.methods.parts.inverse import conjugate_gradients
from expunge.methods.parts.per_sample import flat_weights
from expunge.methods.zoo.first_order import FirstOrder, first_order
from expunge.methods.zoo.influence import Influence, influence, rank_one, reweighting
from expunge.methods.zoo.second_order import SecondOrder, second_order
from expunge.suites import Examples, Recipe, Split, Suite
from tests.ensembles.plain import convolutional, ensemble_of, random_examples

RECIPE = Recipe(epochs=1, batch_size=8, lr=0.1)
DECAY, KEPT, LOST, FEATURES, MODELS = 0.05, 24, 6, 4, 3


def squared(outputs: Tensor, labels: Tensor) -> Tensor:
    """Half the mean squared error, for each model."""
    return (outputs[..., 0] - labels).square().mean(1) / 2


def regression() -> Split:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(KEPT + LOST, FEATURES, dtype=torch.float64, generator=generator)
    y = torch.randn(KEPT + LOST, dtype=torch.float64, generator=generator)
    parts = Examples(x[:KEPT], y[:KEPT]), Examples(x[KEPT:], y[KEPT:])
    return Split(*parts, 1, replace(RECIPE, weight_decay=DECAY), regressor)


def regressor() -> nn.Module:
    return nn.Linear(FEATURES, 1, bias=False).double()


def optimum(examples: Examples, decay: float) -> Tensor:
    """Where ``|X w - y|^2 / (2 n) + decay |w|^2 / 2`` is least."""
    x, y = examples.x, examples.y
    solved: Tensor = torch.linalg.solve(
        x.T @ x / len(y) + decay * torch.eye(FEATURES, dtype=torch.float64), x.T @ y / len(y)
    )
    return solved


def whole(split: Split) -> Examples:
    return Examples(torch.cat([split.retain.x, split.forget.x]), torch.cat([split.retain.y, split.forget.y]))


def regressors(w: Tensor) -> Ensemble:
    network = regressor()
    network.load_state_dict({"weight": w[None]})
    return Ensemble.stack(
        [network] * MODELS, Origin("test", "0", "pretrained", None, tuple(range(MODELS))), (FEATURES,)
    )


def after(method: Callable[..., Any], config: Any, split: Split, w: Tensor) -> Tensor:
    (step,) = method(regressors(w), split, config, Generators(range(MODELS)), squared)
    return flat_weights(step)


EXACT = {
    "cg": Influence(solver="cg", damping=0.0, curvature_examples=KEPT, iterations=12, batch_size=7),
    "lissa": Influence(solver="lissa", damping=0.0, batch_size=KEPT, iterations=400, scale=2.0),
}


@pytest.mark.parametrize("solver", sorted(EXACT))
def test_removal_by_influence_from_ridge_regression_is_retraining(solver: str) -> None:
    """From the exact optimum of all examples, with the Hessian and the regulariser of the retained objective."""
    split = regression()
    start, retrained = optimum(whole(split), DECAY), optimum(split.retain, DECAY)
    assert (start - retrained).abs().max() > 1e-2
    found = after(influence, EXACT[solver], split, start)
    torch.testing.assert_close(found, retrained.expand(MODELS, -1), rtol=0, atol=1e-10)


def test_removal_with_the_hessian_of_all_examples_is_not_retraining() -> None:
    split = regression()
    start, retrained, everything = optimum(whole(split), DECAY), optimum(split.retain, DECAY), whole(split)
    ensemble, (x, y) = regressors(start), (everything.x, everything.y)
    old = gauss_newton(ensemble, (x.expand(MODELS, -1, -1), y.expand(MODELS, -1)), squared)
    step = conjugate_gradients(old, reweighting(ensemble, split, squared), damping=DECAY, iterations=12)
    assert (start + step - retrained).abs().amax(1).min() > 1e-3


def test_removal_with_the_regulariser_of_all_examples_is_not_retraining() -> None:
    """As in a sum of losses whose regulariser stays: its share in the mean of the retained ones grows by N / N_r."""
    split = regression()
    start, retrained = optimum(whole(split), DECAY), optimum(split.retain, DECAY)
    off = replace(split, recipe=replace(split.recipe, weight_decay=DECAY * (KEPT + LOST) / KEPT))
    assert (after(influence, EXACT["cg"], off, start) - retrained).abs().amax(1).min() > 1e-3


def test_a_fisher_matrix_of_few_gradients_needs_damping_where_training_decays_nothing() -> None:
    """It is singular there, and what comes out would not be finite."""
    split = replace(regression(), recipe=replace(RECIPE, weight_decay=0.0))
    with pytest.raises(MethodFailed, match="woodbury needs damping above 0"):
        after(influence, Influence(damping=0.0), split, torch.zeros(FEATURES, dtype=torch.float64))


@pytest.mark.parametrize("curvature", ["hessian", "gauss-newton"])
def test_the_second_order_update_of_a_sum_is_its_retraining(curvature: str) -> None:
    """Of a sum of losses with a regulariser that does not depend on how many they are."""
    split = regression()
    start, retrained = optimum(whole(split), DECAY), optimum(split.retain, DECAY * (KEPT + LOST) / KEPT)
    config = SecondOrder(curvature=curvature, iterations=400, batch_size=KEPT, scale=2.0, damping=0.0)
    found = after(second_order, config, split, start)
    torch.testing.assert_close(found, retrained.expand(MODELS, -1), rtol=0, atol=1e-10)
    assert (found - optimum(split.retain, DECAY)).abs().amax(1).min() > 1e-3


def test_woodbury_gives_the_same_a_few_models_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    examples = random_examples(20)
    parts = Examples(examples.x[:15], examples.y[:15]), Examples(examples.x[15:], examples.y[15:])
    split = Split(*parts, 3, RECIPE, lambda: convolutional().double())
    torch.manual_seed(0)
    ensemble = ensemble_of([convolutional().double() for _ in range(MODELS)])
    results = []
    for room in (2**28, 1):
        monkeypatch.setattr("expunge.methods.zoo.influence.ROOM", room)
        (step,) = influence(ensemble, split, Influence(curvature_examples=8), Generators(range(MODELS)))
        results.append(flat_weights(step))
    torch.testing.assert_close(results[0], results[1], rtol=0, atol=1e-12)


def test_the_official_inverse_changes_one_direction_only() -> None:
    """What is left of its name: ``v`` but for a multiple of the first example's gradient."""
    split = regression()
    ensemble = regressors(optimum(whole(split), DECAY))
    v = reweighting(ensemble, split, squared)
    rows = Generators(range(MODELS)).permutation(KEPT)
    change = rank_one(ensemble, split, v, rows, squared) - v
    x, y = split.retain.x[rows[:, 0]], split.retain.y[rows[:, 0]]
    first = ((x * flat_weights(ensemble)).sum(1) - y)[:, None] * x
    assert F.cosine_similarity(change, first).abs().min() > 1 - 1e-12
    assert (change.norm(dim=1) > 0).all()


def test_first_order_with_zeros_in_the_place_of_the_forgotten() -> None:
    """``theta - tau (sum grad l(0, y) - sum grad l(x, y))``, by autograd on an ordinary module."""
    torch.manual_seed(0)
    examples, network = random_examples(6), nn.Sequential(nn.Flatten(), nn.Linear(32, 3)).double()
    split = Split(examples, Examples(examples.x[:4], examples.y[:4]), 3, RECIPE, lambda: network)
    (step,) = first_order(ensemble_of([network]), split, FirstOrder(tau=0.5, replacement="zeros"), Generators([0]))
    x, y = split.forget.x, split.forget.y
    change = F.cross_entropy(network(0 * x), y, reduction="sum") - F.cross_entropy(network(x), y, reduction="sum")
    own = list(network.parameters())
    expected = [each - 0.5 * slope for each, slope in zip(own, torch.autograd.grad(change, own), strict=True)]
    torch.testing.assert_close(flat_weights(step)[0], torch.cat([each.flatten() for each in expected]))


def test_shipped_models_remember_their_own_first_weights(suite: Suite) -> None:
    """So the first weights that the seeds give are those that training began with."""
    last = flat_weights(pretrain(suite, 4, first=100))
    start = flat_weights(first_weights(Plan(suite, "pretrained"), range(100, 104)))
    alike = F.cosine_similarity(last[:, None], start[None], dim=2)
    assert alike.diagonal().min() > alike.fill_diagonal_(-1).max() + 0.1
