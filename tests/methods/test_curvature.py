"""Curvature of all models at once, and its inverses, against dense matrices of one model at a time."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from expunge.ensembles.origin import Meter
from expunge.ensembles.seeds import Generators
from expunge.ensembles.train import Batch
from expunge.methods.parts.curvature import gauss_newton, gradient_sum, hessian, mean_product
from expunge.methods.parts.inverse import conjugate_gradients, lissa, woodbury
from expunge.methods.parts.per_sample import flat_weights, per_sample_gradients
from expunge.suites import Examples
from expunge.suites.networks import Residual
from tests.ensembles.plain import NormedAttention, convolutional, mixed, random_examples, trained

EXAMPLES, MODELS = 8, 3
DATA = random_examples(EXAMPLES)

pytestmark = pytest.mark.filterwarnings("ignore:There is a performance drop")


def residual() -> nn.Module:
    """BatchNorm after a convolution, without one, and after a residual block; a convolution with its bias."""
    body = nn.Sequential(nn.Conv2d(2, 2, 3, padding="same"), nn.BatchNorm2d(2), nn.Tanh(), nn.Conv2d(2, 2, 1))
    layers = [nn.Conv2d(2, 2, 3, 1, 1), nn.BatchNorm2d(2), Residual(body), nn.BatchNorm2d(2), nn.Softplus()]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(32, 3))


def pooled() -> nn.Module:
    """Windows that overlap, reach over the edge and leave examples out; elementwise layers in between and first."""
    layers = [nn.Tanh(), nn.Conv2d(2, 4, 3, padding=1), nn.MaxPool2d(3, 2, 1), nn.Sigmoid(), nn.Conv2d(4, 4, 2)]
    return nn.Sequential(*layers, nn.MaxPool2d((1, 2), ceil_mode=True), nn.AvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))


def small() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(32, 3, bias=False), nn.Tanh(), nn.Linear(3, 3))


def a_batch() -> Batch:
    """Other examples for every model."""
    rows = Generators(range(MODELS)).permutation(EXAMPLES)[:, :5]
    return DATA.x[rows], DATA.y[rows]


def in_a_row(network: nn.Module) -> tuple[Tensor, Callable[[Tensor, Tensor], Tensor]]:
    """The weights of an ordinary module as a vector, and its outputs as a function of them."""
    names, shapes = zip(*((name, each.shape) for name, each in network.named_parameters()), strict=True)
    buffers = dict(network.named_buffers())

    def outputs(vector: Tensor, x: Tensor) -> Tensor:
        parts = vector.split([shape.numel() for shape in shapes])
        state = {name: part.view(shape) for name, part, shape in zip(names, parts, shapes, strict=True)}
        result: Tensor = functional_call(network.eval(), {**buffers, **state}, (x,))
        return result

    return torch.cat([each.detach().flatten() for each in network.parameters()]), outputs


def dense_of(network: nn.Module, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Hessian and generalised Gauss-Newton matrix of the mean cross-entropy."""
    vector, outputs = in_a_row(network)
    whole = torch.autograd.functional.hessian(lambda v: F.cross_entropy(outputs(v, x), y), vector)
    jacobian = torch.autograd.functional.jacobian(lambda v: outputs(v, x), vector)
    p = outputs(vector, x).detach().softmax(1)
    inner = (torch.diag_embed(p) - p[:, :, None] * p[:, None]) / len(y)
    assert isinstance(whole, Tensor)
    return whole, torch.einsum("bci,bcd,bdj->ij", jacobian, inner, jacobian)


