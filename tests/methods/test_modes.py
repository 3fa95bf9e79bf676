"""In which mode BatchNorm normalises: training, by the statistics of a batch, or evaluation, by the running ones.

What a method holds fixed, its teachers and what it measures, has to run in evaluation mode; a student that walks, in
training mode, unless its method says otherwise. A wrong mode changes no shape and hardly a score.
"""

import dataclasses

import pytest
import torch
from torch import Tensor, nn

from expunge.ensembles import Ensemble, layers
from expunge.ensembles.seeds import Generators
from expunge.methods import METHODS
from expunge.methods.parts import double_backward
from expunge.methods.parts.walks import PairedWalk
from expunge.suites import ForgetSet, Suite
from tests.methods.cases import CASES, TRAINING, has_epochs
from tests.methods.equations.case import Pass


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
            result: Tensor = rule(layer, x)
            return result

        monkeypatch.setitem(layers.LAYERS, kind, noted)
    line = double_backward._line  # BatchNorm where it is differentiated twice

    def drawn(layer: nn.Module) -> tuple[Tensor, Tensor]:
        note(layer)
        return line(layer)

    monkeypatch.setattr(double_backward, "_line", drawn)
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
    assert set(passes) == CASES[name].passes
    assert not after.training
    assert one.training
    assert all(torch.equal(tensor, before[key]) for key, tensor in one.state().items())
    if not CASES[name].votes:
        still = all(torch.equal(after.state()[key], before[key]) for key, _ in one.network.named_buffers())
        assert still != CASES[name].moves_statistics


@pytest.mark.parametrize("name", TRAINING)
def test_a_method_that_ends_on_forget_batches_can_be_told_to_leave_no_trace_of_them(name: str) -> None:
    settings = {each.name for each in dataclasses.fields(METHODS[name].config)}
    assert ("forget_statistics" in settings) == CASES[name].ends_on_forget


@pytest.mark.parametrize("name", [name for name in TRAINING if CASES[name].ends_on_forget])
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
    here = CASES[name].still
    still, moved = (statistics(name, epochs=1, forget_statistics=each, **here) for each in (False, True))
    kept = statistics("fine-tune", epochs=1) if paired else {key: ensemble.state()[key] for key in still}
    assert all(torch.equal(tensor, kept[key]) for key, tensor in still.items())
    assert not any(torch.equal(tensor, kept[key]) for key, tensor in moved.items())
