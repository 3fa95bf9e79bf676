"""Reconstruction from linear models: what is exact in float64, what an optimum is, what it refuses."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from expunge.attacks import ATTACKS
from expunge.attacks.embedded import embedded, heads
from expunge.attacks.lab.arms import ATTACK, HONEST, ORACLE, Played
from expunge.attacks.lab.cells import play_on
from expunge.attacks.optimum import at_optimum, curvature, optimum
from expunge.attacks.reconstruction import Reconstruction, check, inputs_of, row_behind
from expunge.attacks.removal import Attacked
from expunge.attacks.unlearning_inversion import cosine
from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.features import features
from expunge.ensembles.origin import Origin
from expunge.ensembles.pretraining import pretrain
from expunge.errors import BadSetting, MethodFailed
from expunge.suites import Suite
from tests.attacks.small import small
from tests.tiny_suite import hidden

NAME, MODELS = "reconstruction", 4
CONFIG = Reconstruction(models=MODELS)
F64 = torch.float64


def rows(count: int = 60, inputs: int = 12, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(count, inputs, generator=generator, dtype=F64)
    return x, x @ torch.randn(inputs, generator=generator, dtype=F64) + torch.randn(
        count, generator=generator, dtype=F64
    )


def ridge(x: torch.Tensor, y: torch.Tensor, penalty: float = 0.5) -> tuple[torch.Tensor, torch.Tensor]:
    gram = x.T @ x + penalty * torch.eye(x.shape[1], dtype=F64)
    return torch.linalg.solve(gram, x.T @ y), gram


@pytest.mark.parametrize("gone", [0, 7, 59])
def test_of_ridge_regression_with_its_own_curvature_the_removed_row_comes_back(gone: int) -> None:
    x, y = rows()
    before, gram = ridge(x, y)
    keep = torch.arange(60) != gone
    after, _ = ridge(x[keep], y[keep])
    found = row_behind(before, after, gram)
    assert float(cosine(found, x[gone]).abs()) > 1 - 1e-9
    assert float(cosine(after - before, x[gone]).abs()) < 0.999  # the change alone is not the row


def test_with_the_curvature_of_public_rows_it_comes_back_nearly() -> None:
    x, y = rows(400)
    public, _ = rows(400, seed=1)
    before, _ = ridge(x, y)
    after, _ = ridge(x[1:], y[1:])
    assert 0.9 < float(cosine(row_behind(before, after, public.T @ public), x[0]).abs()) < 0.9999


def soft(classes: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    x, y = rows()
    return x, F.one_hot(y.argsort().argsort() * classes // len(y), classes).to(F64)


def test_an_optimum_has_no_slope_by_autograd() -> None:
    x, target = soft()
    theta = optimum(x, target, 0.01, torch.zeros(3, 12)).requires_grad_()
    loss = F.cross_entropy(x @ theta.T, target) + 0.005 * theta.square().sum()
    (slope,) = torch.autograd.grad(loss, theta)
    assert slope.abs().max() < 1e-10


def test_curvature_is_the_hessian_by_autograd() -> None:
    x, target = soft()
    theta = torch.linspace(-1, 1, 36, dtype=F64).view(3, 12)
    expected = torch.autograd.functional.hessian(
        lambda at: F.cross_entropy(x @ at.view(3, 12).T, target) + 0.005 * at.square().sum(), theta.flatten()
    )
    torch.testing.assert_close(curvature(x, (x @ theta.T).softmax(-1), 0.01), expected)


def test_a_loss_without_an_optimum_is_said() -> None:
    x = torch.tensor([[1.0], [-1.0]], dtype=F64)
    with pytest.raises(MethodFailed, match="no optimum: the curvature of the loss is singular"):
        optimum(x, torch.eye(2, dtype=F64), 1e-300, torch.zeros(2, 1))


def test_the_direction_of_a_gradient_is_its_input_with_its_sign() -> None:
    network = torch.nn.Linear(3, 2)
    ensemble = Ensemble.stack([network], Origin("toy", "0", "pretrained", None, (0,)), (3,))
    x, error = torch.tensor([1.0, -2.0, 2.0]), torch.tensor([-0.5, 0.5])
    gradient = torch.cat([torch.outer(error, x).flatten(), error]).unsqueeze(0)
    torch.testing.assert_close(inputs_of(ensemble, gradient)[0], (x / 3).double())


@cache
def decayed() -> Suite:
    suite = small()
    return replace(suite, name="decayed", recipe=replace(suite.recipe, weight_decay=1e-2))


def undecayed() -> Suite:
    suite = small()
    return replace(suite, recipe=replace(suite.recipe, weight_decay=0.0))


@cache
def played(curvature: str) -> Played:
    config = replace(CONFIG, curvature=curvature)
    return play_on(NAME, ATTACKS[NAME], decayed(), config, config.methods[0], range(MODELS))


def test_exact_removal_gives_the_record_away() -> None:
    """By the true curvature nearly whole, by a public one more than where another record is removed."""
    true, public, honest = (
        played(kind).arms[arm].success for kind, arm in (("true", ORACLE), ("public", ORACLE), ("public", HONEST))
    )
    assert true is not None
    assert public is not None
    assert honest is not None
    assert (true > 0.99).all()
    assert (true > public).all()
    assert public.mean() > honest.mean()


def test_where_models_end_before_their_optimum_the_method_starts_there() -> None:
    config = replace(CONFIG, converged=False)
    found = play_on(NAME, ATTACKS[NAME], decayed(), config, config.methods[0], range(2))
    ended, best = (each.arms[ATTACK].arrays["success"][:2] for each in (found, played("public")))
    assert not np.array_equal(ended, best)


def test_all_models_come_to_one_optimum() -> None:
    models = at_optimum(decayed(), pretrain(decayed(), 2), [np.arange(1)] * 2)
    one, other = (model.state_dict() for model in models)
    for key in one:
        torch.testing.assert_close(one[key], other[key], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("suite", "changed", "message"),
    [
        (hidden, {}, "needs a network of one linear layer with a bias; attack tabular, or .*embedded=true"),
        (undecayed, {}, "without weight decay .* give --set converged=false"),
        (decayed, {"methods": (Attacked("sisa"),)}, "'sisa' starts from models of its own"),
    ],
)
def test_what_cannot_be_is_refused_with_what_mends_it(suite: object, changed: dict[str, object], message: str) -> None:
    with pytest.raises(BadSetting, match=message):
        check(suite(), replace(CONFIG, **changed))  # type: ignore[operator, arg-type]


@cache
def deep() -> Suite:
    suite = hidden()
    return replace(suite, name="deep", recipe=replace(suite.recipe, weight_decay=1e-2))


@cache
def frozen() -> Suite:
    """The embeddings of a network with a hidden layer."""
    return embedded(deep())


@pytest.mark.parametrize("gone", [0, 59])
def test_of_a_linear_head_on_a_frozen_network_the_embedding_comes_back_exactly(gone: int) -> None:
    x, y = rows()
    generator = torch.Generator().manual_seed(1)
    found = (x @ torch.randn(12, 8, generator=generator, dtype=F64)).relu()
    before, gram = ridge(found, y)
    keep = torch.arange(60) != gone
    after, _ = ridge(found[keep], y[keep])
    assert float(cosine(row_behind(before, after, gram), found[gone]).abs()) > 1 - 1e-9


def test_embeddings_are_what_goes_into_the_last_layer_of_a_model_that_is_not_scored() -> None:
    suite, known = deep(), frozen()
    (inside,) = features(pretrain(suite, 1, first=suite.models - 1), suite.data.train.x)
    torch.testing.assert_close(known.data.train.x, inside / inside.norm(dim=1).max())
    assert torch.equal(known.data.train.y, suite.data.train.y)
    assert isinstance(known.network(), torch.nn.Linear)


def test_heads_stand_at_one_optimum() -> None:
    found = heads(frozen(), range(2, 5))
    assert found.origin.models == (2, 3, 4)
    again = at_optimum(frozen(), found, [np.arange(0)] * 3)
    for one, other in zip(found.parameters(), again.parameters(), strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)
        assert torch.equal(one[0], one[2])


def test_exact_removal_from_a_head_gives_the_embedding_away() -> None:
    config = replace(CONFIG, embedded=True, curvature="true")
    found = play_on(NAME, ATTACKS[NAME], deep(), config, config.methods[0], range(3))
    oracle, honest = (found.arms[arm].success for arm in (ORACLE, HONEST))
    assert oracle is not None
    assert honest is not None
    assert (oracle > 0.99).all()
    assert oracle.mean() > honest.mean()


@pytest.mark.parametrize(("suite", "converged"), [(small, True), (hidden, False)])
def test_what_has_no_embedding_is_refused(suite: object, converged: bool) -> None:
    with pytest.raises(BadSetting, match="need a network whose last layer is linear, behind others"):
        check(suite(), replace(CONFIG, embedded=True, converged=converged))  # type: ignore[operator]


def test_a_curvature_that_it_does_not_know_is_refused() -> None:
    with pytest.raises(ValueError, match="curvature must be one of public, true, none"):
        Reconstruction(curvature="exact")
