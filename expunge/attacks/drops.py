"""How much accuracy a removal costs, beside ordinary data and beside retraining: records of each served request."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.special import stdtrit

from expunge.attacks.controls import RANDOM
from expunge.attacks.removal import ATTACK, Removal
from expunge.bench.score import failed_scores, score_row
from expunge.metrics import METRICS, Reference, Row
from expunge.metrics.calibration import Estimate
from expunge.metrics.over_models import gap, mean_over_models, ratio
from expunge.records import Score, Setting

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


def ordinary_drop(attack: Removal) -> Estimate | None:
    """What removing random records costs, mean over draws and models; None where there is one draw alone.

    The interval is for the mean over all draws that could be made, by all models that could be trained.
    """
    if attack.ordinary is None or len(attack.ordinary) < 2:
        return None
    drops = attack.before - attack.ordinary  # (draws, models)
    variance = drops.mean(1).var(ddof=1) / len(drops) + drops.mean(0).var(ddof=1) / drops.shape[1]
    return _interval(float(drops.mean()), float(variance), min(drops.shape) - 1)


def excess_over_draws(attack: Removal) -> Estimate | None:
    """How much more the attack's removal costs than random records do; None where there is one draw alone.

    The attack's set is one set, and random ones differ too: the interval is that in which the difference would lie were
    the attack's set one more random draw, widened by what the models leave open. So it holds 0 unless the attack's set
    stands out among the draws.
    """
    if attack.ordinary is None or len(attack.ordinary) < 2:
        return None
    over = attack.ordinary - _after(attack)  # (draws, models): positive where the attack loses more
    draws, models = over.shape
    variance = over.mean(1).var(ddof=1) * (1 + 1 / draws) + over.mean(0).var(ddof=1) / models
    return _interval(float(over.mean()), float(variance), draws - 1)


def _interval(value: float, variance: float, freedom: int, level: float = 0.95) -> Estimate:
    half = float(stdtrit(freedom, (1 + level) / 2) * np.sqrt(variance))
    return Estimate(value, max(value - half, -1.0), min(value + half, 1.0))


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
        failed = failed_scores(row, reference, len(removal.before), removal.reason)
        return [*failed, replace(failed[-1], split="test", metric=DROP, aggregate="mean")]
    if removal.paired:
        scores = score_row([row], reference, ("klom", "accuracy")).scores
    else:  # other oracles, which nobody copied, however alike all models are on a small suite
        scores = [score for name in ("klom", "accuracy") for score in _of_metric(name, row, reference)]
    scores.append(row.score("test", DROP, "mean", drop(removal), reference, module=__name__))
    usual = ordinary_drop(removal)
    if usual is not None:
        draws = len(removal.ordinary) if removal.ordinary is not None else 0
        scores.append(row.score("test", DROP, f"{draws} random draws", usual, reference, module=__name__))
    return scores


def _of_metric(name: str, row: Row, reference: Reference) -> list[Score]:
    scores = METRICS[name].scores
    return scores(row, reference).scores if scores else []


def _beside(attack: Removal, controls: Sequence[Removal]) -> list[Score]:
    found = []
    for control in controls:
        drawn = excess_over_draws(attack) if control.request == RANDOM else None
        over = drawn or excess(attack, control)
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
    own = {"attack.batching": removal.batching, "attack.request": removal.request, "attack.met": removal.met, **facts}
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
