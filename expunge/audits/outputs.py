"""What models say of examples, beyond margins: signals of their whole outputs, in one pass for all signals."""

from collections.abc import Callable, Mapping

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from expunge.audits.evidence import Evidence, Side
from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.features import BATCH, outputs
from expunge.suites import Examples

Signal = Callable[[ndarray, ndarray], ndarray]  # (logits (outputs, classes), labels (outputs,)) -> (outputs,)
Signals = Mapping[str, Signal]
Both = tuple[Float[ndarray, "models forget"], Float[ndarray, "models test"]]


def on_forget(evidence: Evidence) -> Examples:
    """The examples to forget."""
    return evidence.row.suite.data.train.take(evidence.row.forget.indices)


def signals_of(evidence: Evidence, side: Side, signals: Signals) -> Mapping[str, Both]:
    """Each signal of the models of a side on the examples to forget and on test examples."""

    def make(side: Side) -> dict[str, Both]:
        models, parts = evidence.models(side), (on_forget(evidence), evidence.row.suite.data.test)
        forget, test = (_measured(models, part, signals) for part in parts)
        return {name: (forget[name], test[name]) for name in signals}

    return evidence.once(tuple(signals), side, make)


def _measured(ensemble: Ensemble, examples: Examples, signals: Signals) -> dict[str, ndarray]:
    found: dict[str, list[ndarray]] = {name: [] for name in signals}
    for x, y in zip(examples.x.split(BATCH), examples.y.split(BATCH), strict=True):  # logits of all may be too many
        logits = outputs(ensemble, x).double().cpu().numpy()
        models, size, classes = logits.shape
        flat, labels = logits.reshape(-1, classes), np.tile(y.cpu().numpy(), models)
        for name, signal in signals.items():
            found[name].append(signal(flat, labels).reshape(models, size))
    return {name: np.concatenate(parts, axis=1) for name, parts in found.items()}
