"""Evidence out of the models of digits: what is planted in oracles, and oracles against each other."""

from dataclasses import replace

import numpy as np
from numpy import ndarray

from expunge.audits.evidence import Evidence
from expunge.bench.score import floor_row, identity_row, reference_of
from expunge.ensembles import EnsembleMargins, Plan, read_margins
from expunge.metrics import Reference, Row
from expunge.suites import load_suite

SUITE = load_suite("digits")


def reference(forget_set: str, models: int) -> Reference:
    return reference_of(SUITE, SUITE.forget_sets[forget_set], models, models)


def identity(forget_set: str, models: int) -> Evidence:
    beside = reference(forget_set, models)
    row = identity_row(SUITE, beside.forget, read_margins(Plan(SUITE, "pretrained"), 0, models))
    return Evidence(row, beside)


def oracle(forget_set: str, models: int) -> Evidence:
    beside = reference(forget_set, models)
    return Evidence(floor_row(beside), beside)


def planted(forget_set: str, models: int, shift: ndarray) -> Evidence:
    """Held-out oracles, other than those that say what an oracle gets, whose margins on the set are moved by ``shift``,
    in standard deviations of the oracles.
    """
    beside = reference(forget_set, models)
    others = read_margins(Plan(SUITE, "oracle", beside.forget), SUITE.models - models, models)
    values, columns = others.values.copy(), SUITE.columns(beside.forget)["forget"]
    values[:, columns] += (shift * beside.oracle.values[:, columns].std(axis=0)).astype(np.float32)
    origin = replace(others.origin, kind="pretrained")
    return Evidence(Row(SUITE, beside.forget, "planted", replace(others, values=values, origin=origin)), beside)


def of_oracles(forget_set: str, models: int, order: ndarray) -> Evidence:
    """Oracles drawn by ``order`` against others that it draws next."""
    forget = SUITE.forget_sets[forget_set]
    every = read_margins(Plan(SUITE, "oracle", forget), 0, SUITE.models)
    mine, others = (_taken(every, order[first : first + models]) for first in (0, models))
    return Evidence(Row(SUITE, forget, "identity", mine), Reference(SUITE, forget, others, mine))


def _taken(margins: EnsembleMargins, rows: ndarray) -> EnsembleMargins:
    correct = None if margins.correct is None else margins.correct[rows]
    origin = replace(margins.origin, models=tuple(map(int, rows)))
    return EnsembleMargins(margins.values[rows], correct, origin)
