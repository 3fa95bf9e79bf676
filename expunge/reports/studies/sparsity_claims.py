"""The claims of Jia et al. 2023, arXiv:2304.04934, on sparse models, and whether they hold here."""

from itertools import pairwise

from expunge.reports.studies.entries import Entry, Records
from expunge.reports.studies.markdown import Interval, Markdown, code, escaped, grid, in_brackets

Found = dict[tuple[float, str, str], Entry]  # of one suite, by sparsity, forget set and row
Line = list[str]  # a claim, and what is found here

SPARSE = 0.95  # the sparsity that the paper's main table is about
TUNED = "fine-tune, 10 epochs"  # as many as in the paper
CLEANSED = ("fine-tune", TUNED, "l1-sparse", "l1-sparse, 10 epochs, gamma 5e-4")  # rows of the backdoor
CONTROLS = ("identity", "oracle", "retrain", "retrain, oracle masks")
GAPS = {"average gap": "average gap", "KLoM forget gap": "KLoM of the forget set above the floor"}  # in words


def claims(entries: list[Entry], found: Found, backdoor: Records | None) -> str:
    """What the paper claims, and whether it holds here; open where intervals overlap."""
    sets = list(dict.fromkeys(forget_set for _, forget_set, _ in found))
    lines = [gaps_shrink(found, forget_set, name) for name in GAPS for forget_set in sets]
    for forget_set in sets:
        lines += [
            most_gained(found, forget_set, methods_of(found)),
            sparse_tuning_is_nearer(found, forget_set),
            accuracy_kept(found, forget_set),
            mask_remembers(found, forget_set),
        ]
    lines += order_falls(entries)
    lines += [cleansed_better(backdoor, method) for method in CLEANSED] if backdoor else []
    text = "`open`: the intervals overlap. Gaps are compared by their absolute values.\n\n"
    return text + grid(["claim", "here"], lines)


def gaps_shrink(found: Found, forget_set: str, name: str) -> Line:
    """Methods are nearer to the oracles from sparse models."""
    told = {}
    for method in methods_of(found):
        sparse, dense = (number(found, sparsity, forget_set, method, name) for sparsity in (SPARSE, 0.0))
        told[method] = smaller(sparse, dense)
    grouped = [
        f"{verdict}: {', '.join(code(method) for method in told if told[method] == verdict)}"
        for verdict in dict.fromkeys(told.values())
    ]
    return [f"{GAPS[name]} smaller at {SPARSE:g} than dense, {forget_set}", Markdown("; ".join(grouped))]


def most_gained(found: Found, forget_set: str, methods: list[str]) -> Line:
    """Fine-tuning gains most, says the paper (77.5 to 26.4 points class-wise, 2.7 to 1.9 random)."""
    gains: dict[str, Interval] = {}
    for method in methods:
        dense, sparse = (number(found, sparsity, forget_set, method, "average gap") for sparsity in (0.0, SPARSE))
        if dense and sparse:
            gains[method] = dense[0] - sparse[0], dense[1] - sparse[2], dense[2] - sparse[1]
    claim = Markdown(f"{code(TUNED)} gains most average gap from sparsity, {escaped(forget_set)}")
    mine, others = gains.get(TUNED), {name: gain for name, gain in gains.items() if not name.startswith("fine-tune")}
    if mine is None or not others:
        return [claim, "not measured"]
    surely = all(mine[1] > other[2] for other in others.values())
    worse = any(other[1] > mine[2] for other in others.values())
    rival = max(others, key=lambda method: others[method][1 if worse else 2])  # by the end that decides
    mine_in_words, other_in_words = (in_brackets(gain, 100, 1) for gain in (mine, others[rival]))
    if surely:
        return [claim, Markdown(f"holds: {mine_in_words} points, the next {code(rival)} {other_in_words}")]
    told = "does not hold" if worse else "open"
    gains_more = "gains" if worse else "may gain"
    return [claim, Markdown(f"{told}: {mine_in_words} points, where {code(rival)} {gains_more} {other_in_words}")]


