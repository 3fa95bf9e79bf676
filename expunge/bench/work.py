"""What the jobs of a bench are expected to take."""

from collections.abc import Sequence
from functools import cache

import numpy as np
import torch

from expunge.engine import silent
from expunge.ensembles.device import work_clock
from expunge.ensembles.pretraining import pretrain
from expunge.jobs import one_thread
from expunge.methods.needs import RETAIN_DATA
from expunge.methods.task import Task
from expunge.suites import Suite
from expunge.timing import Work, crowd

# Seconds of an epoch over those of as many plain passes of training, measured on digits, of methods for which that is
# far from 1: some look at every example by itself, or at all examples for every weight, others at few of them.
EFFORT = {
    "bad-teacher": 0.8,
    "cf-k": 0.6,
    "dm-direct": 0.1,
    "dmm": 0.4,
    "eu-k": 0.6,
    "fisher-forgetting": 4.2,
    "influence": 1.7,
    "jit": 1.5,
    "kde": 1.6,
    "lfssd": 1.4,
    "lfssd-det": 1.6,
    "mu-mis": 1.5,
    "neg-grad-plus": 1.7,
    "neg-merge": 1.5,
    "npo": 1.4,
    "oracle-matching": 0.4,
    "random-labels-proximal": 1.4,
    "retrain": 0.7,
    "ssd": 1.4,
    "ssd-det": 1.6,
    "unsir": 1.4,
}
_ROW, _CELL = 0.15, 1.2e-6  # seconds of scoring a row, and on top of it one margin of a model
_ATTACK = 0.013  # seconds of MIA-efficacy for a model
_RANKS, _RANK = 0.3, 0.01  # seconds of comparing the rows of a forget set, and on top of it one row


def unlearning(task: Task, models: Sequence[int]) -> Work:
    """A method on some models; unknown where it is a user's own."""
    if ":" in task.name:
        return Work(None, task.name)
    passes = _passes(task) * EFFORT.get(task.name, 1.0)
    return Work(passes * len(models) * seconds_per_pass(task.suite), task.name)


def scoring(task: Task, models: int, metrics: Sequence[str]) -> Work:
    """Every number of a row."""
    attacks = _ATTACK * models if "mia-efficacy" in metrics else 0.0
    return Work(_ROW + _CELL * models * task.suite.data.width + attacks, "scores")


def comparing(tasks: Sequence[Task], models: int) -> Work:
    """The ranks of the rows of a forget set."""
    return Work(_RANKS + _RANK * len(tasks), "ranks")


def _passes(task: Task) -> float:
    """Forward and backward passes of one example through one model, those of the measurements included."""
    split = task.suite.split(task.forget)
    examples = len(split.forget) + (len(split.retain) if RETAIN_DATA in task.method.needs else 0)
    once = task.suite.recipe.passes if task.method.from_scratch else 1
    return float(getattr(task.config, "epochs", once) * (1.2 * examples + task.suite.data.examples / 3))


@cache
def seconds_per_pass(suite: Suite) -> float:
    """Time of one example's forward and backward pass through one model, measured on a few batches of a few models."""
    ensemble = pretrain(suite, min(8, suite.models), watch=silent).train()
    train = suite.data.train
    batch = train.take(np.arange(min(len(train), suite.recipe.batch_size)))
    rows = torch.arange(len(batch)).expand(len(ensemble), -1)
    clock = work_clock(ensemble.device)
    best = np.inf
    with one_thread():
        for _ in range(8):  # the first one warms up
            started = clock()
            suite.target.loss(ensemble(batch.x[rows]), batch.y[rows]).sum().backward()
            best = min(best, clock() - started)
    return best / rows.numel() * crowd()
