"""What malice can do with data and with requests for removal, and what can be done about it: two tables."""

from expunge.attacks import (
    adaptive_requests,
    backdoor_by_unlearning,
    deletion_inference,
    fairness_harm,
    hidden_poison,
    label_only_pair,
    malicious_requests,
    malicious_sequence,
    over_unlearning,
    pair_membership,
    reconstruction,
    relearning,
    slow_down,
    unlearn_and_burn,
    unlearning_inversion,
    usability,
)
from expunge.attacks.attack import Attack
from expunge.attacks.defence import Defence
from expunge.attacks.defences import DEFENCES

__all__ = ["ATTACKS", "DEFENCES", "Attack", "Defence"]

ATTACKS: dict[str, Attack] = {
    "usability": usability.ATTACK,
    "malicious-requests": malicious_requests.ATTACK,
    "malicious-sequence": malicious_sequence.ATTACK,
    "over-unlearning": over_unlearning.ATTACK,
    "hidden-poison": hidden_poison.ATTACK,
    "slow-down": slow_down.ATTACK,
    "unlearn-and-burn": unlearn_and_burn.ATTACK,
    "backdoor-by-unlearning": backdoor_by_unlearning.ATTACK,
    "fairness-harm": fairness_harm.ATTACK,
    "pair-membership": pair_membership.ATTACK,
    "label-only-pair": label_only_pair.ATTACK,
    "deletion-inference": deletion_inference.ATTACK,
    "unlearning-inversion": unlearning_inversion.ATTACK,
    "reconstruction": reconstruction.ATTACK,
    "relearning": relearning.ATTACK,
    "adaptive-requests": adaptive_requests.ATTACK,
}
