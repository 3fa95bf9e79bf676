"""What certified methods are made of: the ball, the objective, the spectrum, LiSSA and the last noise."""

import math

import pytest
import torch
from torch import Tensor, nn

from expunge.ensembles import Ensemble
from expunge.ensembles.seeds import Generators
from expunge.errors import NotConverged, OutsideBall
from expunge.methods.parts.ball import project, require_inside, weight_norms
from expunge.methods.parts.guarantee import released
from expunge.methods.parts.lissa import Solution, solve_by_lissa
from expunge.methods.parts.objective import objective_gradient, objective_hessian, whole_matrix
from expunge.methods.parts.per_sample import flat_weights, in_order, with_weights
from expunge.methods.parts.spectrum import lanczos, power_iteration
from expunge.methods.parts.walks import recipe_loss
from expunge.suites.target import cross_entropy
from tests.ensembles.plain import convolutional, ensemble_of, random_examples
from tests.methods.certified.ridge import DECAY, FEATURES, MODELS, optimum, regression, regressors

GENERATOR = torch.Generator().manual_seed(3)
SHAPE = (3, 6)
ROOT = torch.randn(3, 6, 6, dtype=torch.float64, generator=GENERATOR)
MATRICES = (ROOT + ROOT.mT) / 2  # one for each model, of eigenvalues below and above 0
V = torch.randn(SHAPE, dtype=torch.float64, generator=GENERATOR)


