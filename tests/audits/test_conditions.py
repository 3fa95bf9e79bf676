"""What is known to be false of networks and recipes: each found where it is, and nowhere else."""

import pytest
import torch
from torch import Tensor, nn

from expunge.audits.conditions import known, of_network, of_recipe, require_applicable
from expunge.certificates.certificate import issue
from expunge.certificates.theorems.theorem import CONDITIONS, claim_for
from expunge.errors import NotApplicable
from expunge.methods.certified import guarantee_of
from expunge.suites import Recipe, load_suite
from tests.certificates.made import SUBJECT
from tests.certificates.theorems.examples import DELTA, constants

PLAIN = Recipe(epochs=3, batch_size=100, lr=0.1, momentum=0.0)
VALLEYS = {"linear model", "strongly convex"}


class Functional(nn.Module):
    """Kinks that are no modules."""

    def __init__(self, kink: str) -> None:
        super().__init__()
        self.layer, self.kink = nn.Linear(4, 3), kink

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layer(x)
        if self.kink == "relu":
            return out.relu()
        if self.kink == "clamp":
            return out.clamp(min=0)
        if self.kink == "abs":
            return out.abs()
        return torch.maximum(out, out.flip(-1))


def layers(*between: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Linear(4, 6), *between, nn.Linear(6, 3))


def of(network: nn.Module) -> dict[str, str]:
    return of_network(network, torch.rand(8, 4, generator=torch.Generator().manual_seed(0))).false


def test_a_linear_network_has_nothing_false() -> None:
    found = of_network(nn.Linear(4, 3), torch.rand(8, 4))
    assert found.false == {}
    assert found.held == {"no buffers": "the network has none"}


@pytest.mark.parametrize("layer", [nn.Tanh(), nn.GELU(), nn.SiLU(), nn.Softplus(), nn.Sigmoid(), nn.Softmax(-1)])
def test_smooth_layers_are_smooth(layer: nn.Module) -> None:
    assert set(of(layers(layer))) == VALLEYS


@pytest.mark.parametrize(
    ("layer", "word"),
    [
        (nn.ReLU(), "ReLU"),
        (nn.LeakyReLU(), "leaky ReLU"),
        (nn.PReLU(), "leaky ReLU"),
        (nn.RReLU(), "leaky ReLU"),
        (nn.ReLU6(), "clipped activations"),
        (nn.Hardtanh(), "clipped activations"),
        (nn.Hardswish(), "clipped activations"),
        (nn.Hardsigmoid(), "clipped activations"),
        (nn.Softshrink(), "shrinking"),
        (nn.Threshold(0.1, 0.0), "ReLU"),
    ],
)
def test_kinks_are_found(layer: nn.Module, word: str) -> None:
    found = of(layers(layer))
    assert word in found["smooth"].split(", because of ")[1]
    assert word in found["smooth Hessian"]


@pytest.mark.parametrize(
    ("kink", "word"), [("relu", "ReLU"), ("clamp", "clipped"), ("abs", "absolute"), ("maximum", "maximum")]
)
def test_kinks_that_are_no_modules_are_found(kink: str, word: str) -> None:
    assert word in of(Functional(kink))["smooth"]


def test_an_elu_is_smooth_and_its_derivative_is_not() -> None:
    found = of(layers(nn.ELU()))
    assert "smooth" not in found
    assert "ELU" in found["smooth Hessian"]


def test_pooling_and_batchnorm_are_found_on_pictures() -> None:
    found = of_network(load_suite("digits").network(), torch.rand(8, 1, 8, 8)).false
    for word in ("ReLU", "max pooling", "BatchNorm"):
        assert word in found["smooth"]
    assert "buffers, such as 1.running_mean" in found["no buffers"]


class Counting(nn.Module):
    """Whole numbers that are no weights: positions, or a count of what was seen."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 3)
        self.register_buffer("seen", torch.zeros((), dtype=torch.long))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layer(x)
        return out


def test_of_whole_numbers_nobody_knows_whether_they_hold_what_training_saw() -> None:
    found = of_network(Counting(), torch.rand(8, 4))
    assert "no buffers" not in {**found.false, **found.held}


@pytest.mark.parametrize("method", ["certified-newton", "descent-to-delete"])
def test_methods_with_noise_on_all_weights_apply_to_any_network(method: str) -> None:
    require_applicable(method, guarantee_of(method).theorem, load_suite("tabular-mlp"))


@pytest.mark.parametrize("suite", ["tabular-mlp", "digits"])
def test_a_method_of_linear_models_does_not_apply_to_others(suite: str) -> None:
    theorem = guarantee_of("certified-removal").theorem
    require_applicable("certified-removal", theorem, load_suite("tabular"))
    with pytest.raises(NotApplicable, match=f"certified-removal does not apply to {suite}, where it is NOT CERTIFIED"):
        require_applicable("certified-removal", theorem, load_suite(suite))


def test_dropout_is_found_and_the_generators_stay_where_they_were() -> None:
    draws, draws_not = layers(nn.Dropout(0.5)), layers(nn.Dropout(0.0))
    state = torch.get_rng_state()
    assert "dropout" in of(draws)["no chance"]
    assert "no chance" not in of(draws_not)
    assert torch.equal(state, torch.get_rng_state())


def test_the_network_stays_as_it_was() -> None:
    network = layers(nn.BatchNorm1d(6)).train()
    before = {name: each.clone() for name, each in network.state_dict().items()}
    of(network)
    assert network.training
    assert all(torch.equal(each, before[name]) for name, each in network.state_dict().items())
    assert {each.dtype for each in network.parameters()} == {torch.float32}


def test_layers_in_a_row_are_not_linear_in_their_weights() -> None:
    assert set(of(layers())) == VALLEYS


@pytest.mark.parametrize(
    ("change", "condition"),
    [
        ({"batch_size": 99}, "full batch"),
        ({"weight_decay": 0.0}, "strongly convex"),
        ({"augment": "flip"}, "no chance"),
    ],
)
def test_what_a_recipe_does_otherwise_is_found(change: dict[str, object], condition: str) -> None:
    given = {"epochs": 3, "batch_size": 100, "lr": 0.1, "momentum": 0.0} | change
    assert condition in of_recipe(Recipe(**given), 100)  # type: ignore[arg-type]
    assert condition not in of_recipe(PLAIN, 100)


def test_momentum_is_told() -> None:
    assert "momentum 0.9" in of_recipe(Recipe(epochs=1, batch_size=1, lr=0.1), 100)["plain steps"]
    assert "momentum" not in of_recipe(PLAIN, 100)["plain steps"]


@pytest.mark.parametrize("suite", ["digits", "tabular"])
@pytest.mark.parametrize("by_recipe", [True, False])
def test_all_that_is_said_of_a_suite_are_conditions(suite: str, by_recipe: bool) -> None:
    found = known(load_suite(suite), by_recipe=by_recipe)
    assert set(found.false) | set(found.held) <= set(CONDITIONS)
    assert ("converged" in found.false) == by_recipe


def test_the_network_of_digits_is_not_certified_by_a_newton_step() -> None:
    claim = claim_for("newton-lissa", constants("newton-lissa"), 1.0, DELTA, parameters=1, norm=10.0)
    found = known(load_suite("digits"), by_recipe=False)
    made = issue(SUBJECT, 0, claim, false=found.false, held=found.held)
    assert made.verdict == "NOT CERTIFIED"
    assert made.epsilon is None
    assert {name for name, each in made.conditions.items() if each.stands == "false"} == {
        "smooth",
        "smooth Hessian",
        "no buffers",
    }
