"""The page results/sparsity.md, made of the records of runs/sparsity.py and of nothing else."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

Interval = Sequence[float]  # value, low, high
Entry = dict[str, Any]
Found = dict[tuple[float, str, str], Entry]  # of one suite, by sparsity, forget set and row

SPARSE = 0.95  # the sparsity that the paper's main table is about
TUNED = "fine-tune, 10 epochs"  # as many as in the paper
CONTROLS = ("identity", "oracle", "retrain", "retrain, oracle masks")
INTRODUCTION = """\
# Sparse models: prune first, then unlearn

The claims of Jia et al. 2023 (arXiv:2304.04934), as found. Made by [runs/sparsity.sh](../runs/sparsity.sh): {made}.

Models are pruned by one-shot magnitude (`--prune omp:S`): the share S of all convolution weights, rewound to the first
epoch and trained again. Oracles are pruned and trained the same way on their own retained examples, so that no mask has
seen what is forgotten: a sparse row is compared with sparse oracles. Settings are the defaults of each method, the same
at every sparsity: one epoch, `l1-sparse` two, of about {steps};
`gradient-ascent` three passes over the forget set alone. The paper's methods take 10 epochs and 1,760 steps; the row
`fine-tune, 10 epochs` has as many epochs. Up to sparsity 0.95 forgetting random-50 of digits changes UA by less than a
point, so that no gap in accuracy can show much there. Brackets are 95 % intervals over models.

