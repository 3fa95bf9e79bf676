"""What an attacker does who knows the defences: it keeps the gradients of its records like those of their class."""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, Shaped
from numpy import ndarray
from torch import Tensor

from expunge.attacks.bilevel import Penalty
from expunge.attacks.lab.owners import of_each
from expunge.attacks.lab.provider import Provider
from expunge.attacks.planning import Planner
from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.features import inputs_of_last_layer


def last_layer_factors(
    ensemble: Ensemble, x: Shaped[Tensor, "models n ..."], y: Int[Tensor, "models n"]
) -> tuple[Float[Tensor, "models n classes"], Float[Tensor, "models n d"]]:
    """Unit residuals ``softmax - onehot`` and unit features, whose product is the direction of a last-layer gradient.

    As :func:`~expunge.attacks.defences.class_gradients.factors_of`, and gradients flow into ``x``.
    """
    logits, features = ensemble(x), inputs_of_last_layer(ensemble, x)
    features = logits.new_ones(*y.shape, 1) if features is None else features
    residuals = logits.softmax(-1) - F.one_hot(y, logits.shape[-1])
    return F.normalize(residuals, dim=-1), F.normalize(features, dim=-1)


def unlike(
    ensemble: Ensemble,
    x: Shaped[Tensor, "models n ..."],
    y: Int[Tensor, "models n"],
    mates: Float[Tensor, "models classes out d"],
) -> Float[Tensor, "models n"]:
    """``1 - mean cosine`` between the last-layer gradient of each point and those of its class-mates, 0 to 2."""
    residuals, features = last_layer_factors(ensemble, x, y)
    own = mates.gather(1, y[..., None, None].expand(*y.shape, *mates.shape[2:]))  # (models, n, out, d)
    return 1 - torch.einsum("mno,mnod,mnd->mn", residuals, own, features)


def class_means(
    ensemble: Ensemble, x: Shaped[Tensor, "models n ..."], y: Int[Tensor, "models n"], classes: int
) -> Float[Tensor, "models classes out d"]:
    """The mean direction of the last-layer gradients of each class; of one without examples 0."""
    with torch.no_grad():
        residuals, features = last_layer_factors(ensemble, x, y)
        member = F.one_hot(y, classes).to(residuals)
        total = torch.einsum("mnc,mno,mnd->mcod", member, residuals, features)
        return total / member.sum(1).clamp(min=1)[:, :, None, None]


def unlike_its_class(
    planner: Planner,
    provider: Provider,
    owned: Int[ndarray, "victims owned"],
    y: Int[Tensor, "victims k"],
    weight: float,
) -> Penalty:
    """``weight`` times the mean :func:`unlike` of moved points, whose mates are the attacker's own records.

    The attacker measures it on the models that it plans with. So it hides from class gradients and, for what is like
    many is stood for by a medoid, from isolated medoids.
    """
    train, each, models = provider.suite.data.train, planner.each, planner.models
    x, of_class = (of_each(part, owned).repeat_interleave(each, 0).to(models.device) for part in (train.x, train.y))
    mates = class_means(models, x, of_class, provider.suite.data.classes)
    labels = y.repeat_interleave(each, 0)

    def penalty(moved: Tensor) -> Tensor:
        found = unlike(models, moved.repeat_interleave(each, 0), labels, mates)
        weighed: Tensor = weight * found.mean(1).unflatten(0, (len(moved), each)).mean(1)
        return weighed

    return penalty
