"""Methods on networks of other kinds than the suite's: run whole by vmap, a bare layer, a convolution at the end."""

import dataclasses
from collections.abc import Callable
from itertools import product

import pytest
import torch
from torch import nn

from expunge.bench.plan import plan_bench
from expunge.ensembles import Ensemble
from expunge.ensembles.prune import magnitude_masks
from expunge.ensembles.seeds import Generators
from expunge.errors import MethodFailed
from expunge.methods import METHODS
from expunge.methods.needs import CLASSIFIER, CONVOLUTIONS, SEVERAL_LAYERS
from expunge.methods.zoo.mu_mis import sensitivity_gap
from expunge.suites import Examples, ForgetSet, Recipe, Split, Suite, load_suite
from expunge.suites.pruning import Pruning
from tests.ensembles.plain import CLASSES, NormedAttention, convolutional, ensemble_of, random_examples
from tests.methods.cases import ALONE, CASES
from tests.turns import by_turns


def bare() -> nn.Module:
    """One layer on inputs of one row."""
    return nn.Linear(32, CLASSES)


def ending_in_a_convolution() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(2, 4, 3),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Conv2d(4, CLASSES, 1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )


def made(network: Callable[[], nn.Module]) -> tuple[Ensemble, Split]:
    data = random_examples(40, torch.float32)
    if network is bare:
        data = Examples(data.x.flatten(1), data.y)
    torch.manual_seed(0)
    ensemble = ensemble_of([network() for _ in range(2)])
    ensemble.sample_shape = tuple(data.x.shape[1:])
    recipe = Recipe(epochs=2, batch_size=16, lr=0.1)
    parts = Examples(data.x[:30], data.y[:30]), Examples(data.x[30:], data.y[30:])
    return ensemble, Split(*parts, CLASSES, recipe, network)


NETWORKS = [convolutional, NormedAttention, bare, ending_in_a_convolution]


def runs_on(name: str, network: Callable[[], nn.Module]) -> bool:
    """Whether the network has the layers that the method needs."""
    lacks = {bare: {CONVOLUTIONS, SEVERAL_LAYERS}, ending_in_a_convolution: {CLASSIFIER}}
    return not lacks.get(network, set()).intersection(METHODS[name].needs)


@pytest.mark.parametrize(
    ("name", "network"), by_turns([each for each in product(ALONE, NETWORKS) if runs_on(*each)], 2)
)
@pytest.mark.filterwarnings("ignore:There is a performance drop")
def test_it_runs_and_moves_every_model(name: str, network: Callable[[], nn.Module]) -> None:
    (ensemble, split), method = made(network), METHODS[name]
    assert method.unlearn is not None
    before = {key: tensor.clone() for key, tensor in ensemble.state().items()}
    *_, after = method.unlearn(ensemble, split, method.config(**CASES[name].moving), Generators([0, 1]))
    state = after.state()
    assert {key: tensor.shape for key, tensor in state.items()} == {key: old.shape for key, old in before.items()}
    assert all(tensor.isfinite().all() for tensor in state.values())
    assert all(torch.equal(tensor, before[key]) for key, tensor in ensemble.state().items())
    keys = [key for key, _ in after.network.named_parameters()]
    for model in range(2):
        assert any(not torch.equal(state[key][model], before[key][model]) for key in keys)
    assert after(split.retain.x).shape == (2, 30, CLASSES)


@pytest.mark.parametrize("name", ALONE)
def test_a_single_example_left_over_is_no_batch_for_batch_norm(name: str) -> None:
    """17 examples to forget and 65 to keep: batches of 4, 16 and 64 would each leave one, which has no variance."""
    (ensemble, split), method = made(convolutional), METHODS[name]
    data = random_examples(82, torch.float32)
    forget, retain = Examples(data.x[:17], data.y[:17]), Examples(data.x[17:], data.y[17:])
    split = dataclasses.replace(split, forget=forget, retain=retain)
    assert method.unlearn is not None
    *_, after = method.unlearn(ensemble, split, method.config(), Generators([0, 1]))
    assert all(tensor.isfinite().all() for tensor in after.state().values())


def test_outputs_of_a_class_may_be_a_convolutions_and_only_a_linear_layer_is_drawn_anew(
    suite: Suite, forget: ForgetSet
) -> None:
    other = dataclasses.replace(suite, network=ending_in_a_convolution)
    lacking = {name for name, row in METHODS.items() if any(need.lacking(other, forget) for need in row.needs)}
    assert (
        lacking
        == {name for name, row in METHODS.items() if CLASSIFIER in row.needs}
        == {
            "certified-removal",
            "kde",
            "rni",
        }
    )