- `identity`: the pretrained models, nothing done. `oracle`: held-out oracles, what a perfect method gets.
- `retrain`: retraining under the mask of the pretrained models, a control. Its weights have not seen the forget set;
  its mask has. At sparsity 0 it has no mask. `retrain, oracle masks`: the same under masks of held-out oracles, which
  have not seen the forget set either."""

STEPS = {"digits": "20 steps on digits", "fashion-mnist-10k": "140 on Fashion-MNIST"}  # of one epoch
TABLES = {  # heading: (number, factor, decimals, what it says)
    "Average gap": (
        "average gap",
        100,
        1,
        "Mean absolute gap of UA, MIA-efficacy, RA and TA to the oracles, in points; lower is better.",
    ),
    "KLoM of the forget set, above the floor": (
        "KLoM forget gap",
        1,
        2,
        "95th percentile, in nats, less that of held-out oracles; 0 is perfect.",
    ),
    "KLoM of the retained examples, above the floor": ("KLoM retain gap", 1, 2, "As above."),
    "KLoM of the test examples, above the floor": ("KLoM test gap", 1, 2, "As above."),
    "UA gap": (
        "UA gap",
        100,
        1,
        "Unlearning accuracy less that of the oracles, in points: below 0 too much is remembered.",
    ),
    "MIA gap": ("MIA gap", 100, 1, "MIA-efficacy less that of the oracles, in points."),
    "RA gap": ("RA gap", 100, 1, "Accuracy on retained examples less that of the oracles, in points."),
    "TA gap": ("TA gap", 100, 1, "Accuracy on test examples less that of the oracles, in points."),
}


def page(records: Mapping[str, Entry], backdoor: Entry | None = None, transfer: Entry | None = None) -> str:
    """The whole page, of the records of each suite; the applications where there are records of them."""
    made = "; ".join(
        f"{suite}, {each['facts']['models']} models a row, records in [{suite}.json](sparsity/{suite}.json)"
        for suite, each in records.items()
    )
    found = {
        suite: {(e["sparsity"], e["forget_set"], e["method"]): e for e in each["rows"] if e["row"] == "method"}
        for suite, each in records.items()
    }
    parts = [INTRODUCTION.format(made=made, steps=" and ".join(STEPS[suite] for suite in records))]
    for suite, each in records.items():
        parts += [f"## The claims on {suite}", *failures(each["rows"])]
        parts.append(claims(each["rows"], found[suite], backdoor if suite == "digits" else None))
    parts += [*cleansing(backdoor), *transferring(transfer)]
    for suite, each in records.items():
        parts += [f"## {suite}", proposition(each["rows"])]
        for forget_set in dict.fromkeys(forget_set for _, forget_set, _ in found[suite]):
            parts += [f"### Forgetting {forget_set} of {suite}", oracles(found[suite], forget_set)]
            parts += [table(found[suite], forget_set, heading) for heading in TABLES]
    return "\n\n".join(parts) + "\n"


def failures(rows: list[Entry]) -> list[str]:
    """What could not be built, or run."""
    lines = [f"- Sparsity {e['sparsity']:g} could not be built: {e['reason']}." for e in rows if e["row"] == "build"]
    lines += [
        f"- {e['method']} on {e['forget_set']} at {e['sparsity']:g} failed: {e['reason']}."
        for e in rows
        if e["row"] == "method" and e["status"] == "failed"
    ]
    return ["\n".join(lines)] if lines else []


def table(found: Found, forget_set: str, heading: str) -> str:
    """One number of all methods against sparsity."""
    name, factor, decimals, what = TABLES[heading]
    sparsities = sparsities_of(found)
    methods = list(dict.fromkeys(method for _, other, method in found if other == forget_set))
    lines = []
    for method in methods:
        entries = [number(found, sparsity, forget_set, method, name) for sparsity in sparsities]
        lines.append([method, *(in_brackets(entry, factor, decimals) for entry in entries)])
    return f"#### {heading}\n\n{what}\n\n" + grid(["method", *(f"{each:g}" for each in sparsities)], lines)


def oracles(found: Found, forget_set: str) -> str:
    """What the held-out oracles get, and what that is worth in KLoM."""
    sparsities = sparsities_of(found)
    numbers = [found[sparsity, forget_set, "oracle"]["numbers"] for sparsity in sparsities]
    lines = [[name, *(in_brackets(each.get(name), 100, 1) for each in numbers)] for name in ("UA", "MIA", "RA", "TA")]
    lines += [[name, *(in_brackets(each.get(name), 1, 2) for each in numbers)] for name in ("KLoM forget", "KLoM test")]
    text = "#### The oracles\n\nAccuracies in per cent; KLoM is the floor, in nats.\n\n"
    return text + grid(["", *(f"{each:g}" for each in sparsities)], lines)


def proposition(rows: list[Entry]) -> str:
    """The parts of Proposition 2 against sparsity."""
    bounds = [entry for entry in rows if entry["row"] == "bound"]
    lines = [
        [words, *(in_brackets(entry[name], 1, 1) for entry in bounds)]
        for name, words in (
            ("distance", "norm of m (theta_t - theta_0)"),
            ("curvature", "sigma(m)"),
            ("order", "order of the bound"),
        )
    ]
    return (
        "### Proposition 2\n\nThe order of the bound on the distance in weights to retrained models, `eta^2 t "
        "||m (theta_t - theta_0)|| sigma(m)`, and its parts; means over 10 pretrained models. Constants are unknown: "
        "it proves no deletion, and its absolute size says nothing. theta_0 are the first weights, t the steps of a "
        "training, sigma(m) the largest absolute eigenvalue of the Hessian, of 512 examples and over the kept weights, "
        "at theta_t.\n\n"
    ) + grid(["", *(f"{entry['sparsity']:g}" for entry in bounds)], lines)


def claims(rows: list[Entry], found: Found, backdoor: Entry | None) -> str:
    """What the paper claims, and whether it holds here; open where intervals overlap."""
    lines = []
    methods = [m for m in dict.fromkeys(method for _, _, method in found) if m not in CONTROLS]
    sets = list(dict.fromkeys(forget_set for _, forget_set, _ in found))
    for name, words in (("average gap", "average gap"), ("KLoM forget gap", "KLoM of the forget set above the floor")):
        for forget_set in sets:
            told = {
                method: smaller(
                    number(found, SPARSE, forget_set, method, name), number(found, 0.0, forget_set, method, name)
                )
                for method in methods
            }
            grouped = [
                f"{verdict}: {', '.join(f'`{m}`' for m in methods if told[m] == verdict)}"
                for verdict in dict.fromkeys(told.values())
            ]
            lines.append([f"{words} smaller at {SPARSE:g} than dense, {forget_set}", "; ".join(grouped)])
    for forget_set in sets:
        lines.append(most_gained(found, forget_set, methods))
        dense = [number(found, 0.0, forget_set, method, "average gap") for method in ("l1-sparse", "fine-tune")]
        lines.append(
            [f"from dense models, l1-sparse has a smaller average gap than fine-tune, {forget_set}", smaller(*dense)]
        )
        lines.append(accuracy_kept(found, forget_set))
        lines.append(mask_remembers(found, forget_set))
    orders = {entry["sparsity"]: entry["order"] for entry in rows if entry["row"] == "bound"}
    lines.append(
        [f"the order of Proposition 2 is smaller at {SPARSE:g} than dense", smaller(orders[SPARSE], orders[0.0])]
    )
    steps = list(pairwise(orders[sparsity] for sparsity in sorted(orders)))
    falls, rises = all(b[2] < a[1] for a, b in steps), any(b[1] > a[2] for a, b in steps)
    verdict = "holds" if falls else "does not hold" if rises else "open"
    lines.append(["and falls with every step of sparsity", verdict])
    for method in ("fine-tune", TUNED, "l1-sparse", "l1-sparse, 10 epochs, gamma 5e-4") if backdoor else ():
        sparse, dense = (attack(backdoor, method, sparsity) for sparsity in (SPARSE, 0.0))
        told = f"{smaller(sparse, dense)}: {in_brackets(sparse, 100, 1)} % after {in_brackets(dense, 100, 1)} %"
        lines.append([f"a backdoor is cleansed better at {SPARSE:g} than dense, {method}", told])
    text = "`open`: the intervals overlap. Gaps are compared by their absolute values.\n\n"
    return text + grid(["claim", "here"], lines)


def most_gained(found: Found, forget_set: str, methods: list[str]) -> list[str]:
    """Fine-tuning gains most, says the paper (77.5 to 26.4 points class-wise, 2.7 to 1.9 random)."""
    gains: dict[str, Interval] = {}
    for method in methods:
        dense, sparse = (number(found, sparsity, forget_set, method, "average gap") for sparsity in (0.0, SPARSE))
        if dense and sparse:
            gains[method] = dense[0] - sparse[0], dense[1] - sparse[2], dense[2] - sparse[1]
    claim = f"`{TUNED}` gains most average gap from sparsity, {forget_set}"
    mine, others = gains.get(TUNED), {name: gain for name, gain in gains.items() if not name.startswith("fine-tune")}
    if mine is None or not others:
        return [claim, "not measured"]
    surely = all(mine[1] > other[2] for other in others.values())
    worse = any(other[1] > mine[2] for other in others.values())
    rival = max(others, key=lambda method: others[method][1 if worse else 2])  # by the end that decides
    mine_in_words, other_in_words = (in_brackets(gain, 100, 1) for gain in (mine, others[rival]))
    if surely:
        return [claim, f"holds: {mine_in_words} points, the next `{rival}` {other_in_words}"]
    told = "does not hold" if worse else "open"
    return [
        claim,
        f"{told}: {mine_in_words} points, where `{rival}` {'gains' if worse else 'may gain'} {other_in_words}",
    ]


def accuracy_kept(found: Found, forget_set: str) -> list[str]:
    """The sparse oracles are as accurate as the dense."""
    dense, sparse = (number(found, sparsity, forget_set, "oracle", "TA") for sparsity in (0.0, SPARSE))
    told = "not measured"
    if dense and sparse:
        told = f"TA {in_brackets(sparse, 100, 1)} after {in_brackets(dense, 100, 1)}"
    return [f"oracles lose little test accuracy at {SPARSE:g}, {forget_set}", told]


def mask_remembers(found: Found, forget_set: str) -> list[str]:
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


def attack(records: Entry | None, method: str, sparsity: float) -> Interval | None:
    """Attack success of one row of the backdoor, without the target class."""
    rows = records["rows"] if records else []
    found = (row for row in rows if (row["method"], row["sparsity"]) == (method, sparsity))
    return next((row["numbers"]["attack success"] for row in found), None)


def cleansing(records: Entry | None) -> list[str]:
    """Whether the trigger of a backdoor still works."""
    if records is None:
        return []
    text = (
        "## Cleansing a backdoor\n\nA tenth of the training digits got a white patch and the label 0; they are the "
        f"forget set. {records['facts']['models']} models a row, made by [runs/backdoor_cleansing.py](../runs/"
        "backdoor_cleansing.py). `oracle`: never saw the patch. In the paper's figure fine-tuning for 10 epochs "
        "brings attack success, the target class included, from 100 % to 47 % dense, 43 % at 0.75, 16 % at 0.9 and "
        "15 % at 0.95."
    )
    names = ("attack success", "attack success, target class included", "test accuracy")
    return [text, *(f"### {name.capitalize()}, in per cent\n\n" + against_sparsity(records, name) for name in names)]


def transferring(records: Entry | None) -> list[str]:
    """What is left of a representation, for another task."""
    if records is None:
        return []
    name = "gap to oracles"
    gaps = {(row["method"], row["sparsity"]): row[name] for row in records["rows"] if row.get(name)}
    verdicts = [
        f"{smaller(gaps['l1-sparse', sparsity], gaps['identity', sparsity])} at {sparsity:g}"
        for sparsity in sorted({sparsity for _, sparsity in gaps})
    ]
    text = (
        "## Transfer learning\n\nThe source task are the digits 0 to 6, of which 3 is unlearned; a linear probe learns "
        f"7, 8 and 9 from 5 examples each. {records['facts']['models']} models a row, made by [runs/transfer.py]"
        "(../runs/transfer.py). The paper's claim: unlearning source classes by l1-sparse is worth as much as "
        "retraining without them. That it is worth more than doing nothing, by the gap of the probe to the oracles': "
        f"{', '.join(verdicts)}."
    )
    names = {
        "probe accuracy": "Accuracy of the probe, in per cent",
        name: "Its gap to that of the oracles, in points",
    }
    return [text, *(f"### {words}\n\n" + against_sparsity(records, name) for name, words in names.items())]


def against_sparsity(records: Entry, name: str) -> str:
    """One number of all rows of an application."""
    found = {(row["method"], row["sparsity"]): row.get("numbers", row).get(name) for row in records["rows"]}
    sparsities = sorted({sparsity for _, sparsity in found})
    methods = [m for m in dict.fromkeys(method for method, _ in found) if any(found.get((m, s)) for s in sparsities)]
    lines = [[method, *(in_brackets(found.get((method, each)), 100, 1) for each in sparsities)] for method in methods]
    return grid(["method", *(f"{each:g}" for each in sparsities)], lines)


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


def sparsities_of(found: Found) -> list[float]:
    return sorted({sparsity for sparsity, _, _ in found})


def in_brackets(interval: Interval | None, factor: float, decimals: int) -> str:
    """``value [low, high]``; a dash where there is none."""
    if interval is None:
        return "-"
    value, low, high = (round(factor * each, decimals) + 0.0 for each in interval)
    return f"{value:.{decimals}f} [{low:.{decimals}f}, {high:.{decimals}f}]"


def grid(head: list[str], lines: list[list[str]]) -> str:
    """A Markdown table."""
    rows = [head, ["---"] * len(head), *lines]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)
