"""Laws that hold for every row of METHODS; anchors, which are made of margins, are exempt by name."""

import dataclasses
import itertools

import pytest
import torch
from torch import Tensor

from expunge.ensembles import Ensemble
from expunge.ensembles.train import measure
from expunge.methods import METHODS, Step, configure, run_method
from expunge.suites import ForgetSet, Suite

ANCHORS = {"identity", "oracle"}
TRAINING = sorted(METHODS.keys() - ANCHORS)
EPOCHS = 2


def steps_of(name: str, ensemble: Ensemble, suite: Suite, forget: ForgetSet, seed: int = 0) -> list[Step]:
    method = METHODS[name]
    config = configure(name, method, {"epochs": EPOCHS})
    return list(run_method(name, method, config, ensemble, suite, forget, seed))


def flat(ensemble: Ensemble) -> Tensor:
    """Parameters only: BatchNorm's buffers move by themselves."""
    return torch.cat([parameter.detach().flatten(1) for parameter in ensemble.parameters()], dim=1)


def test_only_the_anchors_have_nothing_to_run() -> None:
    assert {name for name, method in METHODS.items() if method.anchor} == ANCHORS


@pytest.mark.parametrize("name", TRAINING)
def test_its_input_is_untouched_and_every_model_moves(
    name: str, ensemble: Ensemble, suite: Suite, forget: ForgetSet
) -> None:
    before = {key: tensor.clone() for key, tensor in ensemble.state().items()}
    after = steps_of(name, ensemble, suite, forget)[-1].ensemble
    assert all(torch.equal(tensor, before[key]) for key, tensor in ensemble.state().items())
    assert not ensemble.training
    assert ((flat(after) - flat(ensemble)).abs().amax(1) > 0).all()


@pytest.mark.parametrize("name", TRAINING)
def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(
    name: str, ensemble: Ensemble, suite: Suite, forget: ForgetSet
) -> None:
    first, again, other = (steps_of(name, ensemble, suite, forget, seed)[-1].ensemble.state() for seed in (0, 0, 1))
    assert all(torch.equal(tensor, again[key]) for key, tensor in first.items())
    assert any(not torch.equal(tensor, other[key]) for key, tensor in first.items())


@pytest.mark.parametrize("name", TRAINING)
def test_every_epoch_is_yielded_and_is_a_snapshot(
    name: str, ensemble: Ensemble, suite: Suite, forget: ForgetSet
) -> None:
    steps = steps_of(name, ensemble, suite, forget)
    assert [step.epoch for step in steps] == list(range(1, EPOCHS + 1))
    assert not torch.equal(flat(steps[0].ensemble), flat(steps[1].ensemble))
    assert not any(step.ensemble.training for step in steps)
    shorter = configure(name, METHODS[name], {"epochs": 1})
    alone = list(run_method(name, METHODS[name], shorter, ensemble, suite, forget))
    assert torch.equal(flat(alone[0].ensemble), flat(steps[0].ensemble))


@pytest.mark.parametrize("name", TRAINING)
def test_costs_are_counted_and_grow_with_the_epochs(
    name: str, ensemble: Ensemble, suite: Suite, forget: ForgetSet
) -> None:
    costs = [step.cost for step in steps_of(name, ensemble, suite, forget)]
    assert costs == pytest.approx([expected_cost(name, epoch, suite, forget) for epoch in (1, 2)])


@pytest.mark.parametrize("name", TRAINING)
def test_looking_at_a_result_costs_the_method_nothing(
    name: str, ensemble: Ensemble, suite: Suite, forget: ForgetSet
) -> None:
    method = METHODS[name]
    costs = []
    for step in run_method(name, method, configure(name, method, {"epochs": 2}), ensemble, suite, forget):
        measure(step.ensemble, suite.data)
        costs.append(step.cost)
    assert costs == pytest.approx([expected_cost(name, epoch, suite, forget) for epoch in (1, 2)])


def expected_cost(name: str, epochs: int, suite: Suite, forget: ForgetSet) -> float:
    """Counted by hand: passes over retained and forgotten examples as a share of one retraining."""
    f, r = len(forget), len(suite.data.train) - len(forget)
    batches = -(-r // 64)
    f_batches, last = divmod(batches, -(-f // 16))
    paired = f_batches * f + min(f, last * 16)
    examples = {
        "fine-tune": epochs * r,
        "gradient-ascent": epochs * f,
        "ascent-descent": epochs * r + f,
        "neg-grad-plus": epochs * (r + paired),
        "random-labels": epochs * (r + f),
        "scrub": (epochs * r + f) * 4 / 3,  # the teacher goes forward only, a third of forward and backward
    }
    return examples[name] / (suite.recipe.epochs * r)


@pytest.mark.parametrize("name", TRAINING)
def test_a_default_recipe_costs_at_most_15_percent_of_a_retraining(name: str, ensemble: Ensemble, suite: Suite) -> None:
    method = METHODS[name]
    for forget in (suite.forget_sets["random-10"], suite.forget_sets["class-3"]):  # the smallest, the largest
        one = ensemble.take([0])
        *_, last = run_method(name, method, method.config(), one, suite, forget)
        assert last.cost <= 0.15


@pytest.mark.parametrize("name", TRAINING)
def test_a_model_does_not_depend_on_those_beside_it(
    name: str, ensemble: Ensemble, suite: Suite, forget: ForgetSet
) -> None:
    together = steps_of(name, ensemble, suite, forget)[-1].ensemble.take([1])
    alone = steps_of(name, ensemble.take([1]), suite, forget)[-1].ensemble
    torch.testing.assert_close(flat(alone), flat(together), rtol=0, atol=1e-3)


def test_no_two_methods_give_equal_weights(ensemble: Ensemble, suite: Suite, forget: ForgetSet) -> None:
    results = {name: flat(steps_of(name, ensemble, suite, forget)[-1].ensemble) for name in TRAINING}
    for first, second in itertools.combinations(TRAINING, 2):
        assert not torch.equal(results[first], results[second]), (first, second)


@pytest.mark.parametrize("name", sorted(METHODS))
def test_its_row_says_where_it_comes_from_and_its_config_is_frozen(name: str) -> None:
    method = METHODS[name]
    assert method.summary
    assert method.source
    with pytest.raises(dataclasses.FrozenInstanceError):
        method.config().anything = 1  # type: ignore[attr-defined]
