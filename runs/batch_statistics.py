"""Why one rate of ascent forgets one subclass and breaks the model on another: the batch's own statistics.

Methods run in training mode, as public code does, where BatchNorm normalises a batch by its own mean and variance. A
batch of one class alone, and the more so of examples that are nearly alike, is then blown up: models that know it by
heart have a large loss on it, and one step of ascent goes far. Prints, for the subclass that settings are tuned on and
the one that is scored, mean over 20 models of `digits`: the loss and the norm of its gradient in both modes, how far
the examples spread, and the margin after the tuned step of gradient-ascent.
Run: python runs/batch_statistics.py
"""

from typing import Any

import numpy as np
import torch
from torch.nn.functional import cross_entropy

import expunge as xp
from expunge.ensembles.ensemble import Ensemble
from expunge.methods.tuned import searched_for
from expunge.suites.forget_set import ForgetSet
from expunge.suites.suite import Suite
from expunge.tuning.tuning_sets import tuning_set

MODELS, KIND, METHOD = 20, "subclass", "gradient-ascent"


def main() -> None:
    """A line for each set."""
    suite = xp.load_suite("digits")
    settings: dict[str, Any] = dict(searched_for("digits", KIND, METHOD).served(0.15).settings)
    models = xp.pretrain(suite, models=MODELS)
    print(f"{METHOD} with {settings}")
    for name, forget in (("tuned on", tuning_set(suite, KIND)), ("scored", suite.forget_sets["subclass-50"])):
        after = xp.unlearn(models, forget, METHOD, **settings)
        print(f"{name}: spread {spread(suite, forget):.2f} of that of all data")
        for mode, each in (("evaluation", models.copy().eval()), ("training", models.copy().train())):
            loss, gradient = loss_and_gradient(each, suite, forget)
            print(f"  {mode}: loss {loss:.4f}, gradient {gradient:.3f}")
        print(f"  margin {margin(models, suite, forget):.1f}, after one step {margin(after, suite, forget):.1f}")


def loss_and_gradient(models: Ensemble, suite: Suite, forget: ForgetSet) -> tuple[float, float]:
    """Mean cross-entropy on the forget set as one batch, and the norm of its gradient, means over models."""
    x, y = of_set(suite, forget)
    outputs = models(x)
    labels = y.expand(len(outputs), -1)
    losses = cross_entropy(outputs.flatten(0, 1), labels.flatten(), reduction="none").view(labels.shape).mean(1)
    gradients = torch.autograd.grad(losses.sum(), list(models.parameters()))
    norms = torch.stack([each.flatten(1).square().sum(1) for each in gradients]).sum(0).sqrt()
    return losses.mean().item(), norms.mean().item()


def margin(models: Ensemble, suite: Suite, forget: ForgetSet) -> float:
    """Mean margin of the forget set, in nats, in evaluation mode."""
    x, y = of_set(suite, forget)
    with torch.no_grad():
        outputs = models.copy().eval()(x)
    return suite.target.margins(outputs, y.expand(len(outputs), -1)).mean().item()


def spread(suite: Suite, forget: ForgetSet) -> float:
    """Standard deviation of a pixel over the forget set, as a share of that over all training examples."""
    pixels = np.asarray(suite.data.train.x)
    return float(pixels[forget.indices].std(0).mean() / pixels.std(0).mean())


def of_set(suite: Suite, forget: ForgetSet) -> tuple[torch.Tensor, torch.Tensor]:
    train = suite.data.train
    return torch.as_tensor(np.asarray(train.x))[forget.indices], torch.as_tensor(np.asarray(train.y))[forget.indices]


if __name__ == "__main__":
    main()
