"""An attacker who hides: what it keeps low is what the defence looks at, and it is caught less."""

from dataclasses import replace

import numpy as np
import torch

from expunge.attacks import ATTACKS
from expunge.attacks.defence import Scene
from expunge.attacks.defences import DEFENCES
from expunge.attacks.defences.class_gradients import factors_of
from expunge.attacks.evasion import class_means, last_layer_factors, unlike
from expunge.attacks.lab.cells import play_on
from expunge.attacks.malicious_requests import MaliciousRequests
from expunge.attacks.removal import Attacked
from expunge.ensembles import Ensemble, pretrain
from expunge.suites import Suite
from expunge.suites.data import Examples
from tests.attacks.defences.scenes import request_of, scene_of, untouched
from tests.attacks.small import small


def test_factors_are_those_that_the_defence_takes(ensemble: Ensemble, suite: Suite) -> None:
    some = suite.data.train.take(np.arange(20))
    x, y = (each.expand(len(ensemble), *each.shape) for each in (some.x, some.y))
    own, theirs = last_layer_factors(ensemble, x, y), factors_of(ensemble, some)
    for mine, other in zip(own, theirs, strict=True):
        confident = theirs[0].new_tensor([1e-3])
        keep = torch.ones(len(ensemble), 20, dtype=torch.bool)
        probability = ensemble(some.x).softmax(-1).gather(-1, some.y.expand(len(ensemble), -1)[..., None])[..., 0]
        keep &= 1 - probability > confident  # the defence computes 1 - p without cancellation, in float64
        torch.testing.assert_close(mine[keep].double(), other[keep], rtol=0, atol=1e-2)


def test_it_is_the_dissimilarity_of_the_defence() -> None:
    """Of a record that is handed in, for one of the training data does not count itself among its mates."""
    train = scene_of(Examples(torch.rand(60, 6), torch.arange(60) % 3)).suite.data.train
    changed = Examples(train.x + 1.0, train.y)
    scene = scene_of(train, requests=[request_of(changed, [row]) for row in range(6)])
    expected = DEFENCES["class-gradients"].suspicion(scene)
    models = scene.victims
    x, y = (each.expand(len(models), *each.shape) for each in (train.x, train.y))
    mates = class_means(models, x, y, 3)
    moved = changed.x[:6].expand(len(models), 6, 6)
    found = unlike(models, moved, y[:, :6], mates)
    np.testing.assert_allclose(found.detach(), expected, atol=1e-4)


def test_an_attacker_who_hides_is_less_suspicious() -> None:
    attacked = Attacked("first-order", {"tau": 0.1})
    bold = MaliciousRequests(models=3, budget=4, steps=10, eps=0.3, methods=(attacked,))
    found = {}
    for name, config in {"bold": bold, "shy": replace(bold, evade=20.0)}.items():
        row = ATTACKS["malicious-requests"]
        requests = play_on("malicious-requests", row, small(), config, attacked, range(3)).requests
        scene = Scene(small(), pretrain(small(), 3), requests, untouched)
        found[name] = np.diagonal(DEFENCES["class-gradients"].suspicion(scene)).mean()
    assert found["shy"] < 0.9 * found["bold"]
