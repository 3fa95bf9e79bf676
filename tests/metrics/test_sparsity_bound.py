"""The parts of Proposition 2, against the whole Hessian of small networks."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from expunge.ensembles import Ensemble
from expunge.ensembles.prune import magnitude_masks
from expunge.errors import BadSetting, MismatchedEnsembles
from expunge.metrics.sparsity_bound import _hessian_times, largest_eigenvalue, sparsity_bound
from expunge.suites import Examples
from expunge.suites.pruning import Pruning
from tests.ensembles.plain import ensemble_of, random_examples

MODELS = 3


def convolution() -> nn.Module:
    return nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.Tanh(), nn.Flatten(), nn.Linear(12, 3))


def perceptron() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(32, 2), nn.Tanh(), nn.Linear(2, 3))


def sparse(network: Callable[[], nn.Module], sparsity: float) -> Ensemble:
    torch.manual_seed(0)
    ensemble = ensemble_of([network().double() for _ in range(MODELS)]).eval()
    return ensemble.obey(magnitude_masks(ensemble, Pruning("omp", sparsity))) if sparsity else ensemble


def whole_hessian(model: nn.Module, examples: Examples) -> tuple[Tensor, Tensor]:
    """The Hessian over all weights in a row, and these."""
    names = [name for name, _ in model.named_parameters()]
    shapes = [parameter.shape for parameter in model.parameters()]
    flat = nn.utils.parameters_to_vector(model.parameters()).detach()

    def loss(vector: Tensor) -> Tensor:
        parts = vector.split([shape.numel() for shape in shapes])
        weights = {name: part.view(shape) for name, part, shape in zip(names, parts, shapes, strict=True)}
        return nn.functional.cross_entropy(torch.func.functional_call(model, weights, examples.x), examples.y)

    return torch.autograd.functional.hessian(loss, flat), flat


def kept(ensemble: Ensemble, row: int) -> Tensor:
    flat = [
        (ensemble.masks[name][row] if name in ensemble.masks else torch.ones_like(parameter[row])).flatten().bool()
        for name, parameter in ensemble.network.named_parameters()
    ]
    return torch.cat(flat)


@pytest.mark.parametrize("sparsity", [0.0, 0.6])
@pytest.mark.parametrize("network", [convolution, perceptron])
def test_the_curvature_is_that_of_the_hessian_restricted_to_what_is_kept(
    network: Callable[[], nn.Module], sparsity: float
) -> None:
    ensemble, examples = sparse(network, sparsity), random_examples(100)
    found = largest_eigenvalue(ensemble, examples, iterations=200)
    for row in range(MODELS):
        hessian, _ = whole_hessian(ensemble[row].eval(), examples)
        mask = kept(ensemble, row)
        largest = torch.linalg.eigvalsh(hessian[mask][:, mask]).abs().max()
        assert found[row] <= largest * (1 + 1e-9)
        assert found[row] == pytest.approx(float(largest), rel=1e-3)
        if sparsity:
            whole = torch.linalg.eigvalsh(hessian).abs().max()
            assert abs(float(whole) - float(found[row])) > 1e-3


def test_the_hessian_does_not_depend_on_the_size_of_batches() -> None:
    ensemble, examples = sparse(convolution, 0.0), random_examples(100)
    vector = torch.randn(MODELS, sum(each[0].numel() for each in ensemble.parameters()), dtype=torch.float64)
    parts, whole = (_hessian_times(ensemble, examples, vector, size) for size in (7, 100))
    torch.testing.assert_close(parts, whole, rtol=1e-9, atol=1e-12)
    for row in range(MODELS):
        hessian, _ = whole_hessian(ensemble[row].eval(), examples)
        torch.testing.assert_close(whole[row], hessian @ vector[row], rtol=1e-9, atol=1e-12)


def test_the_order_is_the_product_of_its_parts() -> None:
    trained, examples = sparse(convolution, 0.6), random_examples(40)
    first = trained.copy().obey({})
    with torch.no_grad():
        for parameter in first.parameters():
            parameter.add_(0.5)
    found = sparsity_bound(trained, first, examples, [0.1, 0.2], iterations=5)
    kept_weights = kept(trained, 0).sum().item()
    assert found.distance == pytest.approx([0.5 * kept_weights**0.5] * MODELS)
    assert found.curvature == pytest.approx(largest_eigenvalue(trained, examples, iterations=5).numpy())
    assert found.order == pytest.approx(0.05 * found.distance * found.curvature)
    assert (np.diff(found.curvature) != 0).all()


def test_no_iteration_is_refused() -> None:
    with pytest.raises(BadSetting, match="expected at least 1 iteration of the power iteration, got 0"):
        largest_eigenvalue(sparse(perceptron, 0.0), random_examples(4), iterations=0)


def test_other_models_are_refused() -> None:
    trained = sparse(convolution, 0.0)
    with pytest.raises(MismatchedEnsembles, match="expected the same models"):
        sparsity_bound(trained, trained.take([0]), random_examples(4), [0.1])
    other = trained.copy()
    other.origin = replace(other.origin, digest="another")
    with pytest.raises(MismatchedEnsembles, match="of one suite"):
        sparsity_bound(trained, other, random_examples(4), [0.1])
