"""Cleansing a backdoor: does the trigger still work after unlearning the poisoned examples, against sparsity?

A tenth of the training digits get a patch of 2 x 2 white pixels in the lower right corner and the label 0. Models are
trained (and pruned) on that; the forget set is what was poisoned. Source: Jia et al. 2023, arXiv:2304.04934, section 5.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np

from expunge.engine import Watch, silent
from expunge.ensembles import Ensemble, pretrain, retrain
from expunge.ensembles.train import measure
from expunge.jobs import one_thread
from expunge.methods import unlearn
from expunge.metrics.attack_success import attack_success, stamped
from expunge.metrics.over_models import mean_over_models
from expunge.records import Setting
from expunge.reports.studies.entries import Entry, as_list, write_entries
from expunge.suites import Examples, ForgetSet, ForgetSets, Suite, load_suite

SPARSITIES = (0.0, 0.75, 0.9, 0.95)
METHODS: dict[str, tuple[str, dict[str, Setting]]] = {  # by what the row is called; the paper takes 10 epochs
    "fine-tune": ("fine-tune", {}),
    "fine-tune, 10 epochs": ("fine-tune", {"epochs": 10}),
    "l1-sparse": ("l1-sparse", {}),
    "l1-sparse, 10 epochs, gamma 5e-4": ("l1-sparse", {"epochs": 10, "gamma": 5e-4}),
}
TARGET = 0  # the label that the trigger stands for
MODELS = 15


def study_cleansing(file: Path, models: int = MODELS, watch: Watch = silent) -> None:
    """Train what the store lacks, unlearn, and write the entries of every sparsity to ``file``."""
    entries = []
    for done, sparsity in enumerate(SPARSITIES, start=1):
        entries += entries_at(sparsity, models)
        watch(done, len(SPARSITIES), f"backdoor at sparsity {sparsity:g}")
    write_entries(file, entries, models)


def entries_at(sparsity: float, models: int) -> list[Entry]:
    """Of the poisoned models, those unlearned by each method, and the oracles, which never saw the trigger."""
    suite = poisoned(models).pruned(f"omp:{sparsity}")
    forget = suite.forget_sets["poisoned"]
    with one_thread():
        before = pretrain(suite, models)
        entries = [entry_of(suite, sparsity, "identity", before)]
        for name, (method, settings) in METHODS.items():
            after = unlearn(before, forget, method, suite=suite, watch=silent, seed=0, **settings)
            entries.append(entry_of(suite, sparsity, name, after))
        entries.append(entry_of(suite, sparsity, "oracle", retrain(suite, forget, models)))
    return entries


def poisoned(models: int) -> Suite:
    """Digits with a backdoor, in one chunk of ``models``; its forget set ``poisoned`` is the backdoor."""
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
    data = digits.data.with_examples(Examples(x, y), digits.data.test)
    return replace(
        digits, name="digits-backdoor", data=data, forget_sets=sets, derive=None, subsets=0, models=models, chunk=models
    )


def entry_of(suite: Suite, sparsity: float, name: str, ensemble: Ensemble) -> Entry:
    """Attack success with and without the target class, and standard accuracy, 0 to 1: means over models."""
    triggered = stamped(suite.data.test)
    _, correct = measure(ensemble, suite.data)
    shares = {
        "attack success": attack_success(ensemble, triggered, TARGET).numpy(),
        "attack success, target class included": attack_success(
            ensemble, triggered, TARGET, include_target=True
        ).numpy(),
        "test accuracy": correct[:, suite.data.sizes[0] :].double().mean(1).numpy(),
    }
    made = ensemble.origin.made
    return {
        "sparsity": sparsity,
        "method": name,
        "config": dict(made.settings) if made else {},
        "cost": made.cost if made else None,
        "numbers": {word: as_list(mean_over_models(each, (0.0, 1.0))) for word, each in shares.items()},
    }
