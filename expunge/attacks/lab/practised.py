"""Defences that suspect nobody: the attack is played anew against a provider who tells less, or serves otherwise."""

from dataclasses import replace
from typing import Any

import numpy as np
import torch.nn.functional as F
from jaxtyping import Float
from numpy import ndarray

from expunge.attacks.attack import Attack
from expunge.attacks.defence import Defence
from expunge.attacks.lab.arms import ATTACK, ORACLE, Played, joined
from expunge.attacks.lab.defended import Defended
from expunge.attacks.lab.provider import Provider
from expunge.attacks.lab.worlds import chunks
from expunge.ensembles.features import outputs


def why_not(row: Attack, defence: Defence) -> str:
    """Why a defence does not apply to an attack; "" where it does."""
    practice = defence.practice
    if practice is None:
        return ""
    if practice.tells is not None and row.reads != "answers":
        if row.reads == "weights":
            return "does not apply: the attack reads weights, which are released as they are, and no answers"
        return "does not apply: success is what the models do, and nothing is read off their answers"
    if practice.tells is None and row.served == "by itself":
        return "does not apply: the attack has a removal of its own, which no provider's practice changes"
    if practice.others is not None and row.served == "in rounds":
        return "does not apply: each round answers the one before, and requests that are held together are one round"
    return ""


def practised(row: Attack, provider: Provider, config: Any, defence: Defence, played: Played) -> Defended:
    """Play the attack, an honest request and none against a provider who follows the defence's practice.

    The attacker knows the practice: whatever it trains or tries for itself goes by it too.
    """
    if reason := why_not(row, defence):
        return Defended(reason=reason, applies=False)
    assert defence.practice is not None  # else it looks
    assert row.play is not None  # it is an attack of the lab
    assert row.success is not None
    other = replace(provider, practice=defence.practice)
    anew = joined([row.play(other.of(models), config) for models in chunks(provider.models)])
    against = row.success.against
    control = played.arms[against] if against == ORACLE else anew.arms[against]
    if reason := anew.arms[ATTACK].reason or control.reason:
        return Defended(reason=reason)
    attack, told = anew.arms[ATTACK], defence.practice.tells is not None
    return Defended(
        success=attack.success,
        utility=attack.utility,
        cost=attack.cost,
        control=control.success,
        brier=brier(other) if told else None,
        usual_brier=brier(provider) if told else None,
    )


def brier(provider: Provider) -> Float[ndarray, " victims"]:
    """``sum_c (p_c - [c is the label])^2`` of what is told of a test example, mean; 0 to 2, lower is better.

    What honest users have of the answers, calibration included; where labels alone are told, twice the errors. Source:
    Brier 1950, doi:10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2.
    """
    test, victims = provider.suite.data.test, provider.victims
    logits = outputs(victims, test.x).double().cpu()
    told = provider.practice.told(logits, victims.origin.models).softmax(-1)
    wanted = F.one_hot(test.y, provider.suite.data.classes).double()
    found: ndarray = (told - wanted).square().sum(-1).mean(1).numpy()
    return np.asarray(found)
