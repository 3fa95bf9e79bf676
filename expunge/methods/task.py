"""One row of a bench to be, and how it runs on one chunk of models. Workers import this, and little else."""

import hashlib
import json
import re
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy import ndarray

from expunge.engine import warn
from expunge.ensembles.device import in_halves
from expunge.ensembles.measured import read_measured, require_built
from expunge.ensembles.plan import Plan
from expunge.ensembles.train import measure
from expunge.ensembles.weights import pretrain
from expunge.errors import DamagedArtefact, MethodFailed, StoreError
from expunge.methods import METHODS, Method, find_method, run_method
from expunge.methods._layers import has_convolutions
from expunge.records import Setting, versions
from expunge.store import Artefact, Content, user_store
from expunge.suites import ForgetSet, Suite
from expunge.suites.loading import fingerprint, without_folder


@dataclass(frozen=True)
class Task:
    """A method with its settings on one forget set of a suite."""

    suite: Suite
    forget: ForgetSet
    name: str
    config: Any
    seed: int
    recipe: str = ""  # which settings these are, in words; it changes no result

    @property
    def method(self) -> Method:
        return find_method(self.name)

    @property
    def settings(self) -> dict[str, Setting]:
        return asdict(self.config)

    @property
    def fits(self) -> bool:
        """Whether the suite's networks have the kind of layer that the method needs."""
        return "convolutions" not in self.method.needs or has_convolutions(self.suite.network)

    def require(self, models: range) -> None:
        """Raise StoreError where the store lacks what the method takes out of it for these models."""
        prepare, place = self.method.prepare, (self.suite, self.forget, self.config)
        if prepare and prepare.require:
            prepare.require(*place)
        if prepare and prepare.plan:
            require_built(prepare.plan(*place), models, self.name)

    def lacks(self, models: range) -> bool:
        """Whether the store lacks it; damage is no lack."""
        try:
            self.require(models)
        except DamagedArtefact:
            raise
        except StoreError:
            return True
        return False

    def key(self, models: range) -> str:
        """Where the result for these models lies in the store: it changes with all that changes the result."""
        code = fingerprint(Path(self.name.rpartition(":")[0]).expanduser()) if ":" in self.name else ""
        inner = sorted(METHODS.keys() & {value for value in self.settings.values() if isinstance(value, str)})
        facts: list[object] = [
            without_folder(self.name),
            code,
            [_source_digest(name) for name in (self.name, *inner)],  # the rows that a setting names are its code too
            self.settings,
            self.forget.digest,
            self.seed,
            versions()["torch"],
        ]
        if self.method.prepare:  # what it takes out of a store may be of all oracles or subsets there are
            facts += [self.suite.models, self.suite.subsets]
        digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]
        return f"{self.suite.digest}/unlearned/{digest}/{models.start:04d}-{models.stop:04d}"


@dataclass(frozen=True)
class Outcome:
    """What became of a task on these models: an artefact of their margins, or the reason why there is none."""

    models: range
    artefact: Artefact | None
    reason: str = ""


def unlearn_chunk(task: Task, models: range) -> Outcome:
    """Run a task on the pretrained models of these numbers, measure every epoch, keep it in the store.

    The artefact: ``margins`` of shape (epochs, models, examples), float32; ``correct`` likewise, packed bits, which a
    method that predicts margins does not have.
    """
    key = task.key(models)  # before the method runs: it may change the current folder
    try:
        run = predicted if task.method.predict else _unlearned
        parts = in_halves(partial(run, task), models, warn)
    except MethodFailed as error:
        return Outcome(models, None, str(error))
    margins = [part.margins for part in parts]
    correct = [part.correct for part in parts if part.correct is not None]
    contents: dict[str, Content] = {"margins": np.concatenate(margins, axis=1)}
    if correct:
        contents["correct"] = np.concatenate(correct, axis=1)
    shares = [part.shape[1] for part in margins]
    costs, seconds = (
        np.average(each, axis=0, weights=shares).tolist()
        for each in ([part.costs for part in parts], [part.seconds for part in parts])
    )
    meta = {"method": task.name, "costs": costs, "seconds": seconds}
    return Outcome(models, user_store().write(key, contents, meta))


@dataclass(frozen=True)
class Unlearned:
    """What is kept of each epoch: margins and packed bits ``(epochs, models, ...)``, cost and seconds ``(epochs,)``."""

    margins: ndarray
    correct: ndarray | None
    costs: list[float]
    seconds: list[float]


def _unlearned(task: Task, models: Sequence[int]) -> Unlearned:
    """Run a task on these models on the chosen device; nothing stays there."""
    ensemble = pretrain(task.suite, len(models), first=models[0])
    margins, correct, costs, seconds = [], [], [], []
    for step in run_method(task.name, task.method, task.config, ensemble, task.suite, task.forget, task.seed):
        values, right = measure(step.ensemble, task.suite.data)
        bad = (~values.isfinite().all(1)).nonzero().flatten().tolist()
        if bad:
            numbers = [models[row] for row in bad]
            raise MethodFailed(f"the margins of models {numbers} are not finite after epoch {step.epoch}")
        margins.append(values.numpy())
        correct.append(np.packbits(right.numpy(), axis=1))
        costs.append(step.cost)
        seconds.append(step.seconds)
    return Unlearned(np.stack(margins), np.stack(correct), costs, seconds)


def predicted(task: Task, models: Sequence[int]) -> Unlearned:
    """Predict the margins of these models; no work of theirs is needed that was not done, so the cost is 0."""
    method, suite, started = task.method, task.suite, time.perf_counter()
    assert method.predict
    extra = method.prepare.load(suite, task.forget, models, task.config) if method.prepare else None
    pretrained = read_measured(Plan(suite, "pretrained"), models[0], len(models)).margins
    margins = np.asarray(method.predict(pretrained, extra, task.config), np.float32)
    bad = [number for number, row in zip(models, margins, strict=True) if not np.isfinite(row).all()]
    if bad:
        raise MethodFailed(f"the margins predicted for models {bad} are not finite")
    return Unlearned(margins[None], None, [0.0], [(time.perf_counter() - started) / len(models)])


@cache
def _source_digest(method: str) -> str:
    """Hash of the code that turns pretrained models into unlearned ones by ``method``: other code, other results.

    That is all of the ensembles, this file, and the method's module with those of methods and suites that it imports.
    """
    folder = Path(__file__).parents[1]
    wanted = [f"methods/{name}" for name in (method.replace("-", "_"), "method", "user", "task")]
    files = set((folder / "ensembles").glob("*.py"))
    while wanted:
        file = folder / f"{wanted.pop()}.py"
        if file.exists() and file not in files:
            files.add(file)
            found = re.findall(r"^from expunge\.(methods|suites)\.(\w+) import", file.read_text(), re.MULTILINE)
            wanted += ["/".join(each) for each in found]
    return hashlib.sha256(b"".join(file.read_bytes() for file in sorted(files))).hexdigest()
