"""The law of the stack: training together is training one by one."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from expunge.ensembles import Ensemble, Origin
from expunge.ensembles.seeds import Generators
from expunge.ensembles.train import measure, train
from expunge.suites import Examples, Recipe

RECIPE = Recipe(epochs=3, batch_size=16, lr=0.1, momentum=0.9, weight_decay=5e-3)
EXAMPLES = 37  # two whole batches and an uneven one
MODELS = 5


def convolutional() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1, groups=2),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(4, 6, 2, stride=2, bias=False),
        nn.BatchNorm2d(6),
        nn.GELU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(6, 8),
        nn.BatchNorm1d(8),
        nn.Tanh(),
        nn.Linear(8, 3, bias=False),
    )


class Attention(nn.Module):
    """A network that the stack has no rule for: it goes through vmap whole."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(8, 8)
        self.norm = nn.LayerNorm(8)
        self.query = nn.Linear(8, 8)
        self.head = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.norm(self.embed(x.flatten(2).unflatten(2, (2, 8)).flatten(1, 2)))
        weights = (self.query(tokens) @ tokens.transpose(1, 2)).softmax(-1)
        logits: Tensor = self.head((weights @ tokens).mean(1))
        return logits


def mixed() -> nn.Module:
    """Layers with a rule around layers without one."""
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1, padding_mode="circular"),
        nn.GroupNorm(2, 4),
        nn.PReLU(),
        nn.BatchNorm2d(4, affine=False),
        nn.Flatten(),
        nn.Linear(64, 3),
    )


def one_by_one(network: nn.Module, data: Examples, order: Tensor) -> nn.Module:
    """The plain PyTorch loop, on one model; ``order`` is (epochs, examples)."""
    network.train()
    optimizer = torch.optim.SGD(
        network.parameters(), lr=RECIPE.lr, momentum=RECIPE.momentum, weight_decay=RECIPE.weight_decay
    )
    batches = [rows for epoch in order for rows in epoch.split(RECIPE.batch_size)]
    for step, rows in enumerate(batches):
        for group in optimizer.param_groups:
            group["lr"] = RECIPE.lr_at(step, len(batches))
        optimizer.zero_grad()
        F.cross_entropy(network(data.x[rows]), data.y[rows]).backward()
        optimizer.step()
    return network


def ensemble_of(networks: list[nn.Module]) -> Ensemble:
    origin = Origin("test", "0", "pretrained", None, tuple(range(len(networks))))
    return Ensemble.stack(networks, origin, (2, 4, 4))


@pytest.fixture
def data() -> Examples:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(EXAMPLES, 2, 4, 4, dtype=torch.float64, generator=generator)
    return Examples(x, torch.randint(3, (EXAMPLES,), generator=generator))


@pytest.mark.parametrize("network", [convolutional, Attention, mixed])
def test_stacked_training_is_training_one_by_one(network: Callable[[], nn.Module], data: Examples) -> None:
    torch.manual_seed(0)
    networks = [network().double() for _ in range(MODELS)]
    rows = torch.stack([torch.randperm(EXAMPLES) for _ in range(MODELS)])[:, : EXAMPLES - 2]  # of each its own
    drawn = Generators(range(MODELS))
    order = torch.stack([rows.gather(1, drawn.permutation(rows.shape[1])) for _ in range(RECIPE.epochs)], dim=1)

    stacked = train(ensemble_of(networks), data, rows, RECIPE, Generators(range(MODELS)))

    for index, each in enumerate(networks):
        expected = one_by_one(each, data, order[index]).state_dict()
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


@pytest.mark.parametrize("network", [convolutional, Attention, mixed])
def test_a_stack_computes_what_its_models_compute(network: Callable[[], nn.Module], data: Examples) -> None:
    torch.manual_seed(0)
    stacked = ensemble_of([network().double() for _ in range(MODELS)]).eval()
    together = stacked(data.x)
    assert together.shape == (MODELS, EXAMPLES, 3)
    for index, model in enumerate(stacked):
        torch.testing.assert_close(together[index], model(data.x), rtol=0, atol=1e-12)


def test_per_model_inputs_and_shared_inputs_agree(data: Examples) -> None:
    stacked = ensemble_of([convolutional().double() for _ in range(2)]).eval()
    assert torch.equal(stacked(data.x), stacked(torch.stack([data.x, data.x])))


def test_a_wrong_input_is_refused_with_both_shapes(data: Examples) -> None:
    stacked = ensemble_of([convolutional().double() for _ in range(2)])
    with pytest.raises(ValueError, match=r"expected input \(2, batch, \(2, 4, 4\)\).*got \(37, 2, 4\)"):
        stacked(data.x[..., 0])


def test_a_model_taken_out_has_tensors_of_its_own() -> None:
    stacked = ensemble_of([convolutional() for _ in range(2)])
    model = stacked[1]
    assert list(model.state_dict()) == list(convolutional().state_dict())
    nn.init.zeros_(model[0].weight)  # type: ignore[index]
    assert stacked.state()["0.weight"][1].abs().sum() > 0


def test_margins_do_not_depend_on_the_mode_or_change_it(data: Examples) -> None:
    stacked = ensemble_of([convolutional().double() for _ in range(2)]).train()
    values, correct = measure(stacked, data, batch_size=10)
    assert stacked.training
    again, _ = measure(stacked.eval(), data, batch_size=EXAMPLES)
    np.testing.assert_allclose(values, again, rtol=0, atol=1e-12)
    assert correct.shape == (2, EXAMPLES)
