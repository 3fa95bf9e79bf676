"""Every setting of a recipe is honoured, for each model as the plain PyTorch loop would honour it."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from expunge.ensembles import layers
from expunge.ensembles.augment import PAD, cropped, flipped
from expunge.ensembles.seeds import Generators
from expunge.ensembles.train import measure, train
from expunge.errors import BadSetting
from expunge.suites import Data, Examples, Recipe
from expunge.suites.target import cross_entropy
from tests.ensembles.plain import (
    NormedAttention,
    batches_of,
    convolutional,
    ensemble_of,
    one_by_one,
    random_examples,
)

PLAIN = Recipe(epochs=2, batch_size=16, lr=0.1, momentum=0.9, weight_decay=5e-2)
EXAMPLES, MODELS = 37, 3
RECIPES = {
    "from zero": replace(PLAIN, from_zero=True),
    "label smoothing": replace(PLAIN, label_smoothing=0.1),
    "no decay of norms": replace(PLAIN, decay_norm=False),
    "flips": replace(PLAIN, augment="flip"),
    "flips and crops": replace(PLAIN, augment="flip-crop"),
    "all": replace(PLAIN, from_zero=True, label_smoothing=0.1, decay_norm=False, augment="flip-crop"),
}

pytestmark = pytest.mark.filterwarnings("ignore:There is a performance drop")


@pytest.fixture
def data() -> Examples:
    return random_examples(EXAMPLES)


def trained(recipe: Recipe, data: Examples, networks: list[nn.Module], seeds: range) -> dict[str, Tensor]:
    rows = torch.arange(EXAMPLES).expand(len(networks), -1)
    return train(ensemble_of(networks), data, rows, recipe, Generators(seeds)).state()


@pytest.mark.parametrize("network", [convolutional, NormedAttention])
@pytest.mark.parametrize("name", RECIPES)
def test_stacked_training_is_training_one_by_one(name: str, network: type[nn.Module], data: Examples) -> None:
    torch.manual_seed(0)
    networks, recipe = [network().double() for _ in range(MODELS)], RECIPES[name]
    stacked = trained(recipe, data, networks, range(MODELS))
    plain = trained(PLAIN, data, networks, range(MODELS))
    assert not all(torch.equal(stacked[key], plain[key]) for key in plain), "the setting changed nothing"
    for index, each in enumerate(networks):
        batches = batches_of(data, torch.arange(EXAMPLES), recipe, index)
        for key, tensor in one_by_one(each, batches, recipe).state_dict().items():
            torch.testing.assert_close(stacked[key][index], tensor, rtol=0, atol=1e-10, msg=key)


def test_a_rate_that_climbs_from_zero_to_the_end_does_so() -> None:
    recipe = replace(PLAIN, from_zero=True, warmup=1.0, lr=1.0)
    assert [recipe.lr_at(step, 4) for step in range(4)] == [0.0, 0.25, 0.5, 0.75]


def test_what_a_model_becomes_does_not_depend_on_its_neighbours(data: Examples) -> None:
    torch.manual_seed(0)
    networks = [convolutional().double() for _ in range(MODELS)]
    together = trained(RECIPES["all"], data, networks, range(MODELS))
    alone = trained(RECIPES["all"], data, networks[2:], range(2, MODELS))
    for key, tensor in alone.items():
        torch.testing.assert_close(together[key][2], tensor[0], rtol=0, atol=1e-10, msg=key)


def test_label_smoothing_mixes_the_label_with_all_classes() -> None:
    logits, labels = torch.randn(2, 5, 4, dtype=torch.float64), torch.randint(4, (2, 5))
    target = 0.9 * F.one_hot(labels, 4) + 0.1 / 4
    expected = -(target * logits.log_softmax(-1)).sum(-1).mean(1)
    torch.testing.assert_close(cross_entropy(logits, labels, 0.1), expected)


def test_flips_exchange_left_and_right_of_the_chosen_pictures_alone() -> None:
    x = torch.arange(2 * 2 * 1 * 2 * 3.0).view(2, 2, 1, 2, 3)
    result = flipped(x, torch.tensor([[True, False], [False, True]]))
    assert torch.equal(result[0, 0], x[0, 0].flip(-1))
    assert torch.equal(result[0, 1], x[0, 1])
    assert torch.equal(result[1, 1, 0, 1], x[1, 1, 0, 1].flip(-1))


@pytest.mark.parametrize(("down", "right"), [(0, 0), (PAD, PAD), (2 * PAD, 0), (1, 2 * PAD)])
def test_a_crop_is_a_window_of_the_picture_with_zeros_around_it(down: int, right: int) -> None:
    x = torch.randn(1, 1, 3, 5, 6)
    expected = F.pad(x, (PAD,) * 4)[..., down : down + 5, right : right + 6]
    assert torch.equal(cropped(x, torch.tensor([[[down, right]]])), expected)


def test_rows_of_numbers_cannot_be_flipped() -> None:
    network = nn.Sequential(nn.Linear(8, 3))
    rows = Examples(torch.zeros(EXAMPLES, 8), torch.zeros(EXAMPLES, dtype=torch.int64))
    ensemble = ensemble_of([network])
    ensemble.sample_shape = (8,)
    with pytest.raises(BadSetting, match=r"augment='flip': expected pictures .* got \(8,\)"):
        train(ensemble, rows, torch.arange(EXAMPLES).expand(1, -1), RECIPES["flips"], Generators(range(1)))


def watched(patch: pytest.MonkeyPatch, kinds: tuple[type[nn.Module], ...]) -> list[torch.dtype]:
    """The types of what the layers of these kinds return, as they run."""
    seen: list[torch.dtype] = []
    for kind in kinds:
        rule = layers.rule_of(kind)

        def noted(layer: nn.Module, x: Tensor, rule: layers.Rule = rule) -> Tensor:
            output: Tensor = rule(layer, x)
            seen.append(output.dtype)
            return output

        patch.setitem(layers.LAYERS, kind, noted)
    return seen


def test_bfloat16_is_the_type_of_the_layers_and_of_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    data, recipe = random_examples(EXAMPLES, torch.float32), replace(PLAIN, precision="bfloat16")
    stacked = ensemble_of([convolutional() for _ in range(MODELS)])
    seen = watched(monkeypatch, (nn.ReLU, nn.GELU, nn.Tanh))
    train(stacked, data, torch.arange(EXAMPLES).expand(MODELS, -1), recipe, Generators(range(MODELS)))
    assert seen
    assert set(seen) == {torch.bfloat16}
    assert all(tensor.dtype in (torch.float32, torch.int64) for tensor in stacked.state().values())
    seen.clear()
    values, _ = measure(stacked, Data(data, data, 3))
    assert set(seen) == {torch.float32}
    assert values.dtype == torch.float32


def test_the_loss_is_taken_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[torch.dtype] = []

    def loss(logits: Tensor, labels: Tensor, smoothing: float) -> Tensor:
        seen.append(logits.dtype)
        return cross_entropy(logits, labels, smoothing)

    monkeypatch.setattr("expunge.suites.target.cross_entropy", loss)
    networks: list[nn.Module] = [convolutional()]
    trained(replace(PLAIN, precision="bfloat16"), random_examples(EXAMPLES, torch.float32), networks, range(1))
    assert set(seen) == {torch.float32}


class Block(nn.Module):
    """A layer of the user's own, with a convolution in it."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution, self.norm = nn.Conv2d(2, 2, 3, padding=1), nn.BatchNorm2d(2)

    def forward(self, x: Tensor) -> Tensor:
        normed: Tensor = self.norm(self.convolution(x))
        return x + normed.relu()


