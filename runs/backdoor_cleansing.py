"""Cleansing a backdoor: does the trigger still work after unlearning the poisoned examples, against sparsity?

Run: python runs/backdoor_cleansing.py  (a few minutes on one core; goes on where it stopped)

A tenth of the training digits get a patch of 2 x 2 white pixels in the lower right corner and the label 0. Models are
trained (and pruned) on that; the forget set is what was poisoned. Jia et al. 2023, arXiv:2304.04934, section 5.
"""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from sparse_rows import write_rows

from expunge.engine import one_thread
from expunge.ensembles import Ensemble, pretrain, retrain
from expunge.ensembles.train import measure
from expunge.methods import unlearn
from expunge.metrics.attack_success import attack_success, stamped
from expunge.metrics.over_models import mean_over_models
from expunge.suites import Data, Examples, ForgetSet, ForgetSets, Suite, load_suite

SPARSITIES = (0.0, 0.75, 0.9, 0.95)
METHODS: dict[str, tuple[str, dict[str, Any]]] = {  # by what the row is called; the paper fine-tunes for 10 epochs
    "fine-tune": ("fine-tune", {}),
    "fine-tune, 10 epochs": ("fine-tune", {"epochs": 10}),
    "l1-sparse": ("l1-sparse", {}),
    "l1-sparse, 10 epochs, gamma 5e-4": ("l1-sparse", {"epochs": 10, "gamma": 5e-4}),
}
TARGET = 0
MODELS = 15
RESULTS = Path(__file__).parents[1] / "results" / "sparsity" / "backdoor.json"


def poisoned() -> Suite:
    """Digits with a backdoor; its forget set ``poisoned`` is the backdoor."""
    digits = load_suite("digits")
    train = digits.data.train
    others = np.flatnonzero(train.y.numpy() != TARGET)
    chosen = np.sort(np.random.default_rng(0).choice(others, len(train) // 10, replace=False))
    x, y = train.x.clone(), train.y.clone()
    x[chosen] = stamped(train.take(chosen)).x
    y[chosen] = TARGET
    sets = ForgetSets.of(
        ForgetSet("poisoned", chosen, "a tenth of the digits but zeros, patched and labelled 0, seed 0")
    )
    data = Data(Examples(x, y), digits.data.test, digits.data.classes)
    return replace(
        digits, name="digits-backdoor", data=data, forget_sets=sets, derive=None, subsets=0, models=MODELS, chunk=MODELS
    )


def main() -> None:
    """Train what the store lacks, unlearn, write the records."""
    write_rows(RESULTS, [row for sparsity in SPARSITIES for row in measured(sparsity)], MODELS)


def measured(sparsity: float) -> list[dict[str, Any]]:
    """The poisoned models, those unlearned by each method, and the oracles, which never saw the trigger."""
    suite = poisoned().pruned(f"omp:{sparsity}")
    forget = suite.forget_sets["poisoned"]
    with one_thread():
        before = pretrain(suite, MODELS)
        rows = [row_of(suite, sparsity, "identity", before)]
        for name, (method, settings) in METHODS.items():
            rows.append(row_of(suite, sparsity, name, unlearn(before, forget, method, suite=suite, **settings)))
        rows.append(row_of(suite, sparsity, "oracle", retrain(suite, forget, MODELS)))
    return rows


def row_of(suite: Suite, sparsity: float, method: str, ensemble: Ensemble) -> dict[str, Any]:
    """Attack success with and without the target class, and standard accuracy; means over models with intervals."""
    triggered = stamped(suite.data.test)
    _, correct = measure(ensemble, suite.data)
    numbers = {
        "attack success": attack_success(ensemble, triggered, TARGET).numpy(),
        "attack success, target class included": attack_success(
            ensemble, triggered, TARGET, include_target=True
        ).numpy(),
        "test accuracy": correct[:, suite.data.sizes[0] :].double().mean(1).numpy(),
    }
    row = {name: list(asdict(mean_over_models(each, (0.0, 1.0))).values()) for name, each in numbers.items()}
    print(sparsity, method, {name: round(each[0], 3) for name, each in row.items()}, flush=True)
    made = ensemble.origin.made
    return {
        "sparsity": sparsity,
        "method": method,
        "config": dict(made.settings) if made else {},
        "cost": made.cost if made else None,
        "numbers": row,
    }


if __name__ == "__main__":
    main()
