"""Transfer learning: what is left of a representation for another task, once a class of its own task is unlearned?

The source task are the digits 0 to 6, of which 3 is unlearned. The other task are the digits 7, 8 and 9, of which a
linear probe sees 5 each: with all of them it makes hardly a mistake on anything. The paper unlearns classes of ImageNet
by l1-sparse in place of retraining. Source: Jia et al. 2023, arXiv:2304.04934, section 5.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray

from expunge.engine import Watch, silent
from expunge.ensembles import Ensemble, pretrain, retrain
from expunge.jobs import one_thread
from expunge.methods import unlearn
from expunge.metrics.linear_probe import linear_probe
from expunge.metrics.over_models import gap, mean_over_models
from expunge.reports.studies.entries import Entry, as_list, write_entries
from expunge.suites import Examples, ForgetSet, ForgetSets, Suite, load_suite

SPARSITIES = (0.0, 0.95)
METHODS = ("fine-tune", "l1-sparse")
SOURCE, FORGOTTEN = 7, 3  # digits below this are the source task; this one of them is unlearned
SHOTS = 5  # examples of each class that the probe is trained on
MODELS = 15


def study_transfer(file: Path, models: int = MODELS, watch: Watch = silent) -> None:
    """Train what the store lacks, unlearn, probe, and write the entries of every sparsity to ``file``."""
    entries = []
    for done, sparsity in enumerate(SPARSITIES, start=1):
        entries += entries_at(sparsity, models)
        watch(done, len(SPARSITIES), f"transfer at sparsity {sparsity:g}")
    write_entries(file, entries, models)


def entries_at(sparsity: float, models: int) -> list[Entry]:
    """Of the source models, those unlearned by each method, and the oracles: what the probe gets, 0 to 1."""
    suite = source_suite(models).pruned(f"omp:{sparsity}")
    forget = suite.forget_sets["class"]
    with one_thread():
        before, oracle = pretrain(suite, models), retrain(suite, forget, models)
        after = {name: unlearn(before, forget, name, suite=suite) for name in METHODS}
        probes = {name: probed(each) for name, each in {"identity": before, **after, "oracle": oracle}.items()}
    entries = []
    for name, accuracies in probes.items():
        made = after[name].origin.made if name in after else None
        entry: Entry = {
            "sparsity": sparsity,
            "method": name,
            "config": dict(made.settings) if made else {},
            "cost": made.cost if made else None,
            "probe accuracy": as_list(mean_over_models(accuracies, (0.0, 1.0))),
        }
        if name != "oracle":
            entry["gap to oracles"] = as_list(gap(accuracies, probes["oracle"], bounds=(-1.0, 1.0)))
        entries.append(entry)
    return entries


def source_suite(models: int) -> Suite:
    """The source task, in one chunk of ``models``; labels are the digits still, and the forget set is one class."""
    digits = load_suite("digits")
    train, test = (part.take(np.flatnonzero(part.y.numpy() < SOURCE)) for part in (digits.data.train, digits.data.test))
    rows = np.flatnonzero(train.y.numpy() == FORGOTTEN)
    return replace(
        digits,
        name="digits-0-to-6",
        data=digits.data.with_examples(train, test),
        forget_sets=ForgetSets.of(ForgetSet("class", rows, f"every training example of the digit {FORGOTTEN}")),
        derive=None,
        subsets=0,
        models=models,
        chunk=models,
    )


def other_task() -> tuple[Examples, Examples]:
    """The other digits: the first few of each to train the probe on, and all the rest."""
    data = load_suite("digits").data
    train, test = (part.take(np.flatnonzero(part.y.numpy() >= SOURCE)) for part in (data.train, data.test))
    labels = train.y.numpy()
    shown = np.sort(np.concatenate([np.flatnonzero(labels == each)[:SHOTS] for each in np.unique(labels)]))
    rest = train.take(np.setdiff1d(np.arange(len(labels)), shown))
    return train.take(shown), Examples(torch.cat([rest.x, test.x]), torch.cat([rest.y, test.y]))


def probed(ensemble: Ensemble) -> Float[ndarray, " models"]:
    """Accuracy of the probe on the other task, of each model."""
    found: ndarray = linear_probe(ensemble, *other_task()).numpy()
    return found
