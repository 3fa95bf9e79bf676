"""Transfer learning: unlearn a source class, then train a linear probe for another task on what is left.

Run: python runs/transfer.py  (a few minutes on one core; goes on where it stopped)

The source task are the digits 0 to 6, the other task the digits 7, 8 and 9, of which the probe sees 5 each: with all of
them it makes hardly a mistake on anything. What is unlearned is the digit 3. The paper
unlearns classes of ImageNet by l1-sparse in place of retraining: Jia et al. 2023, arXiv:2304.04934, section 5.
"""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sparse_rows import write_rows

from expunge.engine import one_thread
from expunge.ensembles import Ensemble, pretrain, retrain
from expunge.methods import unlearn
from expunge.metrics.linear_probe import linear_probe
from expunge.metrics.over_models import gap, mean_over_models
from expunge.suites import Data, Examples, ForgetSet, ForgetSets, Suite, load_suite

SPARSITIES = (0.0, 0.95)
METHODS = ("fine-tune", "l1-sparse")
SOURCE, FORGOTTEN = 7, 3  # digits below this are the source task; this one of them is unlearned
SHOTS = 5  # examples of each class that the probe is trained on
MODELS = 15
RESULTS = Path(__file__).parents[1] / "results" / "sparsity" / "transfer.json"


def source_data() -> Data:
    """The digits of the source task; labels are the digits still."""
    data = load_suite("digits").data
    train, test = (part.take(np.flatnonzero(part.y.numpy() < SOURCE)) for part in (data.train, data.test))
    return Data(train, test, data.classes)


def other_task() -> tuple[Examples, Examples]:
    """The other digits: the first few of each to train the probe on, and all the rest."""
    data = load_suite("digits").data
    train, test = (part.take(np.flatnonzero(part.y.numpy() >= SOURCE)) for part in (data.train, data.test))
    labels = train.y.numpy()
    shown = np.sort(np.concatenate([np.flatnonzero(labels == each)[:SHOTS] for each in np.unique(labels)]))
    rest = train.take(np.setdiff1d(np.arange(len(labels)), shown))
    return train.take(shown), Examples(torch.cat([rest.x, test.x]), torch.cat([rest.y, test.y]))


def source_suite() -> Suite:
    """The source task; its forget set is one class."""
    data = source_data()
    rows = np.flatnonzero(data.train.y.numpy() == FORGOTTEN)
    sets = ForgetSets.of(ForgetSet("class", rows, f"every training example of the digit {FORGOTTEN}"))
    return replace(
        load_suite("digits"),
        name="digits-0-to-6",
        data=data,
        forget_sets=sets,
        derive=None,
        subsets=0,
        models=MODELS,
        chunk=MODELS,
    )


def main() -> None:
    """Train what the store lacks, unlearn, probe, write the records."""
    write_rows(RESULTS, [row for sparsity in SPARSITIES for row in measured(sparsity)], MODELS)


def measured(sparsity: float) -> list[dict[str, Any]]:
    """The probe on the source models, on those unlearned by each method, and on the oracles."""
    suite = source_suite().pruned(f"omp:{sparsity}")
    forget = suite.forget_sets["class"]
    with one_thread():
        before, oracle = pretrain(suite, MODELS), retrain(suite, forget, MODELS)
        after = {name: unlearn(before, forget, name, suite=suite) for name in METHODS}
        probes = {name: probed(each) for name, each in {"identity": before, **after, "oracle": oracle}.items()}
    rows = []
    for name, accuracies in probes.items():
        made = after[name].origin.made if name in after else None
        row = {
            "sparsity": sparsity,
            "method": name,
            "config": dict(made.settings) if made else {},
            "cost": made.cost if made else None,
            "probe accuracy": list(asdict(mean_over_models(accuracies, (0.0, 1.0))).values()),
        }
        if name != "oracle":
            row["gap to oracles"] = list(asdict(gap(accuracies, probes["oracle"])).values())
        print(row, flush=True)
        rows.append(row)
    return rows


def probed(ensemble: Ensemble) -> np.ndarray:
    """Accuracy of the probe on the other task, of each model."""
    found: np.ndarray = linear_probe(ensemble, *other_task()).numpy()
    return found


if __name__ == "__main__":
    main()
