"""Sparse training: which weights of every model are set to 0, by their magnitude or by synaptic flow, and when.

Masks are global and unstructured: all prunable weights of a model compete with each other, and every model keeps its
own. They are found on what the model is trained on, so an oracle's mask knows nothing of what it must not have seen.
Source: Jia et al. 2023, arXiv:2304.04934; rewinding: Frankle et al. 2019, arXiv:1903.01611; synaptic flow: Tanaka et
al. 2020, arXiv:2006.05467.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from expunge.ensembles.device import exact_arithmetic
from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.seeds import Generators
from expunge.ensembles.train import train
from expunge.errors import BadSetting
from expunge.suites.pruning import Pruning, prunable
from expunge.suites.suite import Examples, Recipe
from expunge.suites.target import CLASSIFICATION, Target

Masks = dict[str, Tensor]  # by name of the weight, (models, ...) of bool: False where it is 0

FLOW_STEPS = 100  # prunings of synaptic flow: in one, it would empty a layer


def train_sparse(
    ensemble: Ensemble,
    examples: Examples,
    rows: Int[Tensor, "models n"],
    recipe: Recipe,
    generators: Generators,
    *,
    target: Target = CLASSIFICATION,
) -> Ensemble:
    """As :func:`train`, and prune by the recipe's ``prune``; the result obeys its masks."""
    pruning = recipe.pruning
    assert pruning is not None
    if pruning.method == "synflow":
        ensemble.obey(flow_masks(ensemble, pruning))
        return train(ensemble, examples, rows, recipe, generators, target=target)
    rewound: dict[str, Tensor] = {}

    def remember(epochs: int) -> None:
        if epochs == recipe.rewound and not rewound:
            rewound.update({key: tensor.clone() for key, tensor in ensemble.state().items()})

    train(ensemble, examples, rows, recipe, generators, after=remember, target=target)
    for sparsity in recipe.rounds:
        masks = magnitude_masks(ensemble, Pruning(pruning.method, sparsity))
        ensemble.network.load_state_dict(rewound)
        train(ensemble.obey(masks), examples, rows, recipe, generators, first=recipe.rewound, target=target)
    return ensemble


def magnitude_masks(ensemble: Ensemble, pruning: Pruning) -> Masks:
    """The weights of the largest magnitude, of each model."""
    names = prunable(ensemble.network)
    return _largest(ensemble, {name: ensemble.state()[name].abs() for name in names}, pruning)


def flow_masks(ensemble: Ensemble, pruning: Pruning) -> Masks:
    """The weights with the most synaptic flow ``|w dR/dw|``, pruned in 100 steps of one ratio; no data are seen.

    ``R`` is the sum of the outputs for an input of ones, in evaluation mode, all weights replaced by their magnitudes.
    In float64: the flow through a deep network is the product of the sums of its layers.
    """
    names = prunable(ensemble.network)
    linear = ensemble.copy().double().eval()
    linear.network.load_state_dict({key: tensor.abs() for key, tensor in linear.state().items()})
    ones = torch.ones(1, *ensemble.sample_shape, dtype=torch.float64, device=ensemble.device)
    masks = linear.masks
    for step in range(1, FLOW_STEPS + 1):
        weights = [linear.network.get_parameter(name) for name in names]
        with torch.enable_grad(), exact_arithmetic():
            flows = torch.autograd.grad(linear(ones).sum(), weights)
        scores = {name: weight.detach() * flow for name, weight, flow in zip(names, weights, flows, strict=True)}
        sparsity = 1 - (1 - pruning.sparsity) ** (step / FLOW_STEPS)
        masks = _largest(linear, scores, Pruning("synflow", sparsity if step < FLOW_STEPS else pruning.sparsity))
        linear.obey(masks)
    return masks


def masks_of_zeros(ensemble: Ensemble, pruning: Pruning) -> Masks:
    """The masks of sparse models whose weights alone were kept: where these are 0."""
    names = prunable(ensemble.network)
    masks = {name: ensemble.state()[name] != 0 for name in names}
    flat = torch.cat([masks[name].flatten(1) for name in names], dim=1)
    expected = pruning.count(flat.shape[1])
    few = ((~flat).sum(1) < expected).nonzero().flatten().tolist()
    if few:
        numbers = [ensemble.origin.models[row] for row in few]
        raise BadSetting(f"expected {expected} weights of 0 ({pruning}) in each model, models {numbers} have fewer")
    return masks


def sparsity_of(ensemble: Ensemble) -> Float[Tensor, " models"]:
    """Share of the prunable weights that are 0, of each model."""
    weights = [ensemble.state()[name].flatten(1) for name in prunable(ensemble.network)]
    return (torch.cat(weights, dim=1) == 0).double().mean(1)


def _largest(ensemble: Ensemble, scores: dict[str, Tensor], pruning: Pruning) -> Masks:
    """True for all but the ``pruning`` share of each model's smallest scores, all layers together."""
    flat = torch.cat([score.flatten(1) for score in scores.values()], dim=1)
    dropped = flat.argsort(dim=1, stable=True)[:, : pruning.count(flat.shape[1])]
    kept = torch.ones_like(flat, dtype=torch.bool).scatter(1, dropped, False)
    parts = kept.split([score[0].numel() for score in scores.values()], dim=1)
    masks = {name: part.reshape(scores[name].shape) for name, part in zip(scores, parts, strict=True)}
    for name, mask in masks.items():
        _require_some(ensemble, name, mask, pruning)
    return masks


def _require_some(ensemble: Ensemble, name: str, mask: Tensor, pruning: Pruning) -> None:
    """A layer without a weight lets nothing through: such a model knows nothing, and none is made."""
    empty = (~mask.flatten(1).any(1)).nonzero().flatten().tolist()
    if empty:
        numbers = [ensemble.origin.models[row] for row in empty]
        raise BadSetting(
            f"pruning by {pruning} leaves layer {name.removesuffix('.weight')!r} of models {numbers} no weight at all; "
            "lower the sparsity, or prune by synflow, which empties no layer before all others are as thin"
        )
