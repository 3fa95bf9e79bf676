"""Certified methods: what each guarantees, and the parts that a claim is made of, apart: train, update, release.

A claim is that ``released(updated(trained on all))`` cannot be told from the same of models that were trained on what
is kept, whose update has nothing to forget. Both arms take one config, :func:`settled` on the first.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Int
from numpy import ndarray

from expunge.certificates.theorems.theorem import Claim
from expunge.ensembles.device import chosen_device, exact_arithmetic, resident_split
from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.frozen import hold, release
from expunge.ensembles.origin import Origin
from expunge.ensembles.seeds import Generators, seed_of
from expunge.errors import lookup
from expunge.methods.parts.certified_training import kept_alone, ordinary_training
from expunge.methods.parts.guarantee import Guarantee, released
from expunge.methods.zoo import (
    certified_newton,
    certified_removal,
    descent_to_delete,
    dp_sgd,
    langevin_unlearning,
    model_clipping,
    noisy_fine_tuning_clipped,
    output_perturbation,
    rewind_to_delete,
)
from expunge.suites.suite import ForgetSet, Split, Suite

__all__ = [
    "CERTIFIED",
    "Guarantee",
    "claimed",
    "finished",
    "guarantee_of",
    "kept_alone",
    "released",
    "settled",
    "trained",
    "updated",
]

CERTIFIED: dict[str, Guarantee] = {
    "certified-newton": certified_newton.GUARANTEE,
    "certified-removal": certified_removal.GUARANTEE,
    "descent-to-delete": descent_to_delete.GUARANTEE,
    "langevin-unlearning": langevin_unlearning.GUARANTEE,
    "rewind-to-delete": rewind_to_delete.GUARANTEE,
    "noisy-fine-tuning-clipped": noisy_fine_tuning_clipped.GUARANTEE,
    "model-clipping": model_clipping.GUARANTEE,
    "output-perturbation": output_perturbation.GUARANTEE,
    "dp-sgd": dp_sgd.GUARANTEE,
}


def guarantee_of(method: str) -> Guarantee:
    """The row of :data:`CERTIFIED`; :class:`~expunge.errors.UnknownName` of a method that claims nothing."""
    return lookup("certified method", method, CERTIFIED)


def trained(
    method: str, suite: Suite, rows: Int[ndarray, " rows"], models: Sequence[int], cfg: Any, *, seed: int = 0
) -> Ensemble:
    """Models of these numbers, trained on the training examples at ``rows`` as the theorem of ``method`` asks.

    Chance follows from suite, method, rows, model and ``seed``, so models of other rows share none of it.
    """
    gone = np.setdiff1d(np.arange(suite.data.sizes[0]), rows)
    key = ForgetSet("rest", gone).key if len(gone) else None
    names = (suite.digest, "certified training", method, str(key))
    rng = Generators([seed_of(*names, model, seed) for model in models], chosen_device())
    train = guarantee_of(method).train or ordinary_training
    with exact_arithmetic():
        ensemble = train(suite, rows, models, cfg, rng).eval()
    release(ensemble.network)
    ensemble.origin = Origin(suite.address, suite.digest, "oracle" if key else "pretrained", key, tuple(models))
    return ensemble


def settled(method: str, ensemble: Ensemble, split: Split, cfg: Any) -> Any:
    """The config with what follows from a request in place of its zeros: how many are removed, constants of the loss.

    Of the models that saw all, and of a split that has what is to be forgotten.
    """
    return guarantee_of(method).settle(_held(ensemble), resident_split(split, ensemble.device), cfg)


def updated(method: str, ensemble: Ensemble, split: Split, cfg: Any, *, seed: int = 0) -> Ensemble:
    """The weights before the last noise, which are what is carried on; ``ensemble`` is left as it is."""
    origin = ensemble.origin
    names = (origin.digest, "certified update", method, str(origin.forget_set))
    rng = Generators([seed_of(*names, model, seed) for model in origin.models], ensemble.device)
    with exact_arithmetic():
        student = guarantee_of(method).update(_held(ensemble), resident_split(split, ensemble.device), cfg, rng)
    release(student.network)
    return student.eval()


def finished(method: str, ensemble: Ensemble, split: Split, cfg: Any, *, seed: int = 0) -> Ensemble:
    """Released models after what the method still does to them on retained examples alone: no claim changes by it."""
    origin = ensemble.origin
    names = (origin.digest, "certified finish", method, str(origin.forget_set))
    rng = Generators([seed_of(*names, model, seed) for model in origin.models], ensemble.device)
    with exact_arithmetic():
        student = guarantee_of(method).finish(_held(ensemble), resident_split(split, ensemble.device), cfg, rng)
    release(student.network)
    return student.eval()


def claimed(method: str, ensemble: Ensemble, split: Split, cfg: Any) -> tuple[Claim, ...]:
    """What is claimed of each model, with every constant and its standing."""
    with exact_arithmetic():
        return guarantee_of(method).claims(_held(ensemble), resident_split(split, ensemble.device), cfg)


def _held(ensemble: Ensemble) -> Ensemble:
    """A copy whose frozen parts no step meets."""
    teacher = ensemble.copy().eval()
    hold(teacher.network)
    return teacher
