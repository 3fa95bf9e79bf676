"""The law of the stack: training together is training one by one."""

from collections.abc import Callable
from copy import deepcopy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from expunge.ensembles import Ensemble, Origin, layers
from expunge.ensembles.optimizers import Adam
from expunge.ensembles.seeds import Generators
from expunge.ensembles.train import measure, train
from expunge.errors import BadSetting
from expunge.suites import Data, Examples, ForgetSets, Recipe, Suite
from tests.ensembles.plain import (
    Attention,
    NormedAttention,
    batches_of,
    convolutional,
    ensemble_of,
    mixed,
    one_by_one,
    random_examples,
)

RECIPE = Recipe(epochs=3, batch_size=16, lr=0.1, momentum=0.9, weight_decay=5e-3)
EXAMPLES = 37  # two whole batches and an uneven one
MODELS = 5
NETWORKS = [convolutional, Attention, NormedAttention, mixed]

# torch says that it has no fast rule for attention; that is no news.
pytestmark = pytest.mark.filterwarnings("ignore:There is a performance drop")


@pytest.fixture
def data() -> Examples:
    return random_examples(EXAMPLES)


@pytest.mark.parametrize("network", NETWORKS)
def test_stacked_training_is_training_one_by_one(network: Callable[[], nn.Module], data: Examples) -> None:
    torch.manual_seed(0)
    networks = [network().double() for _ in range(MODELS)]
    rows = torch.stack([torch.randperm(EXAMPLES) for _ in range(MODELS)])[:, : EXAMPLES - 2]  # of each its own

    stacked = train(ensemble_of(networks), data, rows, RECIPE, Generators(range(MODELS)))

    for index, each in enumerate(networks):
        expected = one_by_one(each, batches_of(data, rows[index], RECIPE, index), RECIPE).state_dict()
        found = stacked[index].state_dict()
        assert expected.keys() == found.keys()
        for key, tensor in expected.items():
            torch.testing.assert_close(found[key], tensor, rtol=0, atol=1e-10, msg=key)


def test_the_law_sees_a_forgotten_running_statistic(data: Examples) -> None:
    """The law is no law if it passes without what it is about."""
    torch.manual_seed(0)
    stacked = ensemble_of([convolutional().double() for _ in range(2)])
    before = {key: tensor.clone() for key, tensor in stacked.state().items()}
    train(stacked, data, torch.arange(EXAMPLES).expand(2, -1), RECIPE, Generators(range(2)))
    assert all(not torch.equal(tensor, before[key]) for key, tensor in stacked.state().items())


@pytest.mark.parametrize("network", NETWORKS)
def test_a_stack_computes_what_its_models_compute(network: Callable[[], nn.Module], data: Examples) -> None:
    torch.manual_seed(0)
    stacked = ensemble_of([network().double() for _ in range(MODELS)]).eval()
    together = stacked(data.x)
    assert together.shape == (MODELS, EXAMPLES, 3)
    for index, model in enumerate(stacked):
        torch.testing.assert_close(together[index], model(data.x), rtol=0, atol=1e-12)


@pytest.mark.parametrize("training", [False, True])
def test_a_stack_goes_backward_as_its_models_do_on_a_single_example(training: bool) -> None:
    """BatchNorm on views of a batch of one: right forward, wrong backward, unless the strides are put straight."""
    layers = [nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(16, 3)]
    models = [nn.Sequential(*map(deepcopy, layers)).double().train(training) for _ in range(3)]
    stack = ensemble_of(models).train(training)
    x = random_examples(1).x
    stack(x).sigmoid().sum().backward()
    found = [parameter.grad for parameter in stack.parameters()]
    for row, model in enumerate(models):
        model(x).sigmoid().sum().backward()
        for gradients, parameter in zip(found, model.parameters(), strict=True):
            assert gradients is not None
            torch.testing.assert_close(gradients[row], parameter.grad, rtol=0, atol=1e-12)


def test_per_model_inputs_and_shared_inputs_agree(data: Examples) -> None:
    stacked = ensemble_of([convolutional().double() for _ in range(2)]).eval()
    assert torch.equal(stacked(data.x), stacked(torch.stack([data.x, data.x])))


@pytest.mark.parametrize(
    ("shape", "why"),
    [((37, 2, 4), "too few dimensions"), ((3, 37, 2, 4, 4), "other models"), ((37, 3, 4, 4), "other channels")],
)
def test_a_wrong_input_is_refused_with_both_shapes(shape: tuple[int, ...], why: str) -> None:
    stacked = ensemble_of([convolutional().double() for _ in range(2)])
    expected = rf"expected input \(2, batch, \(2, 4, 4\)\).*got {str(shape)[:-1]}".replace("got (", r"got \(")
    with pytest.raises(ValueError, match=expected):
        stacked(torch.zeros(shape, dtype=torch.float64))