def test_a_classifier_that_is_sparse_is_expanded_and_stays_sparse() -> None:
    (ensemble, split), method = made(ending_in_a_convolution), METHODS["boundary-expand"]
    ensemble.obey(magnitude_masks(ensemble, Pruning("omp", 0.3)))
    assert not ensemble.masks["3.weight"].all()
    assert method.unlearn is not None
    *_, after = method.unlearn(ensemble, split, method.config(), Generators([0, 1]))
    for key, mask in ensemble.masks.items():
        assert (after.state()[key][~mask] == 0).all()
        assert (after.state()[key][mask] != ensemble.state()[key][mask]).any()


@pytest.mark.parametrize("name", ["eu-k", "retrain"])
def test_what_is_trained_anew_is_not_pruned_anew(name: str) -> None:
    (ensemble, split), method = made(ending_in_a_convolution), METHODS[name]
    ensemble.obey(magnitude_masks(ensemble, Pruning("omp", 0.5)))
    split = dataclasses.replace(split, recipe=Recipe(epochs=9, batch_size=16, lr=0.1, prune="omp:0.9", rewind=8))
    assert method.unlearn is not None
    (after,) = method.unlearn(ensemble, split, method.config(), Generators([0, 1]))
    after.project()
    zeros = [(after.state()[key] == 0) == ~mask for key, mask in ensemble.masks.items()]
    assert all(each.all() for each in zeros)


def test_a_network_without_a_classifier_cannot_have_its_boundary_expanded() -> None:
    def paired_off() -> nn.Module:  # two layers of two outputs, of which one is left out
        return nn.Sequential(nn.Flatten(), nn.Linear(32, 4), nn.Unflatten(1, (4, 1)), nn.Flatten())

    (ensemble, split), method = made(paired_off), METHODS["boundary-expand"]
    assert method.unlearn is not None
    with pytest.raises(MethodFailed, match=r"^expected a linear layer or convolution with 3 outputs, one a class"):
        next(method.unlearn(ensemble, split, method.config(), Generators([0, 1])))


@pytest.mark.filterwarnings("ignore:There is a performance drop")
def test_the_slope_of_an_input_gradient_is_that_of_finite_differences() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(32, 5), nn.BatchNorm1d(5), nn.Tanh(), nn.Linear(5, CLASSES))
    ensemble = ensemble_of([network, network]).double().eval()
    data = random_examples(6)
    batch = (data.x.expand(2, -1, -1, -1, -1), data.y.expand(2, -1), (data.y.expand(2, -1) + 1) % CLASSES)
    sensitivity_gap(ensemble, batch).sum().backward()
    weight = ensemble.network.get_parameter("1.weight")
    assert weight.grad is not None
    found, step = weight.grad[1, 2, 3].item(), 1e-5
    values = []
    for sign in (1, -1):
        with torch.no_grad():
            weight[1, 2, 3] += sign * step
        values.append(sensitivity_gap(ensemble, batch)[1].item())
        with torch.no_grad():
            weight[1, 2, 3] -= sign * step
    assert found == pytest.approx((values[0] - values[1]) / (2 * step), rel=1e-6)
    assert found != 0


def test_a_bench_of_all_leaves_out_what_needs_convolutions_where_there_are_none() -> None:
    needy = {name for name, method in METHODS.items() if CONVOLUTIONS in method.needs}
    suite = load_suite("tabular-mlp")
    every = {task.name for task in plan_bench(suite, ["all"], ["random-10"], models=2).tasks}
    assert needy
    assert needy.isdisjoint(every)
    assert "ct" in {task.name for task in plan_bench(suite, ["all", "ct"], ["random-10"], models=2).tasks}
    assert needy <= {task.name for task in plan_bench(load_suite("digits"), ["all"], ["random-10"], models=2).tasks}


def test_a_bench_of_all_leaves_out_what_keeps_no_layer_of_a_single_one() -> None:
    for name, kept in (("tabular", False), ("tabular-mlp", True)):
        every = {task.name for task in plan_bench(load_suite(name), ["all"], ["random-10"], models=2).tasks}
        assert ("eu-k" in every) == kept
