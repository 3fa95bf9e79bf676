"""Why a row breaks the model, as far as its models tell: said as a likely cause, for nothing was tried anew."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from expunge.methods.certified import CERTIFIED
from expunge.metrics import Reference, Row
from expunge.records import LIKELY

RISE = 0.01  # nats by which the loss on retain must have risen for a cause of it to be looked for
MOST_OF = 0.5  # of the rise: what explains so much is likely its cause
FEW = 0.1  # share of the models that are a few, and one at the least


def likely_cause(epochs: Sequence[Row], reference: Reference) -> str:
    """The first of these that holds of a row's loss on retain, in a line after ``LIKELY``; "" where none does.

    - *statistics of BatchNorm*: with those of the given models put back, more than half of the rise is gone;
    - *outliers*: more than half of the rise is that of a tenth of the models;
    - *certificate*: the method is a certified one, whose certificate asks for noise or clipping: not measured;
    - *learning rate*: more than half of the rise was there after the first of several epochs, or it is a walk of one.

    The loss of an example is ``log(1 + exp(-margin))``, in nats, that of a model the mean over the retained examples.
    """
    last, given = epochs[-1], reference.untouched
    if given is None or given.values.shape != last.margins.values.shape:
        return ""
    before, *after = (_losses(each, last) for each in (given.values, *(row.margins.values for row in epochs)))
    was, now = float(before.mean()), float(after[-1].mean())
    if now - was <= RISE:
        return ""
    means = [float(each.mean()) for each in after]
    found = (
        _statistics(last, was)
        or _outliers(after[-1] - before)
        or _certificate(last, was, now)
        or _rate(last, was, means)
    )
    return LIKELY + found if found else ""


def _losses(margins: Float[ndarray, "models examples"], row: Row) -> Float[ndarray, " models"]:
    kept = margins[:, row.columns["retain"]]
    found: ndarray = np.logaddexp(0, -kept.astype(np.float64)).mean(axis=1)
    return found


def _statistics(row: Row, was: float) -> str:
    if row.put_back is None:
        return ""
    after, back = row.put_back
    if not after - was > RISE or after - back <= MOST_OF * (after - was):
        return ""
    return (
        f"statistics of BatchNorm: with those of the given models put back the loss on retain falls from "
        f"{_nats(after)} to {_nats(back)} nats, {_nats(was)} before"
    )


def _outliers(rises: Float[ndarray, " models"]) -> str:
    few = max(1, int(FEW * len(rises)))
    worst, whole = np.sort(rises)[-few:].sum(), rises.sum()
    if len(rises) < 4 or worst <= MOST_OF * whole:
        return ""
    have = "has" if few == 1 else "have"
    return f"outliers: {few} of {len(rises)} models {have} {worst / whole:.0%} of the rise of the loss on retain"


def _certificate(row: Row, was: float, now: float) -> str:
    if row.method not in CERTIFIED:
        return ""
    asked = f"the noise or clipping that it asks for at epsilon {row.config['epsilon']}"
    return f"certificate: {asked}; the loss on retain rises from {_nats(was)} to {_nats(now)} nats"


def _rate(row: Row, was: float, after: Sequence[float]) -> str:
    if "lr" not in row.config or after[0] - was <= MOST_OF * (after[-1] - was):
        return ""
    return f"learning rate: the loss on retain rose from the first epoch, from {_nats(was)} to {_nats(after[0])} nats"


def _nats(loss: float) -> str:
    return f"{loss:,.0f}" if 99.5 <= loss < 1e6 else f"{loss:.2g}"