def test_pictures_of_another_size_are_taken_by_a_network_that_takes_them() -> None:
    stacked = ensemble_of([convolutional().double() for _ in range(2)]).eval()
    larger = torch.randn(3, 2, 6, 8, dtype=torch.float64)
    assert stacked(larger).shape == (2, 3, 3)
    torch.testing.assert_close(stacked(larger)[1], stacked[1](larger), rtol=0, atol=1e-12)


def test_test_pictures_of_another_size_are_measured(data: Examples) -> None:
    stacked = ensemble_of([convolutional().double() for _ in range(2)]).eval()
    larger = Examples(F.pad(data.x, (1, 1, 1, 1)), data.y)
    values, _ = measure(stacked, Data(data, larger, 3), batch_size=10)
    apart = [measure(stacked, Data(part, part, 3))[0][:, :EXAMPLES] for part in (data, larger)]
    torch.testing.assert_close(values, torch.cat(apart, dim=1), rtol=0, atol=1e-12)


def test_pictures_of_another_size_are_refused_in_words_by_a_network_that_does_not_take_them() -> None:
    stacked = ensemble_of([mixed() for _ in range(2)])
    with pytest.raises(BadSetting, match=r"takes inputs of \(2, 4, 4\), but not of \(2, 6, 6\)"):
        stacked(torch.zeros(3, 2, 6, 6))


def test_inputs_stored_in_half_precision_are_computed_on_in_float32() -> None:
    stacked = ensemble_of([convolutional() for _ in range(2)]).eval()
    x = torch.randn(5, 2, 4, 4).half()
    assert torch.equal(stacked(x), stacked(x.float()))


def tokens() -> nn.Module:
    """Two rows of logits for each input."""
    return nn.Sequential(nn.Flatten(2), nn.Linear(16, 8), nn.Linear(8, 3))


@pytest.mark.parametrize("shape", [nn.Flatten(0), nn.Flatten(0, 1)])
def test_a_network_that_returns_no_row_of_logits_per_input_is_refused(shape: nn.Module) -> None:
    network = nn.Sequential(tokens(), shape)
    with pytest.raises(BadSetting, match=r"expected a network that returns \(5, classes\) for 5 inputs"):
        ensemble_of([network, network])(torch.zeros(5, 2, 4, 4))


def test_two_rows_of_logits_per_input_are_the_stacks_to_give_and_no_classifiers(data: Examples) -> None:
    """Where an example has one label, the suite refuses them before any training."""
    assert ensemble_of([tokens().double()] * 2)(data.x).shape == (2, EXAMPLES, 2, 3)
    suite = Suite(
        name="tokens", version=1, data=Data(data, data, 3), network=lambda: tokens().double(), recipe=RECIPE,
        forget_sets=ForgetSets({}), models=2,
    )  # fmt: skip
    with pytest.raises(BadSetting, match=r"logits of \(2, 3\), .*, got \(2, 2, 3\)"):
        suite.check()


def test_a_network_that_returns_a_tuple_is_refused_in_one_line() -> None:
    network = nn.Sequential(nn.Flatten(2), nn.LSTM(16, 3))
    with pytest.raises(BadSetting, match=r"expected a network that returns .*, got tuple") as caught:
        ensemble_of([network, network])(torch.zeros(5, 2, 4, 4))
    assert "\n" not in str(caught.value)


def test_a_model_taken_out_has_tensors_of_its_own() -> None:
    stacked = ensemble_of([convolutional() for _ in range(2)])
    model = stacked[1]
    assert list(model.state_dict()) == list(convolutional().state_dict())
    nn.init.zeros_(model[0].weight)  # type: ignore[index]
    assert stacked.state()["0.weight"][1].abs().sum() > 0


def test_margins_do_not_depend_on_the_mode_or_change_it(data: Examples) -> None:
    stacked = ensemble_of([convolutional().double() for _ in range(2)]).train()
    values, correct = measure(stacked, Data(data, data, 3), batch_size=10)
    assert stacked.training
    again, _ = measure(stacked.eval(), Data(data, data, 3), batch_size=EXAMPLES)
    np.testing.assert_allclose(values, again, rtol=0, atol=1e-12)
    assert correct.shape == (2, 2 * EXAMPLES)


def test_adam_takes_the_steps_of_torch_for_each_model_and_leaves_what_no_loss_reached() -> None:
    networks = [nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 2)).double() for _ in range(2)]
    ensemble = Ensemble.stack(networks, Origin("test", "0", "pretrained", None, (0, 1)), (3,))
    plain = [torch.optim.Adam(network[:1].parameters(), lr=0.01) for network in networks]
    optimizer = Adam(ensemble, lr=0.01)
    for step in range(3):
        x = torch.randn(2, 4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(step))
        optimizer.zero_grad()
        layers.run(ensemble.network[0], x).square().sum().backward()  # type: ignore[index]
        optimizer.step()
        for model, (network, each) in enumerate(zip(networks, plain, strict=True)):
            each.zero_grad()
            network[0](x[model]).square().sum().backward()
            each.step()
    for model, network in enumerate(networks):
        for key, tensor in network.state_dict().items():
            torch.testing.assert_close(ensemble.state()[key][model], tensor, rtol=0, atol=1e-14)
