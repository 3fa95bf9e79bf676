"""What is noticed of the models that a method of the user's own returned, and keeps its row from a rank."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.origin import Meter
from expunge.ensembles.plan import new_networks
from expunge.methods.own.exact_match import MOST, jump, responses, spaced
from expunge.methods.own.forward import computes_otherwise, probe_of
from expunge.methods.own.hiding import LEAST, differing_share
from expunge.methods.own.kinship import trained_anew
from expunge.suites.suite import Split

FEW = 0.1  # share of the models beyond which a mixture can win something
INPUTS = 64  # forget inputs, and retain inputs, that are looked at
OUTPUTS = 1 << 24  # numbers, of all models: those of texts may be millions an input

ANOTHER = (
    "another architecture: what it returned computes otherwise than the suite's network with its weights, which is "
    "scored here"
)
ANEW = "not made from the given models: its weights are no nearer to them than other models' are, as after retraining"
BY_HEART = "answers otherwise for the exact forget inputs than a little beside them, as a table of exceptions does"
HIDDEN = "answers as before but for the same numbers added for every input: what it knew is hidden, not forgotten"


@dataclass(frozen=True)
class Given:
    """What is known of the given models before a stranger's code runs, which may change what all models compute."""

    models: Ensemble
    split: Split
    responses: list[float] | None  # None where inputs cannot be moved a little
    outputs: Tensor  # on some forget and some retain inputs


def before(models: Ensemble, split: Split) -> Given:
    """What is to be known before the method runs."""
    plain = models.copy()
    plain.meter = Meter()
    with torch.no_grad():
        return Given(models, split, _responses(plain.eval(), split), plain(_some(split, len(models))))


def alarms_of(given: Given, returned: Ensemble, outputs: Sequence[Tensor | None]) -> tuple[str, ...]:
    """A line for each thing that is wrong with returned models; ``outputs`` are those of the modules on a probe."""
    split = given.split
    probe = probe_of({"forget.x": split.forget.x, "retain.x": split.retain.x})
    with torch.no_grad():
        found = {
            ANOTHER: any(
                each is not None and computes_otherwise(returned, row, each, probe) for row, each in enumerate(outputs)
            ),
            ANEW: _anew(given.models, returned, split),
            BY_HEART: _by_heart(given, returned),
            HIDDEN: _share(differing_share(given.outputs, returned(_some(split, len(returned)))) < LEAST) > FEW,
        }
    return tuple(line for line, wrong in found.items() if wrong)


def _anew(given: Ensemble, returned: Ensemble, split: Split) -> bool:
    """Whether more than a few models were trained anew; of one model alone, against networks that were not trained."""
    others = None
    if len(given) == 1:
        states = [each.state_dict() for each in new_networks(split.network, range(3))]
        others = {key: torch.stack([each[key] for each in states]) for key in states[0]}
    return _share(trained_anew(given.state(), returned.state(), others)) > FEW


def _share(models: Tensor) -> float:
    return models.float().mean().item()


def _some(split: Split, models: int) -> Tensor:
    """Some inputs of forget and of retain, as many as have outputs that are not too many."""
    each_of = math.prod(split.target.output_shape(split.forget.y[:1], split.classes)) * models
    most = max(1, min(INPUTS, OUTPUTS // each_of))
    return torch.cat([spaced(each.x, most) for each in (split.forget, split.retain)])


def _by_heart(given: Given, returned: Ensemble) -> bool:
    after = _responses(returned, given.split)
    found = jump(given.responses, after) if given.responses and after else None
    return found is not None and found > MOST


def _responses(models: Ensemble, split: Split) -> list[float] | None:
    forget, retain = (spaced(each.x, INPUTS) for each in (split.forget, split.retain))
    if not retain.is_floating_point():  # of words there are none a little beside others
        return None
    return responses(models, forget.float(), retain.float())
