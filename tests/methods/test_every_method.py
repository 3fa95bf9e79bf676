"""Laws that hold for every row of METHODS; anchors, which are made of margins, are exempt by name."""

import dataclasses
import itertools

import pytest
import torch
from torch import Tensor

from expunge.ensembles import Ensemble
from expunge.ensembles.train import measure
from expunge.methods import METHODS, Step, configure, run_method
from expunge.methods.references import REFERENCES
from expunge.suites import ForgetSet, Suite
from tests.methods.cases import CASES, TRAINING, has_epochs
from tests.methods.equations.case import Counts
from tests.turns import by_turns

EPOCHS = 2

Laboratory = tuple[Suite, ForgetSet]


def steps_of(name: str, ensemble: Ensemble, laboratory: Laboratory, seed: int = 0, epochs: int = EPOCHS) -> list[Step]:
    method, (suite, forget) = METHODS[name], laboratory
    config = configure(name, method, {"epochs": epochs} if has_epochs(name) else {})
    return list(run_method(name, method, config, ensemble, suite, forget, seed))


_FIRST: dict[str, list[Step]] = {}


def first_steps(name: str, ensemble: Ensemble, laboratory: Laboratory) -> list[Step]:
    """Those by the first seed, run once a process: the fixtures of one name are alike."""
    if name not in _FIRST:
        _FIRST[name] = steps_of(name, ensemble, laboratory)
    return _FIRST[name]


_WATCHED: dict[str, list[Step]] = {}


def watched_steps(name: str, ensemble: Ensemble, laboratory: Laboratory) -> list[Step]:
    """The same once more, each measured as it comes, which must change nothing."""
    if name not in _WATCHED:
        (suite, forget), method = laboratory, METHODS[name]
        config = configure(name, method, {"epochs": EPOCHS} if has_epochs(name) else {})
        _WATCHED[name] = []
        for step in run_method(name, method, config, ensemble, suite, forget, 0):
            assert not step.ensemble.training
            measure(step.ensemble, suite.data)
            _WATCHED[name].append(step)
    return _WATCHED[name]


def flat(ensemble: Ensemble) -> Tensor:
    """Parameters only: BatchNorm's buffers move by themselves."""
    return torch.cat([parameter.detach().flatten(1) for parameter in ensemble.parameters()], dim=1)


def test_only_the_anchors_have_nothing_to_run() -> None:
    assert {name for name, method in METHODS.items() if method.anchor} == {"identity", "oracle"}
    assert {name for name, method in METHODS.items() if method.predict} == CASES.keys() - set(TRAINING)


@pytest.mark.parametrize("name", sorted(CASES))
def test_its_row_prepares_what_its_case_says(name: str) -> None:
    prepare, case = METHODS[name].prepare, CASES[name]
    assert (prepare is not None) == (case.given is not None)
    assert (prepare is not None and prepare.plan is not None) == case.own_models


@pytest.mark.parametrize("name", TRAINING)
def test_it_moves_every_model_leaves_its_input_and_repeats_itself(
    name: str, ensemble: Ensemble, laboratory: Laboratory
) -> None:
    before = {key: tensor.clone() for key, tensor in ensemble.state().items()}
    first = first_steps(name, ensemble, laboratory)[-1].ensemble
    again = watched_steps(name, ensemble, laboratory)[-1].ensemble
    other = steps_of(name, ensemble, laboratory, seed=1)[-1].ensemble
    assert all(torch.equal(tensor, before[key]) for key, tensor in ensemble.state().items())
    assert not ensemble.training
    if not CASES[name].votes:
        assert ((flat(first) - flat(ensemble)).abs().amax(1) > 0).all()
    assert all(torch.equal(tensor, again.state()[key]) for key, tensor in first.state().items())
    same = all(torch.equal(tensor, other.state()[key]) for key, tensor in first.state().items())
    assert same != CASES[name].draws_chance


@pytest.mark.parametrize("name", [name for name in TRAINING if has_epochs(name)])
def test_every_epoch_is_yielded_and_is_a_snapshot(name: str, ensemble: Ensemble, laboratory: Laboratory) -> None:
    steps = first_steps(name, ensemble, laboratory)
    assert [step.epoch for step in steps] == list(range(1, EPOCHS + 1))
    if not CASES[name].rewinds:
        assert not torch.equal(flat(steps[0].ensemble), flat(steps[1].ensemble))


