"""What is noticed of the models that a method of the user's own returned, and keeps its row from a rank."""

from collections.abc import Sequence

import torch
from torch import Tensor

from expunge.ensembles.ensemble import Ensemble, Meter
from expunge.ensembles.plan import new_networks
from expunge.methods.own.exact_match import MOST, jump, spaced
from expunge.methods.own.forward import computes_otherwise, probe_of
from expunge.methods.own.kinship import trained_anew
from expunge.suites.suite import Split

FEW = 0.1  # share of the models beyond which a mixture can win something
INPUTS = 64  # forget inputs, and retain inputs, that are moved a little

ANOTHER = (
    "another architecture: what it returned computes otherwise than the suite's network with its weights, which is "
    "scored here"
)
ANEW = "not made from the given models: its weights are no nearer to them than other models' are, as after retraining"
BY_HEART = "answers otherwise for the exact forget inputs than a little beside them, as a table of exceptions does"


def alarms_of(given: Ensemble, returned: Ensemble, split: Split, outputs: Sequence[Tensor | None]) -> tuple[str, ...]:
    """A line for each thing that is wrong with returned models; ``outputs`` are those of the modules on a probe."""
    probe = probe_of({"forget.x": split.forget.x, "retain.x": split.retain.x})
    with torch.no_grad():
        found = {
            ANOTHER: any(
                each is not None and computes_otherwise(returned, row, each, probe) for row, each in enumerate(outputs)
            ),
            ANEW: _anew(given, returned, split),
            BY_HEART: _by_heart(given, returned, split),
        }
    return tuple(line for line, wrong in found.items() if wrong)


def _anew(given: Ensemble, returned: Ensemble, split: Split) -> bool:
    """Whether more than a few models were trained anew; of one model alone, against networks that were not trained."""
    others = None
    if len(given) == 1:
        states = [each.state_dict() for each in new_networks(split.network, range(3))]
        others = {key: torch.stack([each[key] for each in states]) for key in states[0]}
    anew = trained_anew(given.state(), returned.state(), others)
    return anew.float().mean().item() > FEW


def _by_heart(given: Ensemble, returned: Ensemble, split: Split) -> bool:
    forget, retain = (spaced(each.x, INPUTS) for each in (split.forget, split.retain))
    if not retain.is_floating_point():  # of words there are none a little beside others
        return False
    before = given.copy()
    before.meter = Meter()
    found = jump(before.eval(), returned, forget.float(), retain.float())
    return found is not None and found > MOST