@pytest.mark.parametrize("network", [convolutional, residual, pooled, mixed, NormedAttention, small])
def test_products_are_those_of_dense_matrices(network: Callable[[], nn.Module]) -> None:
    ensemble, (x, y) = trained(network, DATA), a_batch()
    v = torch.randn(flat_weights(ensemble).shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    by_hessian, by_gauss_newton = hessian(ensemble, (x, y)), gauss_newton(ensemble, (x, y))
    found = [(by_hessian(each), by_gauss_newton(each)) for each in (2 * v, v)][1]  # the graphs serve twice
    for model, one in enumerate(ensemble):
        for dense, product in zip(dense_of(one, x[model], y[model]), found, strict=True):
            torch.testing.assert_close(product[model], dense @ v[model], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("network", [convolutional, residual, pooled, mixed, NormedAttention])
def test_a_sum_of_gradients_is_autograds(network: Callable[[], nn.Module]) -> None:
    ensemble = trained(network, DATA)
    found = gradient_sum(ensemble, DATA, batch_size=4)
    for model, one in enumerate(ensemble):
        loss = F.cross_entropy(one.eval()(DATA.x), DATA.y, reduction="sum")
        expected = torch.cat([each.flatten() for each in torch.autograd.grad(loss, list(one.parameters()))])
        torch.testing.assert_close(found[model], expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("damping", [0.1, torch.linspace(0.1, 0.3, 108, dtype=torch.float64)])
def test_inverses_are_those_of_dense_matrices(damping: float | Tensor) -> None:
    """Each solver on all models at once; the dense matrices are built and inverted one by one."""
    ensemble, (x, y) = trained(small, DATA), a_batch()
    v = torch.randn(flat_weights(ensemble).shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    product = gauss_newton(ensemble, (x, y))
    rows = Generators(range(MODELS)).permutation(EXAMPLES)[:, :5]
    gradients = torch.cat(list(per_sample_gradients(ensemble, DATA, rows)), dim=1)
    by_cg = conjugate_gradients(product, v, damping=damping, iterations=60)
    by_lissa = lissa([product] * 400, v, damping=damping, scale=3.0)
    by_woodbury = woodbury(gradients, v, damping=damping)
    for model, one in enumerate(ensemble):
        _, curvature = dense_of(one, x[model], y[model])
        g = torch.stack([_gradient(one, x[model, i], y[model, i]) for i in range(5)])
        eye = torch.diag(torch.as_tensor(damping, dtype=torch.float64).expand(len(curvature)))
        expected = torch.linalg.solve(curvature + eye, v[model])
        torch.testing.assert_close(by_cg[model], expected, rtol=0, atol=1e-10)
        torch.testing.assert_close(by_lissa[model], expected, rtol=0, atol=1e-4)
        fisher = torch.linalg.solve(g.T @ g / 5 + eye, v[model])
        torch.testing.assert_close(by_woodbury[model], fisher, rtol=0, atol=1e-10)


def _gradient(network: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    loss = F.cross_entropy(network.eval()(x[None]), y[None])
    return torch.cat([each.flatten() for each in torch.autograd.grad(loss, list(network.parameters()))])


def test_conjugate_gradients_leave_finished_models_alone() -> None:
    """One model starts at its solution, one reaches it in a step, one curves downwards, one goes on."""
    c = torch.diag_embed(torch.tensor([[1.0, 2, 3], [2, 2, 2], [-1, -1, -1], [1, 2, 3]], dtype=torch.float64))
    v = torch.ones(4, 3, dtype=torch.float64)
    v[0] = 0
    found = conjugate_gradients(lambda u: torch.einsum("mij,mj->mi", c, u), v, damping=0.0, iterations=10)
    expected = torch.tensor([[0.0, 0, 0], [0.5, 0.5, 0.5], [0, 0, 0], [1, 1 / 2, 1 / 3]], dtype=torch.float64)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


def test_conjugate_gradients_stop_each_model_at_its_own_tolerance() -> None:
    c = torch.diag_embed(torch.tensor([[1.0, 1.01, 1.02], [1, 10, 100]], dtype=torch.float64))
    v = torch.ones(2, 3, dtype=torch.float64)
    product = lambda u: torch.einsum("mij,mj->mi", c, u)  # noqa: E731
    loose = conjugate_gradients(product, v, damping=0.0, iterations=10, tolerance=0.05)
    exact, once = (conjugate_gradients(product, v, damping=0.0, iterations=n) for n in (10, 1))
    torch.testing.assert_close(loose[0], once[0], rtol=0, atol=0)
    torch.testing.assert_close(loose[1], exact[1], rtol=0, atol=1e-9)


def test_a_sample_may_come_in_parts() -> None:
    ensemble, (x, y) = trained(small, DATA), a_batch()
    v = torch.ones_like(flat_weights(ensemble))
    parts = [(gauss_newton(ensemble, (x[:, part], y[:, part])), len(y[0, part])) for part in (slice(3), slice(3, 5))]
    torch.testing.assert_close(mean_product(parts)(v), gauss_newton(ensemble, (x, y))(v))


def test_products_are_counted() -> None:
    """In units of a forward pass: 3 for the gradient's graph, 6 for a Hessian product, 4 for a Gauss-Newton one."""
    ensemble, batch = trained(small, DATA), a_batch()
    v = torch.ones_like(flat_weights(ensemble))
    for kind, units in ((hessian, 3 + 2 * 6), (gauss_newton, 3 + 2 * 4)):
        ensemble.meter = Meter()
        product = kind(ensemble, batch)
        product(product(v))
        assert ensemble.meter.units == units * 5 * MODELS
    ensemble.meter = Meter()
    gradient_sum(ensemble, Examples(DATA.x, DATA.y))
    assert ensemble.meter.units == 3 * EXAMPLES * MODELS
