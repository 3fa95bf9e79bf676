"""What it costs to forget: steps of ascent until the loss is the wanted one."""

import numpy as np
import torch

from expunge.attacks.forgetting import forget_losses, steps_to_forget
from expunge.ensembles import Ensemble, Plan, read_margins
from expunge.suites import ForgetSet, Suite
from expunge.suites.target import cross_entropy


def losses(ensemble: Ensemble, suite: Suite, forget: ForgetSet) -> torch.Tensor:
    examples = suite.data.train.take(forget.indices)
    with torch.no_grad():
        return cross_entropy(ensemble.eval()(examples.x), examples.y.expand(len(ensemble), -1))


def test_the_forget_loss_of_margins_is_the_cross_entropy(suite: Suite, forget: ForgetSet, ensemble: Ensemble) -> None:
    margins = read_margins(Plan(suite, "pretrained"), 100, 3)
    assert np.allclose(forget_losses(suite, forget, margins), losses(ensemble, suite, forget), atol=1e-5)


def test_each_model_stops_at_its_own_first_step_at_or_above_the_loss(
    suite: Suite, forget: ForgetSet, ensemble: Ensemble
) -> None:
    wanted = 2 * float(losses(ensemble, suite, forget).max())
    found = steps_to_forget(ensemble, suite, forget, wanted, lr=0.05)
    assert found.reached.all()
    assert len(set(found.steps.tolist())) > 1
    for model, steps in enumerate(found.steps.tolist()):
        student = ensemble.take([model]).eval()
        x, y = suite.data.train.x[forget.indices], suite.data.train.y[forget.indices][None]
        for step in range(steps + 1):
            loss = cross_entropy(student(x), y)
            assert (float(loss.detach()) >= wanted) == (step == steps)
            for parameter, gradient in zip(
                student.parameters(), torch.autograd.grad(loss.sum(), list(student.parameters())), strict=True
            ):
                parameter.data += 0.05 * gradient


def test_a_loss_that_is_there_already_takes_no_step(suite: Suite, forget: ForgetSet, ensemble: Ensemble) -> None:
    found = steps_to_forget(ensemble, suite, forget, 0.0)
    assert found.steps.tolist() == [0, 0, 0]
    correct = read_margins(Plan(suite, "pretrained"), 100, 3).correct
    assert correct is not None
    assert np.allclose(found.accuracy, correct[:, suite.data.sizes[0] :].mean(axis=1))


def test_a_loss_out_of_reach_is_not_reached(suite: Suite, forget: ForgetSet, ensemble: Ensemble) -> None:
    found = steps_to_forget(ensemble, suite, forget, 1e6, most=3)
    assert not found.reached.any()
    assert found.steps.tolist() == [3, 3, 3]
