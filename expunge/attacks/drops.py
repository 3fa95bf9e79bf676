"""How much accuracy a removal costs, beside ordinary data and beside retraining: records of each served request."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from expunge.attacks.removal import Removal
from expunge.bench.score import failed_scores, score_row
from expunge.metrics.calibration import Estimate
from expunge.metrics.over_models import gap, mean_over_models, ratio
from expunge.records import Score, Setting

ATTACK = "attack"  # the name of the attack's own request
DROP, EXCESS, RATIO = "accuracy-drop", "excess-drop", "drop-ratio"


def drop(removal: Removal) -> Estimate:
    """``before - after``: test accuracy that the removal costs, mean over models, in [-1, 1]; lower is better.

    By Student's t over the paired differences; of retraining, whose models are others, by Welch's.
    """
    before, after = removal.before, _after(removal)
    if removal.paired:
        return mean_over_models(before - after, (-1.0, 1.0))
    return gap(before, after, bounds=(-1.0, 1.0))


def excess(attack: Removal, control: Removal) -> Estimate:
    """How much more the removal of the attack's records costs than that of the control: the difference of their drops.

    Both start from the same victims, so it is the difference of the accuracies after: paired, but for retraining.
    """
    if attack.paired:
        return mean_over_models(_after(control) - _after(attack), (-1.0, 1.0))
    return gap(_after(control), _after(attack), bounds=(-1.0, 1.0))


def drop_ratio(attack: Removal, control: Removal) -> Estimate | None:
    """Drop of the attack over that of the control, with Fieller's interval; None where the control has no drop to see.

    None for retraining too, whose models are not those of the victims: its ratio has no pairs.
    """
    if not attack.paired:
        return None
    return ratio(attack.before - _after(attack), control.before - _after(control))


def drop_scores(removals: Sequence[Removal], facts: Mapping[str, Setting]) -> list[Score]:
    """All records of served requests: drops, the attack's beside each control, and the distance to the oracles.

    ``facts`` are settings of the attack, which every record's config holds beside those of the method.
    """
    found: list[Score] = []
    for removal in removals:
        found += _named(_own_scores(removal), removal, facts)
        if removal.request != ATTACK or removal.after is None:
            continue
        controls = [
            other
            for other in removals
            if (other.batching, other.label) == (removal.batching, removal.label)
            and other.request != ATTACK
            and other.after is not None
        ]
        found += _named(_beside(removal, controls), removal, facts)
    return found


def _own_scores(removal: Removal) -> list[Score]:
    row, reference = removal.row, removal.reference
    if removal.after is None:
        return failed_scores(row, reference, len(removal.before), removal.reason)
    distance = score_row([row], reference, ("klom", "accuracy")).scores
    return [*distance, row.score("test", DROP, "mean", drop(removal), reference, module=__name__)]


def _beside(attack: Removal, controls: Sequence[Removal]) -> list[Score]:
    found = []
    for control in controls:
        over = excess(attack, control)
        found.append(
            attack.row.score("test", EXCESS, f"over {control.request}", over, attack.reference, module=__name__)
        )
        times = drop_ratio(attack, control)
        if times is not None:
            found.append(
                attack.row.score("test", RATIO, f"to {control.request}", times, attack.reference, module=__name__)
            )
    return found


def _named(scores: Sequence[Score], removal: Removal, facts: Mapping[str, Setting]) -> list[Score]:
    """The records with the name that the method has in tables, and how it came about that it was asked to forget."""
    own = {"attack.batching": removal.batching, "attack.request": removal.request, **facts}
    return [
        replace(
            score,
            subject=replace(score.subject, method=removal.label, config={**score.subject.config, **own}),
        )
        for score in scores
    ]


def _after(removal: Removal) -> Float[ndarray, " models"]:
    assert removal.after is not None  # asked of served requests alone
    return np.asarray(removal.after)
