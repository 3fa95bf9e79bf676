"""What goes into layers, seen from within a stack: patches, several calls, tied weights, modes, models by and by."""

import pytest
import torch
from torch import Tensor, nn

from expunge.ensembles import Ensemble
from expunge.ensembles.seeds import Generators
from expunge.methods import METHODS
from expunge.methods.parts import second_moments as parts
from expunge.methods.parts.per_sample import in_order
from expunge.methods.parts.second_moments import patches, second_moments
from expunge.methods.zoo.gradient_free import importance, projection
from expunge.suites import Examples, Recipe, Split
from tests.ensembles.plain import CLASSES, convolutional, ensemble_of, random_examples


class Tied(nn.Module):
    """The first layer runs twice, and a second one has its weights; another, of no use, never runs."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.idle = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 4)
        self.second.weight, self.head = self.first.weight, nn.Linear(4, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.tanh(self.first(torch.tanh(self.first(x))))
        out: Tensor = self.head(torch.tanh(self.second(x)))
        return out


def split_of(x: Tensor) -> Split:
    y = torch.arange(len(x)) % CLASSES
    parts = Examples(x[:20], y[:20]), Examples(x[20:], y[20:])
    return Split(*parts, CLASSES, Recipe(epochs=1, batch_size=16, lr=0.1), convolutional)


def after(name: str, ensemble: Ensemble, split: Split) -> dict[str, Tensor]:
    method = METHODS[name]
    assert method.unlearn
    *_, last = method.unlearn(ensemble, split, method.config(), Generators([0, 1]))
    return last.state()


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(4, 6, (3, 2), stride=(2, 1), padding=(1, 0), dilation=(1, 2), groups=2, bias=False),
        nn.Conv1d(4, 6, 3, padding="same", bias=False),
        nn.Conv3d(4, 2, 2, padding=1, padding_mode="circular", bias=False),
    ],
)
def test_a_convolution_is_its_weights_times_its_patches(layer: nn.Conv2d) -> None:
    x = torch.randn(5, 4, *[7] * len(layer.kernel_size))
    weight = layer.weight.flatten(1).unflatten(0, (layer.groups, -1))
    outputs = (patches(layer, x) @ weight.mT).unflatten(1, (5, -1)).permute(1, 0, 3, 2).flatten(1, 2)
    torch.testing.assert_close(outputs, layer(x).flatten(2))


@pytest.mark.filterwarnings("ignore:There is a performance drop")
def test_inputs_are_those_of_evaluation_mode() -> None:
    """These pass the rules of the stack by, so that the law of modes does not see them."""
    torch.manual_seed(0)
    networks, data = [convolutional().double() for _ in range(2)], random_examples(30)
    ensemble = ensemble_of(networks).train()
    ensemble.sample_shape = tuple(data.x.shape[1:])
    found = second_moments(ensemble, data, in_order(ensemble, data), ["12"])["12"]
    for row, network in enumerate(networks):
        children = list(network.eval().children())
        rows = nn.Sequential(*children[:12])(data.x).detach()
        torch.testing.assert_close(found[row, 0], rows.T @ rows)
    assert ensemble.training


def test_tied_weights_are_projected_once_by_the_inputs_of_all_calls() -> None:
    torch.manual_seed(0)
    networks = [Tied().double() for _ in range(2)]
    ensemble, split = ensemble_of(networks), split_of(torch.randn(30, 4, dtype=torch.float64))
    ensemble.sample_shape = (4,)
    found = after("gradient-free", ensemble, split)

    def moments(network: Tied, x: Tensor) -> Tensor:
        one = torch.tanh(network.first(x))
        rows = torch.cat([x, one, torch.tanh(network.first(one))])
        return (rows.T @ rows)[None, None]

    for row, network in enumerate(networks):
        forget, retain = (moments(network, part.x).detach() for part in (split.forget, split.retain))
        p = projection(importance(forget, 3.0), importance(retain, 100.0))[0, 0]
        torch.testing.assert_close(found["first.weight"][row], network.first.weight @ p.T)
        assert torch.equal(found["idle.weight"][row], network.idle.weight)
    assert torch.equal(found["first.weight"], found["second.weight"])


def test_models_that_find_no_room_together_go_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    ensemble, split = ensemble_of([Tied(), Tied()]), split_of(torch.randn(30, 4))
    ensemble.sample_shape = (4,)
    together = after("gradient-free", ensemble, split)
    monkeypatch.setattr(parts, "ROOM", 1)
    alone = after("gradient-free", ensemble, split)
    for key, tensor in together.items():
        torch.testing.assert_close(alone[key], tensor)


def test_moments_of_many_examples_are_summed_over_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    ensemble, x = ensemble_of([Tied()]), torch.randn(30, 4)
    ensemble.sample_shape = (4,)
    monkeypatch.setattr(parts, "BATCH", 7)
    examples = Examples(x, torch.arange(30) % CLASSES)
    found = second_moments(ensemble, examples, in_order(ensemble, examples), ["first", "idle"])
    assert found.keys() == {"first"}
    rows = torch.cat([x, torch.tanh(ensemble[0].get_submodule("first")(x))]).double()
    torch.testing.assert_close(found["first"][0, 0], (rows.T @ rows).detach(), rtol=1e-5, atol=1e-5)
