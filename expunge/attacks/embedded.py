"""A provider who trains a linear layer on fixed embeddings: what a frozen, public network makes of the data.

Bertran et al. 2024, arXiv:2405.20272, treat such models as linear ones whose records are the embeddings. The frozen
network here is the suite's last pretrained model, which no bench scores, up to its last linear layer; embeddings are
scaled so that the longest has length 1.
"""

from dataclasses import replace
from functools import partial

import numpy as np
import torch
from torch import nn

from expunge.attacks.lab.provider import side_by_side
from expunge.attacks.optimum import at_optimum
from expunge.engine import silent
from expunge.ensembles.device import chosen_device
from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.features import last_inputs
from expunge.ensembles.plan import Plan, new_networks
from expunge.ensembles.pretraining import pretrain
from expunge.ensembles.seeds import seed_of
from expunge.errors import BadSetting
from expunge.suites.data import Examples
from expunge.suites.suite import ForgetSets, Suite


def embedded(suite: Suite) -> Suite:
    """The suite whose inputs are embeddings, and whose network is a linear layer; BadSetting where there are none."""
    frozen = pretrain(suite, 1, first=suite.models - 1, watch=silent)
    found = [last_inputs(frozen, each.x) for each in (suite.data.train, suite.data.test)]
    if found[0] is None or found[1] is None:
        raise BadSetting(
            f"suite {suite.name!r}: the last layer of its network is not linear, and so has no embedding; leave out "
            "--set embedded=true"
        )
    train, test = (each[0].cpu() for each in found if each is not None)
    longest = train.norm(dim=1).max()
    examples = [
        Examples(x / longest, own.y) for x, own in zip((train, test), (suite.data.train, suite.data.test), strict=True)
    ]
    return replace(
        suite,
        name=f"{suite.name}+embedded",
        data=suite.data.with_examples(*examples),
        network=partial(nn.Linear, train.shape[1], suite.data.classes),
        recipe=replace(suite.recipe, augment="none", prune="", rewind=None),
        forget_sets=ForgetSets({}),
        derive=None,
        subsets=0,
        architecture="",
        images=None,
        place="",
    )


def heads(suite: Suite, models: range) -> Ensemble:
    """Linear layers at the one optimum of the recipe's loss on all training data, as many as there are victims."""
    network = new_networks(suite.network, [seed_of(suite.digest, "head", 0)])
    shape = suite.data.train.x.shape[1:]
    one = Ensemble.stack(network, Plan(suite, "pretrained").origin(range(models.start, models.start + 1)), shape)
    best = at_optimum(suite, one.to(chosen_device()), [np.arange(0)])
    origins = [replace(best.origin, models=(model,)) for model in models]
    return side_by_side(
        [Ensemble.from_state(best.network, best.state(), origin, best.sample_shape) for origin in origins]
    )


def has_head(suite: Suite) -> bool:
    """Whether a network of the suite may have an embedding: a linear layer behind others."""
    with torch.random.fork_rng(devices=[]):
        layers = [each for each in suite.network().modules() if list(each.parameters(recurse=False))]
    return len(layers) > 1 and isinstance(layers[-1], nn.Linear)