def test_layers_without_a_rule_stay_in_float32_after_layers_in_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    data, recipe = random_examples(EXAMPLES, torch.float32), replace(PLAIN, precision="bfloat16")
    network = nn.Sequential(nn.Conv2d(2, 2, 1), Block(), nn.Flatten(), nn.Linear(32, 3))
    stacked = ensemble_of([network for _ in range(MODELS)])
    seen = watched(monkeypatch, (Block,))
    train(stacked, data, torch.arange(EXAMPLES).expand(MODELS, -1), recipe, Generators(range(MODELS)))
    assert seen
    assert set(seen) == {torch.float32}


def test_training_in_bfloat16_ends_near_training_in_float32() -> None:
    data = random_examples(EXAMPLES, torch.float32)
    torch.manual_seed(0)
    networks = [convolutional() for _ in range(MODELS)]
    exact = trained(PLAIN, data, networks, range(MODELS))
    rough = trained(replace(PLAIN, precision="bfloat16"), data, networks, range(MODELS))
    assert any(not torch.equal(exact[key], rough[key]) for key in exact)
    for key in exact:
        torch.testing.assert_close(rough[key], exact[key], rtol=0, atol=0.03, msg=key)


@pytest.mark.parametrize(
    ("setting", "value"),
    [("epochs", 0), ("lr", 0.0), ("momentum", -3.0), ("weight_decay", -1.0), ("warmup", 7.0), ("label_smoothing", 1.0)],
)
def test_a_setting_that_means_nothing_is_refused_by_name(setting: str, value: object) -> None:
    with pytest.raises(BadSetting, match=f"recipe: expected {setting} to be"):
        Recipe(**{"epochs": 1, "batch_size": 1, "lr": 0.1, setting: value})  # type: ignore[arg-type]
