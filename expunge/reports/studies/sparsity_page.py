"""The page ``results/sparsity.md``, made of the entries of the study and of nothing else."""

from collections.abc import Mapping

from expunge.reports.studies.entries import Entry, Records
from expunge.reports.studies.markdown import escaped, grid, in_brackets
from expunge.reports.studies.sparsity_claims import Found, claims, number, smaller

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


def sparsity_page(records: Mapping[str, Records], backdoor: Records | None, transfer: Records | None) -> str:
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
    lines = [
        f"- Sparsity {e['sparsity']:g} could not be built: {escaped(e['reason'])}." for e in rows if e["row"] == "build"
    ]
    lines += [
        f"- {e['method']} on {e['forget_set']} at {e['sparsity']:g} failed: {escaped(e['reason'])}."
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


def cleansing(records: Records | None) -> list[str]:
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


def transferring(records: Records | None) -> list[str]:
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


def against_sparsity(records: Records, name: str) -> str:
    """One number of all rows of an application."""
    found = {(row["method"], row["sparsity"]): row.get("numbers", row).get(name) for row in records["rows"]}
    sparsities = sorted({sparsity for _, sparsity in found})
    methods = [m for m in dict.fromkeys(method for method, _ in found) if any(found.get((m, s)) for s in sparsities)]
    lines = [[method, *(in_brackets(found.get((method, each)), 100, 1) for each in sparsities)] for method in methods]
    return grid(["method", *(f"{each:g}" for each in sparsities)], lines)


def sparsities_of(found: Found) -> list[float]:
    """From dense to sparse."""
    return sorted({sparsity for sparsity, _, _ in found})
