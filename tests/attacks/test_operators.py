"""Operators that can be differentiated are the methods of their names; their gradients are finite differences."""

from dataclasses import replace
from itertools import islice

import pytest
import torch
from torch import Tensor

from expunge.attacks.operators import (
    ConjugateGradients,
    Lissa,
    Operator,
    Points,
    cross_entropies,
    first_order,
    in_rounds,
    outputs_at,
    second_order,
    shards,
    unrolling_sgd,
)
from expunge.ensembles import Ensemble, Origin
from expunge.ensembles.seeds import Generators
from expunge.ensembles.shards import vote
from expunge.methods.parts.curvature import gauss_newton, hessian, weight_decay
from expunge.methods.parts.per_sample import flat_weights, with_weights
from expunge.methods.parts.walks import cycled
from expunge.methods.zoo.first_order import FirstOrder
from expunge.methods.zoo.first_order import first_order as first_order_method
from expunge.methods.zoo.second_order import SecondOrder
from expunge.methods.zoo.second_order import second_order as second_order_method
from expunge.methods.zoo.unrolling_sgd import UnrollingSGD, effective_rate
from expunge.methods.zoo.unrolling_sgd import unrolling_sgd as unrolling_sgd_method
from expunge.suites import Examples, Split
from tests.methods.equations.conv_toy import FORGET, SPLIT, network, starts, wave
from tests.methods.test_closed_form import DECAY, KEPT, LOST, optimum, regression, regressors, squared, whole

MODELS = 2
INSTEAD = Examples(wave(3, 1, 5, 5, phase=1.9), FORGET.y)
CORRECTED = replace(
    SPLIT,
    retain=Examples(torch.cat([SPLIT.retain.x, INSTEAD.x]), torch.cat([SPLIT.retain.y, INSTEAD.y])),
    instead=INSTEAD,
)
SPLITS = {"removed": SPLIT, "corrected": CORRECTED}
NEWTON = SecondOrder(curvature="gauss-newton", iterations=5, batch_size=2, scale=60.0, damping=0.5)


def models(phase: int = 0) -> Ensemble:
    """Two convolutional networks in float64 that differ."""
    origin = Origin("test", "0", "pretrained", None, tuple(range(MODELS)))
    state = {key: each.roll(phase, 0) for key, each in starts(MODELS).items()}
    return Ensemble.from_state(network(), state, origin, (1, 5, 5)).eval()


def points(omega: Tensor | None = None, *, corrected: bool = False) -> Points:
    """What is to be forgotten, whole, or by ``omega``."""
    y = FORGET.y.expand(MODELS, -1)
    x, instead = (each.x.expand(MODELS, *each.x.shape).clone() for each in (FORGET, INSTEAD))
    all_of_it = torch.ones(y.shape, dtype=torch.float64)
    return Points(x, y, all_of_it if omega is None else omega, instead if corrected else None)


def adversary(ensemble: Ensemble, weights: Tensor) -> Tensor:
    """A loss of the unlearned models, one value for each: of a kept example, taken for another class."""
    x = SPLIT.retain.x[:1].expand(MODELS, 1, 1, 5, 5)
    return cross_entropies(outputs_at(ensemble, weights, x), torch.full((MODELS, 1), 1)).sum(1)


def newton(ensemble: Ensemble, split: Split) -> Operator:
    """The second-order operator on the batches that the method draws."""
    batches = islice(cycled(split.retain, NEWTON.batch_size, Generators(range(MODELS))), NEWTON.iterations)
    products = [gauss_newton(ensemble, batch) for batch in batches]
    retain = len(split.retain)
    damping = NEWTON.damping + split.trained / retain * weight_decay(ensemble, split.recipe)
    return second_order(ensemble, Lissa(products, damping, NEWTON.scale), retain)


def by_cg(ensemble: Ensemble) -> Operator:
    x, y = (each.expand(MODELS, *each.shape) for each in (SPLIT.retain.x, SPLIT.retain.y))
    return second_order(ensemble, ConjugateGradients(gauss_newton(ensemble, (x, y)), 0.1, 200), 3)


def sharded(ensemble: Ensemble) -> tuple[Ensemble, Operator]:
    """Votes of two constituents; of the points the first lies in the first shard, the others in the second."""
    members = [ensemble, models(phase=1)]
    votes = vote(members, ensemble.origin)
    place = torch.tensor([0, 1, 1])
    return votes, shards(votes, members, 0.3, lambda points, shard: (place == shard).to(points.omega))


def operators() -> dict[str, tuple[Ensemble, Operator]]:
    ensemble = models()
    factor = 0.5 * effective_rate(SPLIT.recipe, 6)
    return {
        "first-order": (ensemble, first_order(ensemble, 0.3)),
        "first-order, zeros": (ensemble, first_order(ensemble, 0.3, zeros=True)),
        "second-order, lissa": (ensemble, newton(ensemble, SPLIT)),
        "second-order, cg": (ensemble, by_cg(ensemble)),
        "unrolling-sgd": (ensemble, unrolling_sgd(ensemble, models(phase=1), factor, 2)),
        "shards": sharded(ensemble),
    }


