"""Settings with which attacks of the lab take no time on a suite of 200 small pictures."""

QUICK: dict[str, dict[str, object]] = {
    "malicious-requests": {"budget": 4, "owned": 0.2, "steps": 4},
    "malicious-sequence": {"budget": 4, "rounds": 2, "benign": 2, "steps": 3},
    "pair-membership": {"budget": 10, "shadows": 3},
    "label-only-pair": {"budget": 10, "shadows": 3, "queries": 3, "levels": 2},
    "deletion-inference": {"budget": 10},
    "unlearning-inversion": {"steps": 20, "restarts": 1},
    "reconstruction": {},
    "relearning": {"budget": 10, "taught": 3, "steps": 3},
    "adaptive-requests": {"budget": 10, "owned": 0.5, "shadows": 3},
}
