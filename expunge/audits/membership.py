"""From the games of an attack to records: what it gets of the row's models, and what of held-out oracles."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from expunge.audits.audit import Audited, Unscored
from expunge.audits.evidence import Evidence, Side
from expunge.audits.game import LEAST_OTHERS, Game, auc, auc_of_each, tpr
from expunge.metrics.calibration import Estimate
from expunge.records import Score

RATES = {"tpr-1%": 0.01, "tpr-0.1%": 0.001}
ONE_SIDED = ("auc", "auc-by-example", *RATES)
TWO_SIDED = (*ONE_SIDED, *(f"over-{name}" for name in RATES))
UNIT = "share, 0 to 1"
BETTER = "0.5 (AUC), the false positive rate (TPR); an AUC below 0.5 and a TPR of over- are of forgetting too well"
ORACLE = "0.5 (AUC), the false positive rate (TPR), but for chance; what held-out oracles get is said in each record"


def attack(
    evidence: Evidence,
    name: str,
    module: str,
    games: Callable[[Side], Sequence[Game]],
    *,
    two_sided: bool = True,
) -> Audited:
    """The records of an attack; ``games(side)`` is what it plays with the models of a side as members."""
    return attack_of(evidence, name, module, games("row"), games("held-out"), two_sided=two_sided)


def attack_of(
    evidence: Evidence,
    name: str,
    module: str,
    mine: Sequence[Game],
    best: Sequence[Game],
    *,
    two_sided: bool = True,
    models: int | None = None,
) -> Audited:
    """The records of the games ``mine``, beside those of ``best``, which perfect models play.

    ``two_sided`` also takes the lowest scores for members, as an attacker does who suspects that the set was forgotten
    too well; an attack whose scores are likelihood ratios finds that by itself. ``models`` is the number of models that
    play, where it is not the row's.
    """
    numbers, beside = (_numbers(games, two_sided) for games in (mine, best))
    pairs = [(aggregate, found, beside[aggregate]) for aggregate, found in numbers.items()]
    scores = [
        record(evidence, name, module, aggregate, found, oracle.value, models)
        for aggregate, found, oracle in pairs
        if found and oracle
    ]
    count = min(sum(int(game.others.sum()) for game in games) for games in (mine, best))
    why = f"{count} scores of non-members, and {LEAST_OTHERS:,} are needed; give more models"
    unscored = [Unscored(name, aggregate, why) for aggregate, found, oracle in pairs if not (found and oracle)]
    return Audited(scores, unscored, auc_of_each(mine), min(1.0, 2 * min(_p_values(mine))))


def record(
    evidence: Evidence,
    name: str,
    module: str,
    aggregate: str,
    found: Estimate,
    oracle: float | None,
    models: int | None = None,
) -> Score:
    """The record of one number of an audit on the forget set."""
    score = evidence.row.score("forget", name, aggregate, found, evidence.reference, oracle=oracle, module=module)
    return score if models is None else replace(score, models=models)


def _p_values(games: Sequence[Game]) -> list[float]:
    return [auc(games, by_example=by_example).p_value() for by_example in (False, True)]


def _numbers(games: Sequence[Game], two_sided: bool) -> dict[str, Estimate | None]:
    found: dict[str, Estimate | None] = {
        "auc": auc(games).interval(),
        "auc-by-example": auc(games, by_example=True).interval(),
    }
    found |= {name: tpr(games, fpr) for name, fpr in RATES.items()}
    if two_sided:
        turned = [replace(game, scores=-game.scores) for game in games]
        found |= {f"over-{name}": tpr(turned, fpr) for name, fpr in RATES.items()}
    return found