@pytest.mark.parametrize("case", SPLITS)
@pytest.mark.parametrize("replacement", ["nothing", "zeros"])
def test_first_order_of_whole_points_is_the_method(replacement: str, case: str) -> None:
    config = FirstOrder(tau=0.3, replacement=replacement)
    (expected,) = first_order_method(models(), SPLITS[case], config, Generators(range(MODELS)))
    found = first_order(models(), 0.3, zeros=replacement == "zeros")(points(corrected=case == "corrected"))
    torch.testing.assert_close(found, flat_weights(expected), rtol=0, atol=1e-12)


@pytest.mark.parametrize("case", SPLITS)
def test_second_order_of_whole_points_is_the_method(case: str) -> None:
    split = SPLITS[case]
    (expected,) = second_order_method(models(), split, NEWTON, Generators(range(MODELS)))
    found = newton(models(), split)(points(corrected=case == "corrected"))
    torch.testing.assert_close(found, flat_weights(expected), rtol=0, atol=1e-12)


@pytest.mark.parametrize("case", SPLITS)
@pytest.mark.parametrize("size", [2, 64])
def test_unrolling_of_whole_points_is_the_method(size: int, case: str) -> None:
    start = models(phase=1)
    split = replace(SPLITS[case], extra=start, recipe=replace(SPLIT.recipe, batch_size=size))
    (expected,) = unrolling_sgd_method(models(), split, UnrollingSGD(strength=0.5), Generators(range(MODELS)))
    operator = unrolling_sgd(models(), start, 0.5 * effective_rate(split.recipe, 6), size)
    found = operator(points(corrected=case == "corrected"))
    torch.testing.assert_close(found, flat_weights(expected), rtol=0, atol=1e-12)


def test_a_correction_to_what_is_there_changes_nothing() -> None:
    """Of every operator that corrects: ``z' = z``."""
    for name, (ensemble, operator) in operators().items():
        if name != "shards":
            same = points()
            found = operator(replace(same, instead=same.x))
            torch.testing.assert_close(found, flat_weights(ensemble), rtol=0, atol=1e-12)


def test_weights_that_are_given_are_those_that_speak() -> None:
    for ensemble in (models(), sharded(models())[0]):
        x = FORGET.x.expand(MODELS, *FORGET.x.shape)
        torch.testing.assert_close(outputs_at(ensemble, flat_weights(ensemble), x), ensemble(x), rtol=0, atol=1e-12)
        other = flat_weights(ensemble) * 1.1
        found = outputs_at(ensemble, other, x)
        assert not torch.allclose(found, ensemble(x))
        torch.testing.assert_close(found, with_weights(ensemble, other)(x), rtol=0, atol=1e-12)


CORRECTING = sorted(operators().keys() - {"shards", "first-order, zeros"})  # with zeros there is nothing to correct
SLOPES = [(name, by) for name in sorted(operators()) for by in ("omega", "x")]
SLOPES += [(name, "instead") for name in CORRECTING]


@pytest.mark.parametrize(("name", "by"), SLOPES)
def test_gradients_are_those_of_finite_differences(name: str, by: str) -> None:
    ensemble, operator = operators()[name]
    generator = torch.Generator().manual_seed(0)
    omega = torch.rand(MODELS, 3, dtype=torch.float64, generator=generator)
    given = points(omega, corrected=by == "instead")
    place = getattr(given, by).requires_grad_()
    (slope,) = torch.autograd.grad(adversary(ensemble, operator(given)).sum(), place)
    direction = torch.randn(place.shape, dtype=torch.float64, generator=generator)
    step, ends = 1e-6, []
    for side in (-1, 1):
        moved = replace(given, **{by: place.detach() + side * step * direction})
        ends.append(adversary(ensemble, operator(moved)).detach())
    expected = (ends[1] - ends[0]) / (2 * step)
    found = (slope * direction).flatten(1).sum(1)
    assert expected.abs().min() > 1e-5  # else all would pass
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-8)


@pytest.mark.parametrize("name", sorted(operators()))
def test_nothing_removed_changes_nothing(name: str) -> None:
    ensemble, operator = operators()[name]
    found = operator(points(torch.zeros(MODELS, 3, dtype=torch.float64)))
    torch.testing.assert_close(found, flat_weights(ensemble), rtol=0, atol=0)


@pytest.mark.parametrize("name", CORRECTING)
def test_a_second_round_begins_where_the_first_has_left_the_models(name: str) -> None:
    """Two points, then one: as if the operator had been built for the models that the first round left."""
    ensemble, operator = operators()[name]
    given = points()
    parts = [Points(given.x[:, at], given.y[:, at], given.omega[:, at]) for at in (slice(0, 2), slice(2, 3))]
    between = operator(parts[0])
    found = in_rounds(operator, 2)(given)
    torch.testing.assert_close(found, operator(parts[1], between), rtol=0, atol=1e-12)
    if name == "first-order":
        again = first_order(with_weights(ensemble, between), 0.3)
        torch.testing.assert_close(found, again(parts[1]), rtol=0, atol=1e-12)
        assert not torch.allclose(found, operator(given))  # which takes all gradients at the start


