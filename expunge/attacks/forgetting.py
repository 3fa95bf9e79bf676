"""What it costs to forget: how many steps of ascent until the forget loss is that of models that never saw the data."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from torch import Tensor, nn

from expunge.ensembles.device import exact_arithmetic, resident
from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.stored_margins import EnsembleMargins
from expunge.ensembles.train import measure
from expunge.errors import BadSetting
from expunge.jobs import one_thread
from expunge.suites.suite import Examples, ForgetSet, Suite
from expunge.suites.target import CLASSIFICATION

RATE, MOST = 0.02, 1000


@dataclass(frozen=True, eq=False)
class Forgetting:
    """Of each model the steps that it took, whether it got there, and its test accuracy then."""

    steps: Int[ndarray, " models"]
    reached: Bool[ndarray, " models"]
    accuracy: Float[ndarray, " models"]


def forget_losses(suite: Suite, forget: ForgetSet, margins: EnsembleMargins) -> Float[ndarray, " models"]:
    """The mean loss of each model on the forget set, nats: ``mean log(1 + exp(-margin))``.

    That is the cross-entropy, since a margin is the log-odds of the label.
    """
    if suite.target != CLASSIFICATION:
        raise BadSetting(f"suite {suite.name!r}: the forget loss is read off margins of one label an example")
    losses: ndarray = np.logaddexp(0.0, -margins.values[:, forget.indices].astype(np.float64)).mean(axis=1)
    return losses


def steps_to_forget(
    ensemble: Ensemble, suite: Suite, forget: ForgetSet, wanted: float, *, lr: float = RATE, most: int = MOST
) -> Forgetting:
    """Ascend the mean loss of the forget set, all of it in every step, until it is ``wanted`` or more.

    Plain gradient ascent, ``theta + lr grad``, in evaluation mode, as ``max_loss`` in the public code of Ma et al. 2024
    without its momentum. Each model stops for itself; one that is not there after ``most`` steps has not reached it.
    """
    waiting = np.arange(len(ensemble))
    steps, student = np.full(len(ensemble), most), ensemble.copy().eval()
    final = {key: tensor.clone() for key, tensor in student.state().items()}
    examples = resident(suite.data.train.take(forget.indices), student.device)
    with one_thread(), exact_arithmetic():
        for step in range(most + 1):
            loss, gradients = _ascent(student, suite, examples)
            there = (loss >= wanted).cpu().numpy()
            if there.any() or step == most:
                for key, tensor in student.state().items():
                    final[key][waiting[there]] = tensor[there]
                steps[waiting[there]] = step
                student, waiting = student.take(np.flatnonzero(~there).tolist()), waiting[~there]
                gradients = [each[~there] for each in gradients]
            if not len(waiting) or step == most:
                break
            for parameter, gradient in zip(_moved(student), gradients, strict=True):
                parameter.data += lr * gradient
    for key, tensor in student.state().items():
        final[key][waiting] = tensor
    reached = ~np.isin(np.arange(len(ensemble)), waiting)
    stopped = Ensemble.from_state(ensemble.network, final, ensemble.origin, ensemble.sample_shape).to(ensemble.device)
    _, correct = measure(stopped.eval(), suite.data)
    columns = suite.columns_of(np.arange(suite.data.sizes[0], suite.data.examples))
    return Forgetting(steps, reached, correct[:, columns].double().mean(1).numpy())


def _ascent(student: Ensemble, suite: Suite, examples: Examples) -> tuple[Tensor, list[Tensor]]:
    """The mean loss of each model, and its gradients."""
    y = examples.y.expand(len(student), *examples.y.shape)
    with torch.enable_grad():
        loss = suite.target.loss(student(examples.x), y)
        gradients = torch.autograd.grad(loss.sum(), _moved(student))
    return loss.detach(), list(gradients)


def _moved(student: Ensemble) -> list[nn.Parameter]:
    return [each for each in student.parameters() if each.requires_grad]
