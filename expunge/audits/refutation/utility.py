"""What a certificate costs: accuracy and distance to retraining, before the noise and after it."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from expunge.audits.refutation.trial import Made, Side, Stage
from expunge.errors import BadMargins
from expunge.metrics.accuracy import accuracy
from expunge.metrics.calibration import Estimate
from expunge.metrics.klom import klom
from expunge.metrics.over_models import mean_over_models
from expunge.metrics.wasserstein import wasserstein
from expunge.records import SPLITS, SplitName

RETRAINED = "retrained"


@dataclass(frozen=True)
class Utility:
    """Models of a stage on a split: accuracy, a mean over models with its 95 % interval, and how far from retraining.

    ``distance`` is the mean Wasserstein-1 of margins in standard deviations of retrained models, ``klom`` the 95th
    percentile of KLoM in nats; lower is better. None of retrained models themselves, and where these do not vary, so
    that there is no unit.
    """

    stage: str
    split: SplitName
    accuracy: Estimate
    distance: float | None
    klom: float | None


def utility_of(
    arms: Mapping[Side, Made], bare: tuple[Mapping[Side, Made], Stage], columns: Mapping[SplitName, ndarray]
) -> list[Utility]:
    """All stages on all splits; what they are compared with is the arm of reference after its training.

    ``bare`` are arms without noise, and the stage from which on they have none.
    """
    plain: Stage = "updated" if bare[1] == "updated" else "finished"
    retrained = arms["reference"].margins["trained"]
    stages: dict[str, tuple[Made, Stage]] = {
        "trained on all": (arms["released"], "trained"),
        "unlearned, without noise": (bare[0]["released"], plain),
        "unlearned": (arms["released"], "finished"),
        RETRAINED: (arms["reference"], "trained"),
        "retrained, then released": (arms["reference"], "finished"),
    }
    found = []
    for told, (made, stage) in stages.items():
        margins, correct = made.margins[stage], made.correct[stage]
        far = None if told == RETRAINED else _distances(margins, retrained)
        kept = None if told == RETRAINED else klom(margins, retrained)
        for split in SPLITS:
            place = columns[split]
            found.append(
                Utility(
                    stage=told,
                    split=split,
                    accuracy=mean_over_models(accuracy(correct[:, place]), bounds=(0.0, 1.0)),
                    distance=None if far is None else float(far[place].mean()),
                    klom=None if kept is None else float(np.percentile(kept[place], 95)),
                )
            )
    return found


def _distances(margins: ndarray, retrained: ndarray) -> Float[ndarray, " columns"] | None:
    try:
        return wasserstein(margins, retrained)
    except BadMargins:  # retrained models that agree on every example
        return None