@pytest.mark.parametrize("name", [name for name in TRAINING if has_epochs(name)])
def test_a_shorter_run_is_the_beginning_of_a_longer_one_or_its_row_says_so(
    name: str, ensemble: Ensemble, laboratory: Laboratory
) -> None:
    longer, shorter = steps_of(name, ensemble, laboratory, epochs=3), first_steps(name, ensemble, laboratory)
    same = [torch.equal(flat(a.ensemble), flat(b.ensemble)) for a, b in zip(longer, shorter, strict=False)]
    assert all(same) != METHODS[name].whole_runs  # of three, the first may be alike where the last is another


@pytest.mark.parametrize("name", [name for name in TRAINING if not CASES[name].votes])
def test_costs_are_counted_and_looking_at_a_result_costs_nothing(
    name: str, ensemble: Ensemble, laboratory: Laboratory
) -> None:
    suite, forget = laboratory
    costs, expected = [], []
    for step in watched_steps(name, ensemble, laboratory):
        costs.append(step.cost)
        retain = len(suite.data.train) - len(forget)
        counts = Counts(step.epoch, retain, len(forget), suite.recipe.epochs, suite.data.classes)
        expected.append(CASES[name].examples(counts) / (suite.recipe.epochs * retain))
    if CASES[name].searches:  # a price before the first epoch, the same for all
        found = [cost - known for cost, known in zip(costs, expected, strict=True)]
        assert found == pytest.approx([found[0]] * EPOCHS)
        assert found[0] > 0
    else:
        assert costs == pytest.approx(expected)


STARTING = [name for name in TRAINING if not METHODS[name].from_scratch and not CASES[name].own_models]


@pytest.mark.parametrize(
    ("name", "forget"),
    by_turns(itertools.product(STARTING, ["random-10", "class-3"]), 2),  # the smallest, the largest
)
def test_a_default_recipe_costs_at_most_15_percent_of_a_retraining(
    name: str, forget: str, ensemble: Ensemble, suite: Suite
) -> None:
    method, one = METHODS[name], ensemble.take([0])
    *_, last = run_method(name, method, method.config(), one, suite, suite.forget_sets[forget])
    assert last.cost <= 0.15


@pytest.mark.parametrize("name", TRAINING)
def test_a_model_does_not_depend_on_those_beside_it(name: str, ensemble: Ensemble, laboratory: Laboratory) -> None:
    """But for rounding, which is small beside what the method moves."""
    one = ensemble.take([1])
    together = flat(first_steps(name, ensemble, laboratory)[-1].ensemble.take([1]))
    alone = flat(steps_of(name, one, laboratory)[-1].ensemble)
    moved = alone if CASES[name].votes else alone - flat(one)
    assert (alone - together).abs().max() <= 0.01 * moved.abs().max()


def test_no_two_methods_move_to_the_same_weights(
    ensemble: Ensemble, medium: Suite, suite: Suite, forget: ForgetSet
) -> None:
    """On so many examples a draw of them is not all, and dampening starts low enough that all rows move."""
    one, moves = ensemble.take([0]), {}
    for name in [name for name in TRAINING if not CASES[name].own_models]:
        settings = {**CASES[name].moving, **({"epochs": 1} if has_epochs(name) else {})}
        config = configure(name, METHODS[name], settings)
        of = (suite, forget) if METHODS[name].prepare else (medium, medium.forget_sets["random-50"])
        *_, last = run_method(name, METHODS[name], config, one, *of)
        moves[name] = flat(last.ensemble) - flat(one)
    for first, second in itertools.combinations(moves, 2):
        smaller = min(moves[first].abs().max(), moves[second].abs().max())
        assert (moves[first] - moves[second]).abs().max() > 1e-3 * smaller > 0, (first, second)


@pytest.mark.parametrize("name", sorted(METHODS))
def test_its_row_says_where_it_comes_from_and_its_config_is_frozen(name: str) -> None:
    method = METHODS[name]
    assert method.summary
    assert method.anchor or (method.cite and method.needs and method.config.__doc__)
    assert all(key in REFERENCES for key in method.cite)
    assert "Minimise ..." not in (method.config.__doc__ or "")  # what CONTRIBUTING's example has in its place
    assert "arXiv:..." not in (method.config.__doc__ or "")
    with pytest.raises(dataclasses.FrozenInstanceError):
        method.config().anything = 1


@pytest.mark.parametrize("name", TRAINING)
def test_tuning_looks_only_for_settings_that_it_has(name: str) -> None:
    method = METHODS[name]
    fields = {field.name for field in dataclasses.fields(method.config)}
    assert method.search.keys() <= fields
    assert method.search or not fields
