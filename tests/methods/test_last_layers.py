"""The last layers of a network: which they are, what is frozen, and that drawing all anew is retraining."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from expunge.ensembles import Ensemble, Plan, pretrain
from expunge.ensembles.seeds import Generators, seed_of
from expunge.ensembles.whole_models import train_whole
from expunge.errors import MethodFailed
from expunge.methods import METHODS
from expunge.methods.parts.last_layers import last_layers
from expunge.methods.zoo.eu_k import EuK, eu_k, train_anew
from expunge.suites import Split, Suite
from expunge.suites.networks import lenet, logistic
from tests.ensembles.plain import CLASSES, NormedAttention, convolutional, ensemble_of, random_examples
from tests.methods.cases import CASES


def test_a_normalisation_belongs_to_the_layer_before_it(ensemble: Ensemble) -> None:
    assert last_layers(ensemble, 1) == ["9"]
    assert last_layers(ensemble, 2) == ["4", "5", "9"]
    assert last_layers(ensemble, 3) == last_layers(ensemble, 0) == ["0", "1", "4", "5", "9"]


def test_layers_within_others_and_a_bare_layer_are_found() -> None:
    assert last_layers(ensemble_of([logistic()]), 1) == [""]
    assert last_layers(ensemble_of([lenet()]), 2) == ["9", "10", "12"]
    assert last_layers(ensemble_of([NormedAttention()]), 2) == ["head.0", "head.1", "head.3"]


def test_more_layers_than_there_are_fail_in_one_line(ensemble: Ensemble) -> None:
    with pytest.raises(MethodFailed, match=r"^expected a network of at least 4 layers with parameters, found 3$"):
        last_layers(ensemble, 4)


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.last_layers])
@pytest.mark.parametrize(("layers", "moved"), [(1, {"9"}), (2, {"4", "5", "9"})])
def test_all_before_the_last_layers_stays_to_the_last_bit(
    name: str, layers: int, moved: set[str], ensemble: Ensemble, small: Suite
) -> None:
    method, split = METHODS[name], small.split(small.forget_sets["random-20"])
    assert method.unlearn is not None
    *_, after = method.unlearn(ensemble, split, method.config(layers=layers), Generators(range(3)))
    state = ensemble.state()
    changed = {key.partition(".")[0] for key, tensor in after.state().items() if not torch.equal(tensor, state[key])}
    assert changed == moved
    assert all(parameter.requires_grad for parameter in after.parameters())


@pytest.mark.parametrize("network", [convolutional, NormedAttention])
@pytest.mark.filterwarnings("ignore:There is a performance drop")
def test_what_is_frozen_within_a_layer_that_runs_whole_stays_too(network: type[nn.Module], small: Suite) -> None:
    before = ensemble_of([network().double(), network().double()])
    data = random_examples(40)
    split = Split(data, data, CLASSES, small.recipe, lambda: network().double())
    after = train_anew(before, split, EuK(layers=1), [1, 2], Generators([1, 2]))
    last = last_layers(before, 1)
    for key, tensor in after.state().items():
        assert torch.equal(tensor, before.state()[key]) == (key.rpartition(".")[0] not in last), key


@pytest.mark.parametrize("layers", [0, 3])
def test_every_layer_drawn_anew_is_a_retraining_and_no_unlearning(layers: int, small: Suite) -> None:
    untrained, split = ensemble_of([small.network()]), small.split(small.forget_sets["random-20"])
    with pytest.raises(MethodFailed, match=rf"layers={layers} is every layer .* take fewer layers, or .* 'retrain'"):
        next(eu_k(untrained, split, EuK(layers=layers), Generators([0, 1])))


def test_all_layers_with_the_chance_of_a_retraining_are_that_oracle_byte_for_byte(small: Suite) -> None:
    small = replace(small, recipe=replace(small.recipe, epochs=3))
    forget, models = small.forget_sets["random-20"], range(2)
    oracle, _, _ = train_whole(Plan(small, "oracle", forget), models, torch.device("cpu"))
    seeds, orders = (
        [seed_of(small.digest, "oracle", forget.digest, m, use) for m in models] for use in ("weights", "order")
    )
    start = pretrain(small, 2, first=100)
    found = train_anew(start, small.split(forget), EuK(layers=0, passes=0), seeds, Generators(orders))
    assert found.state().keys() == oracle.state().keys()
    assert all(torch.equal(tensor, found.state()[key]) for key, tensor in oracle.state().items())
    other = train_anew(start, small.split(forget), EuK(layers=0, passes=0), seeds, Generators(seeds))
    assert not torch.equal(other.state()["0.weight"], oracle.state()["0.weight"])
