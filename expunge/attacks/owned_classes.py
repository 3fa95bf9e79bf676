"""Which of an attacker's records are of one class: what a request is concentrated on, and what lies beside it."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int
from numpy import ndarray

from expunge.attacks.named_class import named_class
from expunge.errors import BadSetting
from expunge.suites.suite import Suite

COMMONEST = "commonest"  # the class of which the attacker owns the most records


@dataclass(frozen=True, eq=False)
class OwnedClass:
    """A class, the attacker's ``records`` of it and its ``others``, numbers of training examples, rising."""

    label: int
    records: Int[ndarray, " records"]
    others: Int[ndarray, " others"]


def require_class(suite: Suite, name: str) -> None:
    """Refuse a class that does not exist."""
    if name != COMMONEST:
        named_class(suite, name, "target_class", COMMONEST)


def class_owned(suite: Suite, owned: Int[ndarray, " owned"], name: str, budget: int) -> OwnedClass:
    """The records of class ``name`` among those ``owned``; refused where they are fewer than ``budget``, or all."""
    labels = suite.data.train.y.numpy()[owned]
    counts = np.bincount(labels, minlength=suite.data.classes)
    label = int(counts.argmax()) if name == COMMONEST else suite.data.label(name)
    inside = labels == label
    if inside.sum() < budget:
        raise BadSetting(
            f"suite {suite.name!r}: an attacker owns {inside.sum()} records of class {label}, and {budget} are to be "
            "asked for; give a lower --set budget=N, or --set owned=SHARE for one who owns more"
        )
    if inside.all():
        raise BadSetting(
            f"suite {suite.name!r}: an attacker owns records of class {label} alone, and needs some of another; give "
            "--set owned=SHARE for one who owns more"
        )
    return OwnedClass(label, np.sort(owned[inside]), np.sort(owned[~inside]))
