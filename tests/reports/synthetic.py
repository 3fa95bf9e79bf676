"""A folder as ``expunge bench`` writes it, drawn from normal distributions: every kind of row once."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from numpy import ndarray
from numpy.random import Generator, default_rng

from expunge.records import SPLITS, Score, Subject, write_scores
from tests.records import changed

MODELS, EXAMPLES = 24, 90
EPOCHS = 4
SETS = {"random-12": "12 examples drawn at random", "class-3": "all examples of class 3"}
NOTHING_P95 = {"forget": 9.3, "retain": 0.66, "test": 0.67}
FLOOR_P95 = {"forget": 0.64, "retain": 0.65, "test": 0.66}
P95 = {  # method -> P95 at the last epoch on forget, retain, test
    "neg-grad-plus": (0.68, 0.66, 0.67),
    "fine-tune": (2.4, 0.71, 0.7),
    "scrub": (0.66, 0.9, 0.85),
    "random-labels": (10.9, 0.75, 0.7),
    "noise": (9.2, 0.66, 0.68),
    "gradient-ascent": (1.2, 8.4, 7.9),
}
FAR = 0.3  # sd of the oracles in a nat of P95
COSTS = dict(zip(P95, (0.21, 0.17, 0.3, 0.012, 0.0006, 0.004), strict=True))


def score(**changes: Any) -> Score:
    """A plain forget P95 with ``changes``, of its subject too."""
    subject = Subject(
        suite="digits",
        suite_digest="5f2c" * 16,
        forget_set="random-12",
        forget_digest="a9" * 8,
        method="neg-grad-plus",
        config={},
        tuning="",
        seed=0,
        model_numbers=f"0-{MODELS - 1}",
        device="cpu",
        hardware="2 cores",
        code="c0de" * 4,
        versions={"expunge": "0.1.0"},
    )
    plain = Score(
        subject=subject,
        split="forget",
        metric="klom",
        aggregate="p95",
        value=0.7,
        low=0.62,
        high=0.78,
        models=MODELS,
        oracle_models=MODELS,
        epoch=EPOCHS,
        cost=0.2,
        seconds=0.041,
        status="ok",
        reason="",
    )
    return changed(plain, **changes)


def scores_of(
    forget_set: str, method: str, p95: Mapping[str, float], nothing: float = NOTHING_P95["forget"], **changes: Any
) -> Iterator[Score]:
    """All records of one method at one epoch, where doing nothing has the forget P95 ``nothing``."""
    accuracies = {"forget": 0.9, "retain": 0.999, "test": 0.972}
    for split in SPLITS:
        value, accuracy = p95[split], accuracies[split]
        base = {"forget_set": forget_set, "method": method, "split": split} | changes
        yield score(value=value, low=value * 0.95, high=value * 1.05, **base)
        far = FAR * value
        yield score(metric="distance", aggregate="mean", value=far, low=far * 0.95, high=far * 1.05, **base)
        if split == "forget":
            closed = (nothing - value) / (nothing - FLOOR_P95["forget"])
            edges = {"low": closed - 0.05, "high": closed + 0.05} if closed else {"low": 0.0, "high": 0.0}
            yield score(metric="gap-closed", aggregate="mean", value=closed, **edges, **base)
        else:
            drift = far - FAR * FLOOR_P95[split]
            yield score(metric="drift", aggregate="mean", value=drift, low=drift - 0.02, high=drift + 0.02, **base)
        yield score(aggregate="mean", value=value / 2, low=value * 0.475, high=value * 0.525, **base)
        share = min(1.0, max(0.0, value / 10 - 0.1))
        yield score(metric="distinguishable", aggregate="share", value=share, low=share * 0.8, high=share, **base)
        edges = {"low": accuracy - 0.01, "high": min(1.0, accuracy + 0.01)}
        yield score(metric="accuracy", aggregate="mean", value=accuracy, **edges, **base)


def scores(forget_set: str) -> list[Score]:
    """The final epoch: the anchors, every method of ``P95`` and one that failed."""
    far = {"test": 9.7} if forget_set.startswith("class") else {}
    found = [*scores_of(forget_set, "oracle", FLOOR_P95, cost=None, seconds=None)]
    found += scores_of(forget_set, "identity", NOTHING_P95 | far, cost=0.0, seconds=0.0)
    for method, p95 in P95.items():
        kept = far if p95[0] > 5 else {}
        values = dict(zip(SPLITS, p95, strict=True)) | kept
        found += scores_of(forget_set, method, values, cost=COSTS[method])
    failed = {"value": None, "low": None, "high": None, "status": "failed", "cost": None, "seconds": None}
    reason = "diverged at epoch 2: margins of models 3 and 7 are not finite"
    return found + [
        score(forget_set=forget_set, method="newton", split=split, reason=reason, **failed) for split in SPLITS
    ]


def curve(final: list[Score]) -> Iterator[Score]:
    """Every epoch, on the way from identity to the final score."""
    for last in final:
        moves = last.subject.method not in ("oracle", "identity") and last.metric in ("klom", "distance")
        if moves and last.value is not None and last.cost is not None:
            start = NOTHING_P95[last.split] * (FAR if last.metric == "distance" else 1)
            for epoch in range(1, EPOCHS + 1):
                value = start * (last.value / start) ** (epoch / EPOCHS)
                cost = last.cost * epoch / EPOCHS
                yield replace(last, epoch=epoch, value=value, low=value * 0.95, high=value * 1.05, cost=cost)


def write_arrays(folder: Path, forget_set: str, rng: Generator) -> None:
    """Margins of all methods; forget examples move with the method's P95."""
    target = folder / "arrays" / forget_set
    target.mkdir(parents=True)
    labels = rng.integers(0, 10, EXAMPLES)
    train = np.arange(EXAMPLES * 2 // 3)
    forget = np.flatnonzero(labels[train] == 3) if forget_set == "class-3" else np.sort(rng.choice(train, 12, False))
    center = np.full(EXAMPLES, 6.0)
    center[forget] = rng.normal(-1, 1.5, len(forget))
    known = center.copy()
    known[forget] = 7.0
    np.savez(
        target / "reference.npz",
        oracle=_sample(rng, center),
        pretrained=_sample(rng, known),
        forget=forget,
        retain=np.setdiff1d(train, forget),
        test=np.arange(len(train), EXAMPLES),
        labels=labels,
        images=rng.integers(0, 256, (EXAMPLES, 8, 8)).astype(np.uint8),
    )
    for method, p95 in {"identity": (9.3, 0, 0), "oracle": (0.64, 0, 0), **P95}.items():
        share = min(1.0, p95[0] / 9.3) ** 1.5
        margins = _sample(rng, center + share * (known - center) - (8 if method == "gradient-ascent" else 0))
        file = target / f"{quote(method, safe='')}.npz"
        np.savez(file, margins=margins, klom=np.abs(margins.mean(0) - center).astype(np.float32))


def _sample(rng: Generator, center: ndarray) -> ndarray:
    return rng.normal(center, 1.2, (MODELS, EXAMPLES)).astype(np.float32)


def write_bench(folder: Path) -> Path:
    """Write all files of a bench to ``folder``."""
    rng = default_rng(0)
    final = [record for name in SETS for record in scores(name)]
    folder.mkdir(parents=True, exist_ok=True)
    write_scores(folder / "scores.jsonl", final)
    write_scores(folder / "curve.jsonl", curve(final))
    for name in SETS:
        write_arrays(folder, name, rng)
    run = {
        "suite": "digits",
        "suite_digest": "5f2c" * 16,
        "command": "expunge bench digits --models 24 --out out",
        "notes": {"class-3": "The oracles never saw class 3 and are wrong on the test images of it."},
        "forget_sets": {name: {"size": 12, "description": text} for name, text in SETS.items()},
        "methods": {name: {"source": "Somebody et al. 2024", "needs": ["forget", "retain"]} for name in P95},
        "versions": {"torch": "2.9.0", "expunge": "0.1.0"},
        "hardware": "2 cores",
        "seconds": 71.5,
    }
    (folder / "run.json").write_text(json.dumps(run))
    return folder