def multiply(matrices: Tensor, v: Tensor) -> Tensor:
    return torch.bmm(matrices, v[:, :, None])[:, :, 0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_projection_is_of_each_model_by_itself_and_of_no_other(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    ensemble = ensemble_of([convolutional() for _ in range(4)]).to(dtype)
    norms = weight_norms(ensemble)
    radius = float(norms.sort().values[1:3].mean())
    before = flat_weights(ensemble)
    after = flat_weights(project(ensemble, radius))
    inside = norms <= radius
    assert 0 < int(inside.sum()) < 4
    assert torch.equal(after[inside], before[inside])
    assert (weight_norms(ensemble) <= radius).all()
    shrunk = before * (radius / norms)[:, None].to(dtype)
    torch.testing.assert_close(after[~inside], shrunk[~inside], rtol=1e-6, atol=0)


def test_weights_outside_of_the_ball_are_named() -> None:
    ensemble = with_weights(regressors(torch.ones(FEATURES).double()), torch.eye(3, FEATURES).double() * 3)
    with torch.no_grad():
        ensemble.network[0].weight[1] *= 2  # type: ignore[index]
    require_inside(ensemble, 6.0)
    with pytest.raises(OutsideBall, match=r"norm at most radius = 5, got 6, models \[1\]"):
        require_inside(ensemble, 5.0)


def test_the_regulariser_is_squared_so_its_hessian_times_the_weights_is_decay_times_the_weights() -> None:
    """Of several tensors: that of the sum of their norms, which public code adds, is 0 along the weights."""
    torch.manual_seed(0)
    ensemble = ensemble_of([convolutional() for _ in range(MODELS)]).double().eval()
    examples, w = random_examples(8), flat_weights(ensemble)
    rows, decay = in_order(ensemble, examples), torch.full((w.shape[1],), 0.3, dtype=torch.float64)
    whole, bare = (objective_hessian(ensemble, examples, rows, cross_entropy, each) for each in (decay, 0 * decay))
    torch.testing.assert_close(whole(w) - bare(w), 0.3 * w, rtol=0, atol=1e-12)
    gradients = [objective_gradient(ensemble, examples, cross_entropy, each) for each in (decay, 0 * decay)]
    torch.testing.assert_close(gradients[0] - gradients[1], 0.3 * w, rtol=0, atol=1e-12)


def test_the_gradient_of_the_objective_is_0_at_the_closed_minimum_and_its_hessian_is_the_matrix() -> None:
    split = regression()
    ensemble, decay = regressors(optimum(split.retain)), torch.full((FEATURES,), DECAY, dtype=torch.float64)
    loss = recipe_loss(split)
    gradient = objective_gradient(ensemble, split.retain, loss, decay)
    torch.testing.assert_close(gradient, torch.zeros(MODELS, FEATURES).double(), rtol=0, atol=1e-12)
    rows = in_order(ensemble, split.retain)
    x = split.retain.x
    expected = x.T @ x / len(x) + DECAY * torch.eye(FEATURES).double()
    for size in (64, 7):
        product = objective_hessian(ensemble, split.retain, rows, loss, decay, batch_size=size)
        torch.testing.assert_close(whole_matrix(product, gradient), expected.expand(MODELS, -1, -1))


def test_lanczos_finds_both_ends_of_every_models_spectrum() -> None:
    found = lanczos(lambda v: multiply(MATRICES, v), V, 6)
    values = torch.linalg.eigvalsh(MATRICES)
    torch.testing.assert_close(found.least, values[:, 0], rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(found.greatest, values[:, -1], rtol=1e-9, atol=1e-9)


def test_fewer_steps_of_lanczos_stay_within_the_spectrum() -> None:
    values = torch.linalg.eigvalsh(MATRICES)
    for steps in range(1, 6):
        found = lanczos(lambda v: multiply(MATRICES, v), V, steps)
        assert (found.least >= values[:, 0] - 1e-12).all()
        assert (found.greatest <= values[:, -1] + 1e-12).all()


def test_lanczos_stops_where_its_space_is_exhausted_in_one_model_and_goes_on_in_another() -> None:
    plain = torch.stack([3 * torch.eye(6).double(), torch.diag(torch.arange(1.0, 7.0).double())])
    found = lanczos(lambda v: multiply(plain, v), V[:2], 6)
    torch.testing.assert_close(found.least, torch.tensor([3.0, 1.0]).double())
    torch.testing.assert_close(found.greatest, torch.tensor([3.0, 6.0]).double())


def test_power_iteration_finds_the_norm_from_below() -> None:
    norms = torch.linalg.eigvalsh(MATRICES).abs().amax(1)
    rough, fine = (power_iteration(lambda v: multiply(MATRICES, v), V, count) for count in (2, 300))
    assert (rough <= norms + 1e-12).all()
    torch.testing.assert_close(fine, norms, rtol=1e-6, atol=0)


POSITIVE = torch.bmm(ROOT, ROOT.mT) / 6


def solved(
    matrices: Tensor, *, damping: float = 0.5, scale: float = 8.0, steps: int = 400, repeats: int = 1
) -> Solution:
    def product(v: Tensor) -> Tensor:
        return multiply(matrices, v)

    return solve_by_lissa(
        lambda: [product] * steps,
        V,
        damping=damping,
        scale=torch.full((3,), scale).double(),
        curvature=damping + torch.linalg.eigvalsh(matrices)[:, 0],
        repeats=repeats,
        probe=product,
    )


def test_lissa_solves_and_says_how_well() -> None:
    found = solved(POSITIVE)
    expected = torch.linalg.solve(POSITIVE + 0.5 * torch.eye(6).double(), V)
    torch.testing.assert_close(found.x, expected, rtol=1e-6, atol=1e-9)
    assert found.steps == 400
    found.require_converged(1e-9, [7, 8, 9])
    for steps in (1, 5):
        short = solved(POSITIVE, steps=steps, repeats=3)
        left = (multiply(POSITIVE, short.x) + 0.5 * short.x - V).norm(dim=1) / V.norm(dim=1)
        torch.testing.assert_close(short.residual, left)
        curvature = 0.5 + torch.linalg.eigvalsh(POSITIVE)[:, 0]
        torch.testing.assert_close(short.remaining, (1 - curvature / 8) ** steps)
        assert (short.norms <= short.bound[:, None]).all()


def test_lissa_that_stops_early_is_refused_with_the_models_and_what_to_do() -> None:
    with pytest.raises(
        NotConverged, match=r"models \[7, 8, 9\]: expected a residual .* after 3 steps.*raise iterations"
    ):
        solved(POSITIVE, steps=3).require_converged(0.01, [7, 8, 9])


def test_lissa_that_diverges_in_one_model_is_refused_by_its_number() -> None:
    matrices = POSITIVE.clone()
    matrices[1] *= 20
    with pytest.raises(NotConverged, match=r"models \[8\]: expected \|\|v\|\| to stay below .* diverged.*raise scale"):
        solved(matrices, steps=100).require_converged(1e9, [7, 8, 9])


def test_lissa_of_a_gradient_of_nothing_is_nothing() -> None:
    found = solve_by_lissa(
        lambda: [lambda v: v],
        torch.zeros(2, 3),
        damping=1.0,
        scale=torch.ones(2) * 4,
        curvature=torch.ones(2),
        repeats=1,
        probe=lambda v: v,
    )
    found.require_converged(0.1, [0, 1])
    assert not found.x.any()


def test_what_is_released_is_what_is_carried_on_plus_normal_noise_of_each_models_sigma() -> None:
    """Its first four moments, each within four of its standard deviations."""
    ensemble = ensemble_of([nn.Linear(200, 100)] * 3)
    before, sigmas = flat_weights(ensemble), [0.5, 2.0, 20.0]
    noise = (flat_weights(released(ensemble, sigmas, Generators(range(3)))) - before).double()
    assert torch.equal(flat_weights(ensemble), before)
    unit, room = noise / torch.tensor(sigmas, dtype=torch.float64)[:, None], 4 / math.sqrt(noise.shape[1])
    for power, moment, spread in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        assert ((unit**power).mean(1) - moment).abs().max() < room * math.sqrt(spread)
    assert (torch.corrcoef(noise) - torch.eye(3)).abs().max() < room


def test_noise_of_nothing_leaves_the_weights() -> None:
    ensemble = regressors(torch.ones(FEATURES).double())
    after = released(ensemble, [0.0, 0.0, 1.0], Generators(range(3)))
    assert (flat_weights(after) == flat_weights(ensemble)).all(1).tolist() == [True, True, False]


def test_a_models_noise_is_its_own_whatever_stands_beside_it(ensemble: Ensemble) -> None:
    together = released(ensemble, [1.0, 2.0, 3.0], Generators([5, 6, 7]))
    alone = released(ensemble.take([1]), [2.0], Generators([6]))
    assert torch.equal(flat_weights(together)[1], flat_weights(alone)[0])
