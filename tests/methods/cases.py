"""The case of every method, by the name of its row."""

import dataclasses

from expunge.methods import METHODS
from tests.methods.equations import (
    adversarial,
    certified,
    challenge,
    curvature,
    damping,
    last_layers,
    preference,
    projections,
    pruning,
    retrained,
    teachers,
    walkers,
)
from tests.methods.equations.case import Case

CASES: dict[str, Case] = {
    **adversarial.CASES,
    **certified.CASES,
    **challenge.CASES,
    **curvature.CASES,
    **damping.CASES,
    **last_layers.CASES,
    **preference.CASES,
    **projections.CASES,
    **pruning.CASES,
    **retrained.CASES,
    **teachers.CASES,
    **walkers.CASES,
}
TRAINING = sorted(name for name, case in CASES.items() if case.makes_models)
OWN_MODELS = [name for name, case in CASES.items() if case.own_models]
ALONE = sorted(name for name, case in CASES.items() if case.makes_models and case.given is None)  # need no store


def has_epochs(name: str) -> bool:
    """Whether the method has a setting ``epochs``."""
    return any(field.name == "epochs" for field in dataclasses.fields(METHODS[name].config))
