"""What is shipped can be made again: by one test, new models are exchangeable with it, and models of half the
epochs are not."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy import ndarray

from expunge.ensembles import Plan, read_margins
from expunge.ensembles.train import measure
from expunge.ensembles.whole_models import train_whole
from expunge.jobs import one_thread
from expunge.metrics.exchangeable import exchangeable
from expunge.suites import ForgetSet, Suite

NEW = range(1000, 1050)  # no shipped model has these numbers, so their seeds are new


def margins_of(suite: Suite) -> ndarray:
    with one_thread():
        parts = [train_whole(Plan(suite, "pretrained"), NEW[at : at + 25], torch.device("cpu"))[0] for at in (0, 25)]
        return np.concatenate([measure(part, suite.data)[0].numpy() for part in parts])


@pytest.mark.slow
def test_new_models_are_exchangeable_with_the_shipped_and_half_trained_ones_are_not(suite: Suite) -> None:
    shipped = np.array(read_margins(Plan(suite, "pretrained"), 0, 200).values)
    half = replace(suite, recipe=replace(suite.recipe, epochs=suite.recipe.epochs // 2))
    assert exchangeable(margins_of(suite), shipped) > 0.01
    assert exchangeable(margins_of(half), shipped) <= 0.01


def test_oracles_and_pretrained_are_told_apart_on_the_forget_examples(suite: Suite, forget: ForgetSet) -> None:
    pretrained = np.array(read_margins(Plan(suite, "pretrained"), 0, 100).values)
    oracles = np.array(read_margins(Plan(suite, "oracle", forget), 0, 100).values)
    assert exchangeable(pretrained[:, forget.indices], oracles[:, forget.indices]) <= 0.01
    assert exchangeable(pretrained[:50], pretrained[50:]) > 0.01
