"""Prune first, then unlearn: the gap to the oracles against the sparsity of the models, on digits.

Run: runs/sparsity.sh, or python runs/sparsity.py [page]  ("page" only writes the page again from the records)

Every sparse model is pruned and trained by its own recipe, and so is every oracle, on its own retained examples: the
reference of a sparse model is the sparse oracle. Methods keep their default settings at every sparsity.
"""

import json
import sys
from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from expunge.engine import default_workers
from expunge.ensembles import Plan, build_all, pretrain
from expunge.ensembles.build import first_weights
from expunge.errors import BadSetting
from expunge.metrics.bench import bench
from expunge.metrics.over_models import mean_over_models
from expunge.metrics.sparsity_bound import sparsity_bound
from expunge.records import Score, hardware, versions
from expunge.suites import Suite, load_suite

SPARSITIES = (0.0, 0.5, 0.75, 0.9, 0.95, 0.99)
METHODS = (
    "fine-tune",
    "gradient-ascent",
    "neg-grad-plus",
    "random-labels",
    "scrub",
    "l1-sparse",
    "salun",
    "retrain",
)
FORGET_SETS = ("random-50", "class-3")
MODELS = 50
OUT = Path("out/sparsity")
RESULTS = Path(__file__).parents[1] / "results" / "sparsity"

# What is kept of every row: (metric, aggregate, split) by the name that the page has for it.
NUMBERS = {
    "average gap": ("average-gap", "mean", "forget"),
    "UA gap": ("ua", "gap", "forget"),
    "RA gap": ("ra", "gap", "retain"),
    "TA gap": ("ta", "gap", "test"),
    "MIA-efficacy gap": ("mia-efficacy", "gap", "forget"),
    "UA": ("ua", "mean", "forget"),
    "RA": ("ra", "mean", "retain"),
    "TA": ("ta", "mean", "test"),
    "KLoM forget": ("klom", "p95", "forget"),
    "KLoM retain": ("klom", "p95", "retain"),
    "KLoM test": ("klom", "p95", "test"),
}

Entry = dict[str, Any]


def main(only_page: bool) -> None:
    """Build and bench what is not in the store yet, write the records, then the page made of them."""
    file = RESULTS / "digits.json"
    if not only_page:
        RESULTS.mkdir(parents=True, exist_ok=True)
        entries = [entry for sparsity in SPARSITIES for entry in measured(sparsity)]
        facts = {"models": MODELS, "hardware": hardware(), "versions": versions()}
        lines = ",\n".join(json.dumps(entry) for entry in entries)
        file.write_text(f'{{"facts": {json.dumps(facts)},\n"rows": [\n{lines}\n]}}\n')
    from sparsity_page import page

    (RESULTS.parent / "sparsity.md").write_text(page(json.loads(file.read_text())))


def suite_of(sparsity: float) -> Suite:
    """Digits at this sparsity; its oracles serve as reference and as floor, half of them each."""
    dense = load_suite("digits")
    return dense if sparsity == 0 else replace(dense.pruned(f"omp:{sparsity}"), models=2 * MODELS)


def measured(sparsity: float) -> list[Entry]:
    """All rows of one sparsity: methods on forget sets, and the parts of Proposition 2."""
    suite = suite_of(sparsity)
    try:
        build(suite)
    except BadSetting as error:  # so many weights pruned that some model has a layer without any
        return [{"sparsity": sparsity, "row": "build", "status": "failed", "reason": str(error)}]
    scores = bench(
        suite,
        METHODS,
        FORGET_SETS,
        models=MODELS,
        recipe="default",
        out=OUT / suite.name,
        workers=default_workers(),
        watch=lambda done, total, label: print(f"{suite.name}: {done}/{total} {label}", flush=True),
    )
    return [*rows(sparsity, scores), bound(sparsity, suite)]


def build(suite: Suite) -> None:
    """Train what the store lacks: pretrained models, and twice as many oracles."""
    if not suite.recipe.prune:
        return  # shipped
    oracles = [(Plan(suite, "oracle", suite.forget_sets[name]), 2 * MODELS) for name in FORGET_SETS]
    build_all([(Plan(suite, "pretrained"), MODELS), *oracles], workers=default_workers())


def rows(sparsity: float, scores: Iterable[Score]) -> list[Entry]:
    """One entry for each method and forget set, its numbers as ``[value, low, high]``, in the order of the scores."""
    found: dict[tuple[str, str], Entry] = {}
    names = {key: name for name, key in NUMBERS.items()}
    for score in scores:
        common = {"sparsity": sparsity, "row": "method", "suite_digest": score.suite_digest}
        common |= {"forget_set": score.forget_set, "method": score.method, "status": score.status}
        common |= {"reason": score.reason, "config": score.config, "cost": score.cost, "numbers": {}}
        entry = found.setdefault((score.forget_set, score.method), common)
        name = names.get((score.metric, score.aggregate, score.split))
        if name and score.value is not None:
            entry["numbers"][name] = [score.value, score.low, score.high]
    for forget_set in FORGET_SETS:
        floor = found[forget_set, "oracle"]["numbers"]
        for (other, _), entry in found.items():
            if other == forget_set:
                entry["numbers"] |= above_floor(entry["numbers"], floor)
    return list(found.values())


def above_floor(numbers: dict[str, list[float]], floor: dict[str, list[float]]) -> dict[str, list[float]]:
    """KLoM less what held-out oracles get.

    Both are against the same reference oracles, so their errors are correlated, if at all, positively; the interval is
    that of independent ones, which is the wider.
    """
    result = {}
    for name in [name for name in numbers if name.startswith("KLoM")]:
        value, other = numbers[name], floor[name]
        half = float(np.hypot((value[2] - value[1]) / 2, (other[2] - other[1]) / 2))
        gap = value[0] - other[0]
        result[f"{name} gap"] = [gap, gap - half, gap + half]
    return result


def bound(sparsity: float, suite: Suite, models: int = 10) -> Entry:
    """The parts of Proposition 2, on some pretrained models: means over models with their intervals."""
    plan, recipe = Plan(suite, "pretrained"), suite.recipe
    steps = recipe.epochs * -(-len(suite.data.train) // recipe.batch_size)
    rates = [recipe.lr_at(step, steps) for step in range(steps)]
    found = sparsity_bound(
        pretrain(suite, models), first_weights(plan, range(models)).eval(), suite.data.train, rates, iterations=20
    )
    return {
        "sparsity": sparsity,
        "row": "bound",
        "models": models,
        **{name: list(asdict(mean_over_models(each)).values()) for name, each in asdict(found).items()},
    }


if __name__ == "__main__":
    main(sys.argv[1:] == ["page"])
