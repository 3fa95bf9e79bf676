"""Validation gate: try the removal, and look at what is lost."""

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from expunge.attacks.defence import Defence, Scene
from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.features import outputs
from expunge.errors import BadSetting
from expunge.suites.data import Examples
from expunge.suites.target import Target


def accuracies(ensemble: Ensemble, examples: Examples, target: Target) -> Float[Tensor, " models"]:
    """The share of first choices that are right, 0 to 1, in evaluation mode."""
    said = outputs(ensemble, examples.x)
    return target.correct(said, examples.y.to(said.device)).double().mean(1).cpu()


def requests(scene: Scene) -> Float[ndarray, "models requests"]:
    """By how much each removal lowers the accuracy on ``scene.validation``, -1 to 1; higher is more suspicious.

    What a provider then does with a removal above its threshold is to roll it back.
    """
    if not len(scene.validation):
        raise BadSetting("a validation gate needs examples to look at: expected test examples in validation, got none")
    examples, target = scene.suite.data.test.take(scene.validation), scene.suite.target
    before = accuracies(scene.victims, examples, target)
    drops = [before - accuracies(scene.remove(request), examples, target) for request in scene.requests]
    return np.asarray(torch.stack(drops, dim=1))


DEFENCE = Defence(
    summary="drop of the accuracy on validation examples when the removal is tried",
    when="request",
    price="each removal is made before it is decided on, and what is above the threshold is rolled back; examples are "
    "kept for validation; an honest removal that costs accuracy is held back, though it is owed",
    source="monitoring during unlearning, a countermeasure in Liu et al. 2025, arXiv:2403.13682",
    requests=requests,
)