@pytest.mark.parametrize("name", ["first-order", "second-order, cg"])
def test_gradients_through_two_rounds_are_those_of_finite_differences(name: str) -> None:
    ensemble, operator = operators()[name]
    chained, given = in_rounds(operator, 2), points()
    x = given.x.requires_grad_()
    (slope,) = torch.autograd.grad(adversary(ensemble, chained(given)).sum(), x)
    direction = torch.randn(x.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    ends = [
        adversary(ensemble, chained(replace(given, x=x.detach() + side * 1e-6 * direction))).detach()
        for side in (-1, 1)
    ]
    torch.testing.assert_close((slope * direction).flatten(1).sum(1), (ends[1] - ends[0]) / 2e-6, rtol=1e-4, atol=1e-7)


def test_lissa_s_transpose_is_its_transpose() -> None:
    """``<u, A v> = <A^T u, v>``, which an inverse that is not symmetric fails if it is taken for its own transpose."""
    ensemble, generator = models(), torch.Generator().manual_seed(1)
    batches = islice(cycled(SPLIT.retain, 1, Generators(range(MODELS))), 6)
    inverse = Lissa([hessian(ensemble, batch) for batch in batches], 0.2, 2.0)
    u, v = torch.randn(2, *flat_weights(ensemble).shape, dtype=torch.float64, generator=generator)
    left, right = ((one * other).sum(1) for one, other in ((u, inverse.times(v)), (inverse.transposed(u), v)))
    torch.testing.assert_close(left, right, rtol=1e-10, atol=0)
    assert not torch.allclose((u * inverse.times(v)).sum(1), (inverse.times(u) * v).sum(1), rtol=1e-6)


def of_ridge(split: Split) -> tuple[Operator, Ensemble]:
    """The second-order operator from the optimum of all examples, its Hessian that of what is kept, by CG."""
    ensemble = regressors(optimum(whole(split), DECAY))
    kept = len(split.retain)
    x, y = (each.expand(len(ensemble), *each.shape) for each in (split.retain.x, split.retain.y))
    damping = (KEPT + LOST) / kept * DECAY
    inverse = ConjugateGradients(gauss_newton(ensemble, (x, y), squared), damping, 12)
    losses = lambda outputs, labels: (outputs[..., 0] - labels).square() / 2  # noqa: E731
    return second_order(ensemble, inverse, kept, losses=losses), ensemble


def test_second_order_removal_from_ridge_regression_is_retraining() -> None:
    """Of a sum of losses with a regulariser that does not depend on how many they are, in float64 at its optimum."""
    split = regression()
    operator, ensemble = of_ridge(split)
    x, y = (each.expand(len(ensemble), *each.shape) for each in (split.forget.x, split.forget.y))
    found = operator(Points(x, y, torch.ones(y.shape, dtype=torch.float64)))
    retrained = optimum(split.retain, DECAY * (KEPT + LOST) / KEPT)
    torch.testing.assert_close(found, retrained.expand(len(ensemble), -1), rtol=0, atol=1e-10)
    assert (found - flat_weights(ensemble)).abs().max() > 1e-2


def test_second_order_correction_in_ridge_regression_is_retraining_on_what_is_corrected() -> None:
    split, generator = regression(), torch.Generator().manual_seed(2)
    new = Examples(torch.randn(split.forget.x.shape, dtype=torch.float64, generator=generator), split.forget.y)
    start = optimum(whole(split), DECAY)
    kept = Examples(torch.cat([split.retain.x, new.x]), torch.cat([split.retain.y, new.y]))
    corrected = replace(split, retain=kept, instead=new)
    ensemble = regressors(start)
    x, y = (each.expand(len(ensemble), *each.shape) for each in (kept.x, kept.y))
    inverse = ConjugateGradients(gauss_newton(ensemble, (x, y), squared), DECAY, 12)
    losses = lambda outputs, labels: (outputs[..., 0] - labels).square() / 2  # noqa: E731
    operator = second_order(ensemble, inverse, KEPT + LOST, losses=losses)
    a, b, c = (each.expand(len(ensemble), *each.shape) for each in (split.forget.x, split.forget.y, new.x))
    found = operator(Points(a, b, torch.ones(b.shape, dtype=torch.float64), c))
    torch.testing.assert_close(found, optimum(kept, DECAY).expand(len(ensemble), -1), rtol=0, atol=1e-10)
    config = SecondOrder(curvature="hessian", iterations=600, batch_size=KEPT + LOST, scale=2.0, damping=0.0)
    (step,) = second_order_method(ensemble, corrected, config, Generators(range(len(ensemble))), squared)
    torch.testing.assert_close(flat_weights(step), found, rtol=0, atol=1e-8)
