"""What it costs to forget: how many steps of ascent until the forget loss is that of models that never saw the data."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from expunge.engine import one_thread
from expunge.ensembles.device import resident
from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.stored_margins import EnsembleMargins
from expunge.ensembles.train import Descent, measure, take_steps
from expunge.errors import BadSetting
from expunge.suites.suite import ForgetSet, Suite
from expunge.suites.target import CLASSIFICATION

RATE, MOST = 0.02, 2000


@dataclass(frozen=True, eq=False)
class Forgetting:
    """Of each model the steps that it took, whether it got there, and its test accuracy then."""

    steps: Int[ndarray, " models"]
    reached: Bool[ndarray, " models"]
    accuracy: Float[ndarray, " models"]


def forget_loss(suite: Suite, forget: ForgetSet, oracle: EnsembleMargins) -> float:
    """Mean loss on the forget set of models that never saw it, nats: ``mean log(1 + exp(-margin))``.

    That is the cross-entropy, since a margin is the log-odds of the label.
    """
    if suite.target != CLASSIFICATION:
        raise BadSetting(f"suite {suite.name!r}: the forget loss is read off margins of one label an example")
    return float(np.logaddexp(0.0, -oracle.values[:, forget.indices].astype(np.float64)).mean())


def steps_to_forget(
    ensemble: Ensemble, suite: Suite, forget: ForgetSet, wanted: float, *, lr: float = RATE, most: int = MOST
) -> Forgetting:
    """Ascend the mean loss of the forget set, all of it in every step, until it is ``wanted`` or more.

    Plain gradient ascent, ``theta + lr grad``, in evaluation mode, as ``max_loss`` in the public code of Ma et al. 2024
    without its momentum. Each model stops for itself; one that is not there after ``most`` steps has not reached it.
    """
    student = ensemble.copy().eval()
    examples = resident(suite.data.train.take(forget.indices), student.device)
    y = examples.y.expand(len(student), *examples.y.shape)
    optimizer = Descent(student, lr=lr, momentum=0.0)
    final = {key: tensor.clone() for key, tensor in student.state().items()}
    steps = np.full(len(student), most)
    waiting = torch.ones(len(student), dtype=torch.bool, device=student.device)

    def ascent(each: Ensemble, step: int) -> torch.Tensor:
        nonlocal waiting
        loss = suite.target.loss(each(examples.x), y)
        there = waiting & (loss.detach() >= wanted)
        for key, tensor in each.state().items():
            final[key][there] = tensor[there]
        steps[there.cpu().numpy()] = step
        waiting = waiting & ~there
        return -loss

    with one_thread():
        for step in range(most + 1):
            take_steps(student, optimizer, ascent, [step])
            if not waiting.any():
                break
    reached = ~waiting.cpu().numpy()
    there = Ensemble.from_state(student.network, final, student.origin, student.sample_shape).to(student.device).eval()
    _, correct = measure(there, suite.data)
    columns = suite.columns_of(np.arange(suite.data.sizes[0], suite.data.examples))
    return Forgetting(steps, reached, correct[:, columns].double().mean(1).numpy())
