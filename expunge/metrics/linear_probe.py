"""What a representation is worth elsewhere: a linear classifier trained on it for another task."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from expunge.ensembles.ensemble import Ensemble
from expunge.errors import BadSetting
from expunge.suites import Examples


def linear_probe(
    ensemble: Ensemble, train: Examples, test: Examples, *, strength: float = 1.0
) -> Float[Tensor, " models"]:
    """Accuracy on ``test`` of a logistic regression on each model's representation of ``train``, 0 to 1.

    The representation is what goes into the last linear layer, in evaluation mode, standardised by its mean and spread
    on ``train``. Higher is better for transfer; the reference is what oracles get.

    Args:
        ensemble: the models; they are not trained.
        train: the other task's examples to train the classifier on.
        test: its examples to measure it on.
        strength: the classifier's inverse regularisation.

    Returns:
        One accuracy per model.

    Source: Alain and Bengio 2016, arXiv:1610.01644; for unlearned source classes: Jia et al. 2023, arXiv:2304.04934.
    """
    from sklearn.linear_model import LogisticRegression  # half a second, which what needs no probe is spared
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    found = []
    for model in ensemble:
        probe = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=1000))
        probe.fit(representation(model, train.x).cpu().numpy(), train.y.cpu().numpy())
        found.append(float(probe.score(representation(model, test.x).cpu().numpy(), test.y.cpu().numpy())))
    return torch.tensor(found, dtype=torch.float64)


@torch.no_grad()
def representation(model: nn.Module, x: Tensor) -> Float[Tensor, "batch features"]:
    """What goes into the last linear layer of an ordinary module."""
    linear = [layer for layer in model.modules() if isinstance(layer, nn.Linear)]
    if not linear:
        raise BadSetting(f"expected a network with a linear layer, whose input is probed, got {type(model).__name__}")
    seen: list[Tensor] = []
    hook = linear[-1].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    try:
        model.eval()(x.to(next(model.parameters()).device).clone())  # which it may change
    finally:
        hook.remove()
    return seen[-1].flatten(1)