def sparse_tuning_is_nearer(found: Found, forget_set: str) -> Line:
    """An l1 penalty makes fine-tuning better where the models are dense."""
    penalised, plain = (number(found, 0.0, forget_set, method, "average gap") for method in ("l1-sparse", "fine-tune"))
    claim = f"from dense models, l1-sparse has a smaller average gap than fine-tune, {forget_set}"
    return [claim, smaller(penalised, plain)]


def accuracy_kept(found: Found, forget_set: str) -> Line:
    """The sparse oracles are as accurate as the dense."""
    dense, sparse = (number(found, sparsity, forget_set, "oracle", "TA") for sparsity in (0.0, SPARSE))
    told = "not measured"
    if dense and sparse:
        told = f"TA {in_brackets(sparse, 100, 1)} after {in_brackets(dense, 100, 1)}"
    return [f"oracles lose little test accuracy at {SPARSE:g}, {forget_set}", told]


def mask_remembers(found: Found, forget_set: str) -> Line:
    """Not the paper's. Fresh weights under a fixed mask train otherwise than rewound ones, so that retraining is above
    the floor is no sign of memory; that it lies above retraining under masks that have seen nothing would be one."""
    names = ("retrain", "retrain, oracle masks")
    mine, other = (number(found, SPARSE, forget_set, name, "KLoM forget gap") for name in names)
    claim = (
        f"the mask remembers: retraining under it lies farther than under oracles' masks at {SPARSE:g}, {forget_set}"
    )
    if mine is None or other is None:
        return [claim, "not measured"]
    verdict = "holds" if mine[1] > other[2] else "the opposite" if mine[2] < other[1] else "open"
    return [claim, f"{verdict}: {in_brackets(mine, 1, 2)} and {in_brackets(other, 1, 2)} nats"]


def order_falls(entries: list[Entry]) -> list[Line]:
    """Proposition 2: the bound falls with sparsity."""
    orders = {entry["sparsity"]: entry["order"] for entry in entries if entry["row"] == "bound"}
    steps = list(pairwise(orders[sparsity] for sparsity in sorted(orders)))
    falls, rises = all(b[2] < a[1] for a, b in steps), any(b[1] > a[2] for a, b in steps)
    return [
        [f"the order of Proposition 2 is smaller at {SPARSE:g} than dense", smaller(orders[SPARSE], orders[0.0])],
        ["and falls with every step of sparsity", "holds" if falls else "does not hold" if rises else "open"],
    ]


def cleansed_better(backdoor: Records, method: str) -> Line:
    """The trigger works less often after the method, in per cent."""
    sparse, dense = (attack(backdoor, method, sparsity) for sparsity in (SPARSE, 0.0))
    told = f"{smaller(sparse, dense)}: {in_brackets(sparse, 100, 1)} % after {in_brackets(dense, 100, 1)} %"
    return [f"a backdoor is cleansed better at {SPARSE:g} than dense, {method}", told]


def attack(backdoor: Records, method: str, sparsity: float) -> Interval | None:
    """Attack success of one row of the backdoor, without the target class."""
    found = (row for row in backdoor["rows"] if (row["method"], row["sparsity"]) == (method, sparsity))
    return next((row["numbers"]["attack success"] for row in found), None)


def smaller(first: Interval | None, second: Interval | None) -> str:
    """Whether the first is smaller in absolute value, by intervals that do not overlap."""
    if first is None or second is None:
        return "not measured"
    one, other = absolute(first), absolute(second)
    return "holds" if one[1] < other[0] else "the opposite" if other[1] < one[0] else "open"


def absolute(interval: Interval) -> tuple[float, float]:
    """Ends of the absolute value."""
    _, low, high = interval
    ends = abs(low), abs(high)
    return (0.0 if low <= 0 <= high else min(ends)), max(ends)


def number(found: Found, sparsity: float, forget_set: str, method: str, name: str) -> Interval | None:
    """A number of a row with its interval; None where the row or the number is not there."""
    entry = found.get((sparsity, forget_set, method))
    return None if entry is None else entry["numbers"].get(name)


def methods_of(found: Found) -> list[str]:
    """The rows that are no controls."""
    return [method for method in dict.fromkeys(method for _, _, method in found) if method not in CONTROLS]
