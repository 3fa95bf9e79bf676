"""In which mode BatchNorm normalises: training, by the statistics of a batch, or evaluation, by the running ones.

What a method holds fixed, its teachers and what it measures, has to run in evaluation mode; a student that walks, in
training mode, unless its method says otherwise. A wrong mode changes no shape and hardly a score.
"""

import dataclasses
from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn

from expunge.ensembles import Ensemble, layers
from expunge.ensembles.seeds import Generators
from expunge.methods import METHODS, _twice
from expunge.methods.parts.walks import PairedWalk
from expunge.suites import ForgetSet, Suite
from tests.methods.test_every_method import TRAINING, VOTES, has_epochs


class Pass(NamedTuple):
    """How a batch went through a layer of BatchNorm: with autograd recording, and in training mode, or not."""

    recorded: bool
    training: bool


WALK = Pass(recorded=True, training=True)  # a step of a student
TAUGHT = Pass(recorded=False, training=False)  # a teacher's answer, or what a model is found to be
MEASURED = Pass(recorded=True, training=False)  # a gradient, where it is not to depend on a batch

# The rows that do not walk in training mode, or do so beside teachers and measurements.
FROM_FIXED_MODELS = ("first-order", "second-order", "influence", "fisher-forgetting")
DAMPENED = ("ssd", "ssd-det", "lfssd", "lfssd-det", "assd")
FROZEN = ("cf-k", "eu-k")  # all of BatchNorm lies before the last layer, which alone moves
EVALUATED = {*FROM_FIXED_MODELS, *DAMPENED, *FROZEN, "mu-mis"}
TEACHERS = {"scrub", "bad-teacher", "delete", "npo", "prmq", "kde", "dmm", "boundary-shrink"}
GRADIENTS = {"boundary-shrink", "unsir", "salun", "rum", "msg"}  # of inputs, or of importance; RUM ends with SalUn
OWN_ANSWERS = {"fcs"}  # the student's own on retained examples, without gradient, in the batch's statistics
MOVED_WEIGHTS_ONLY = {
    "task-vector",
    "neg-merge",
    "unrolling-sgd",
    "sisa",
}  # running statistics stay; or of new networks


def expected(name: str) -> set[Pass]:
    if name in EVALUATED:
        return {MEASURED}
    beside = [(TEACHERS, TAUGHT), (GRADIENTS, MEASURED), (OWN_ANSWERS, Pass(recorded=False, training=True))]
    return {WALK, *(one for names, one in beside if name in names)}


def follows_forget_set(config: type) -> bool:
    """Whether its last batches are of what is to be forgotten."""
    return "forget_statistics" in {each.name for each in dataclasses.fields(config)}


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[Pass]:
    """Every pass through BatchNorm from now on."""
    found: list[Pass] = []

    def note(layer: nn.Module) -> None:
        found.append(Pass(torch.is_grad_enabled(), layer.training))

    for kind in (nn.BatchNorm1d, nn.BatchNorm2d):
        rule = layers.LAYERS[kind]

        def noted(layer: nn.Module, x: Tensor, rule: layers.Rule = rule) -> Tensor:
            note(layer)
            return rule(layer, x)

        monkeypatch.setitem(layers.LAYERS, kind, noted)
    line = _twice._line  # BatchNorm where it is differentiated twice

    def drawn(layer: nn.Module) -> tuple[Tensor, Tensor]:
        note(layer)
        return line(layer)

    monkeypatch.setattr(_twice, "_line", drawn)
    return found


@pytest.mark.parametrize("name", TRAINING)
def test_batch_norm_runs_in_the_modes_that_its_method_says(
    name: str, ensemble: Ensemble, laboratory: tuple[Suite, ForgetSet], passes: list[Pass]
) -> None:
    """The ensemble comes in training mode, so that a method has to set every mode that it means."""
    (suite, forget), method = laboratory, METHODS[name]
    config = method.config(**({"epochs": 1} if has_epochs(name) else {}))
    one, split = ensemble.take([0]).train(), suite.split(forget)
    if method.prepare:
        split = dataclasses.replace(split, extra=method.prepare.load(suite, forget, one.origin.models, config))
    before = {key: tensor.clone() for key, tensor in one.state().items()}
    passes.clear()
    assert method.unlearn
    *_, after = method.unlearn(one, split, config, Generators(one.origin.models))
    assert set(passes) == expected(name)
    assert not after.training
    assert one.training
    assert all(torch.equal(tensor, before[key]) for key, tensor in one.state().items())
    if name not in VOTES:
        still = all(torch.equal(after.state()[key], before[key]) for key, _ in one.network.named_buffers())
        assert still == (name in EVALUATED | MOVED_WEIGHTS_ONLY)


@pytest.mark.parametrize("name", sorted(name for name, row in METHODS.items() if follows_forget_set(row.config)))
def test_running_statistics_are_those_of_retained_examples_where_forget_batches_leave_no_trace(
    name: str, ensemble: Ensemble, laboratory: tuple[Suite, ForgetSet]
) -> None:
    """With steps too small to move a weight: what is left is what the batches of a walk have moved."""
    suite, forget = laboratory

    def statistics(name: str, **settings: object) -> dict[str, Tensor]:
        method, split = METHODS[name], suite.split(forget)
        config = method.config(lr=1e-20, **settings)
        if method.prepare:
            split = dataclasses.replace(split, extra=method.prepare.load(suite, forget, [0, 1, 2], config))
        assert method.unlearn
        *_, after = method.unlearn(ensemble, split, config, Generators([0, 1, 2]))
        return {key: after.state()[key] for key, _ in after.network.named_buffers()}

    paired = issubclass(METHODS[name].config, PairedWalk)
    here = {"rho": 0.0} if name == "uam" else {}  # else retained batches go through other weights
    still, moved = (statistics(name, epochs=1, forget_statistics=each, **here) for each in (False, True))
    kept = statistics("fine-tune", epochs=1) if paired else {key: ensemble.state()[key] for key in still}
    assert all(torch.equal(tensor, kept[key]) for key, tensor in still.items())
    assert not any(torch.equal(tensor, kept[key]) for key, tensor in moved.items())


def test_the_table_of_modes_names_rows_only() -> None:
    assert set(TRAINING) >= EVALUATED | TEACHERS | GRADIENTS | OWN_ANSWERS | MOVED_WEIGHTS_ONLY
