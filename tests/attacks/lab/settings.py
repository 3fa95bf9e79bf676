"""Settings with which attacks of the lab take no time on a suite of 200 small pictures."""

QUICK: dict[str, dict[str, object]] = {
    "malicious-requests": {"budget": 4, "owned": 0.2, "steps": 4},
    "malicious-sequence": {"budget": 4, "rounds": 2, "benign": 2, "steps": 3},
    "over-unlearning": {"budget": 2, "owned": 0.3, "l2": 100.0, "partners": 2, "steps": 3},
    "slow-down": {"budget": 3, "steps": 5},
    "unlearn-and-burn": {"budget": 4, "steps": 3},
    "fairness-harm": {"budget": 4, "owned": 0.4},
    "backdoor-by-unlearning": {"poisons": 10, "camouflages": 20},
    "hidden-poison": {"poisons": 3, "camouflages": 3, "eps": 0.3, "steps": 3},
    "pair-membership": {"budget": 10, "shadows": 3},
    "label-only-pair": {"budget": 10, "shadows": 3, "queries": 3, "levels": 2},
    "deletion-inference": {"budget": 10},
    "unlearning-inversion": {"steps": 20, "restarts": 1},
    "reconstruction": {},
    "relearning": {"budget": 10, "taught": 3, "steps": 3},
    "adaptive-requests": {"budget": 10, "owned": 0.5, "shadows": 3},
}
