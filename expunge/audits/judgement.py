"""What the attacks on membership say together: a verdict, which says what it does not show."""

from collections.abc import Mapping

from expunge.audits.audit import Audited
from expunge.records import Score, Subject
from expunge.verdicts import Outcome, Verdict

AUDIT = "membership"
LEVEL = 0.001  # of all attacks together: so often is a perfect method said to leak
ROOM = 0.15  # of an AUC around 0.5: with an interval that reaches further, nothing found means little
SHOWS = "these attacks, with so many models, do not tell the unlearned models from oracles on the forget set"
SHOWS_NOT = (
    "that nothing is left: a stronger attack, one that sees weights, or more models may find it; that the models were "
    "unlearned as is claimed; or that other examples, which removal can expose, are as safe as before"
)


NO_COPY = "how much of an example can be read out of the models: to be told from oracles is not to be reconstructed"


def judge(subject: Subject, found: Mapping[str, Audited]) -> Verdict:
    """FAIL where an attack tells unlearned models from oracles, in either direction; PASS where none does.

    An attack does where its AUC is not 0.5 by its two-sided p-value, Bonferroni's over all attacks, at 0.001. Where
    none does, but an interval reaches further than 0.15 from 0.5, the models are too few to tell: INCONCLUSIVE.
    """
    attacks = {name: each for name, each in found.items() if each.p_value is not None}
    p_values = {name: each.p_value for name, each in attacks.items() if each.p_value is not None}
    leaks = sorted((name for name, p in p_values.items() if p < LEVEL / len(p_values)), key=lambda name: p_values[name])
    lines = {name: [_auc_in_words(score) for score in each.scores if is_auc(score)] for name, each in attacks.items()}
    wide = [name for name, each in attacks.items() if any(map(_reaches_far, each.scores))]
    outcome: Outcome = "FAIL" if leaks else "INCONCLUSIVE" if wide or not attacks else "PASS"
    told = leaks or wide or list(attacks)
    reasons = tuple(f"{name}: {'; '.join(lines[name])}" for name in told) or ("no attack could be played",)
    return Verdict(
        audit=AUDIT,
        subject=subject,
        outcome=outcome,
        reasons=reasons,
        shows=_shown(outcome, len(attacks)),
        shows_not=SHOWS_NOT if outcome != "FAIL" else NO_COPY,
        numbers=p_values,
        facts={"level": LEVEL, "attacks": len(attacks)},
    )


def is_auc(score: Score) -> bool:
    """Whether it is the AUC of a game that an oracle plays at 0.5."""
    return score.aggregate in ("auc", "auc-by-example")


def _shown(outcome: Outcome, attacks: int) -> str:
    if outcome == "FAIL":
        return "the unlearned models are no oracles: what was asked to be forgotten can be told"
    if outcome == "INCONCLUSIVE":
        return "nothing: too few models to tell an AUC of 0.65 from 0.5; give more models" if attacks else "nothing"
    return SHOWS


def _reaches_far(score: Score) -> bool:
    if not is_auc(score) or score.low is None or score.high is None:
        return False
    return score.low < 0.5 - ROOM or score.high > 0.5 + ROOM


def _auc_in_words(score: Score) -> str:
    if score.value is None or score.oracle is None:
        return score.aggregate
    name = score.aggregate.upper().replace("AUC-BY-EXAMPLE", "AUC by example")
    side = "held-out oracles" if score.oracle is not None else ""
    return f"{name} {score.value:.3f} [{score.low:.3f}, {score.high:.3f}], {side} {score.oracle:.3f}"
