"""Ensembles of a suite: found in a store, or trained chunk by chunk, kept, and never trained twice."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy import ndarray
from torch import Tensor

from expunge.engine import Job, Watch, run_jobs, silent
from expunge.ensembles.ensemble import Ensemble, Kind, Origin
from expunge.ensembles.seeds import Generators, seed_of
from expunge.ensembles.train import measure, train
from expunge.errors import BadSetting, StoreError
from expunge.store import SHIPPED, Artefact, Content, Store, user_store
from expunge.suites.suite import DERIVED, ForgetSet, Suite

_FOLDERS = {"pretrained": "pretrained", "oracle": "oracles", "subset": "subsets"}


@dataclass(frozen=True, eq=False)
class Measured:
    """The margins of an ensemble on all examples, train then test; ``correct`` where its logits were seen."""

    margins: Float[ndarray, "models examples"]
    correct: Bool[ndarray, "models examples"] | None
    origin: Origin

    def take(self, rows: slice) -> "Measured":
        origin = replace(self.origin, models=self.origin.models[rows])
        return Measured(self.margins[rows], None if self.correct is None else self.correct[rows], origin)


@dataclass(frozen=True)
class Plan:
    """Which ensemble: its suite, kind, forget set, and whether weights are kept."""

    suite: Suite
    kind: Kind
    forget: ForgetSet | None = None
    weights: bool = False

    @property
    def key(self) -> str:
        folder = _FOLDERS[self.kind] + ("-weights" if self.weights and self.kind == "oracle" else "")
        name = f"/{self.forget.key}" if self.forget else ""
        return f"{self.suite.digest}/{folder}{name}"

    @property
    def label(self) -> str:
        return f"{self.kind} {self.forget.name}" if self.forget else self.kind

    def origin(self, models: Sequence[int]) -> Origin:
        forget = self.forget.key if self.forget else None
        return Origin(self.suite.name, self.suite.digest, self.kind, forget, tuple(models))


def pretrain(suite: Suite, models: int = 100, *, first: int = 0, workers: int = 1, watch: Watch = silent) -> Ensemble:
    """Models ``first`` to ``first + models - 1``, trained on all examples: shipped, or trained once and kept."""
    return _weights(Plan(suite, "pretrained", weights=True), first, models, workers, watch)


def retrain(
    suite: Suite, forget: ForgetSet, models: int = 100, *, first: int = 0, workers: int = 1, watch: Watch = silent
) -> Ensemble:
    """Oracles: the same as :func:`pretrain`, never shown ``forget``; trained on first use and kept."""
    return _weights(Plan(suite, "oracle", forget, weights=True), first, models, workers, watch)


def read_measured(plan: Plan, first: int, models: int) -> Measured:
    """Margins of models ``first`` to ``first + models - 1`` out of a store; nothing is trained."""
    artefact = _find(plan, first + models) or _find(replace(plan, weights=True), first + models)
    if artefact is None:
        raise StoreError(
            f"{plan.label}: no margins of {first + models} models of suite {plan.suite.name!r} in any store; "
            f"run `expunge build {plan.suite.name}` first"
        )
    rows, examples = slice(first, first + models), len(plan.suite.data.all)
    correct = np.unpackbits(artefact.array("correct")[rows], axis=1, count=examples).astype(bool)
    return Measured(artefact.array("margins")[rows], correct, plan.origin(range(first, first + models)))


def read_subsets(suite: Suite) -> tuple[ndarray, ndarray]:
    """Margins ``(models, examples)`` and masks ``(models, train)`` of the models trained on random halves."""
    artefact = _find(Plan(suite, "subset"), suite.subsets)
    if artefact is None:
        raise StoreError(f"suite {suite.name!r} has no `subsets` in any store; run `expunge build {suite.name}` first")
    masks = np.unpackbits(artefact.array("masks"), axis=1, count=len(suite.data.train)).astype(bool)
    return artefact.array("margins"), masks


def build(plan: Plan, models: int, *, workers: int = 1, watch: Watch = silent) -> Artefact:
    """Train what the user's store lacks of the first ``models`` models of ``plan``, in whole chunks."""
    store, size = user_store(), plan.suite.chunk
    chunks = -(-models // size)
    merged = store.read(plan.key)
    done = merged.meta["models"] // size if merged else 0
    if merged and done >= chunks:
        return merged
    missing = [chunk for chunk in range(done, chunks) if store.read(_chunk_key(plan, chunk)) is None]
    jobs = [Job(f"{plan.label}, models from {chunk * size}", train_chunk, (plan, chunk)) for chunk in missing]
    for _ in run_jobs(jobs, workers, watch):
        pass
    return _merge(plan, merged, range(done, chunks))


def train_chunk(plan: Plan, chunk: int) -> None:
    """Train one chunk and keep it in the user's store."""
    size = plan.suite.chunk
    ensemble, masks = train_models(plan, range(chunk * size, (chunk + 1) * size))
    values, correct = measure(ensemble, plan.suite.data.all)
    contents: dict[str, Content] = {"margins": values.numpy()}
    if masks is None:
        contents["correct"] = np.packbits(correct.numpy(), axis=1)
    else:
        contents = {"margins": values.numpy().astype(np.float16), "masks": np.packbits(masks, axis=1)}
    if plan.weights or plan.kind == "pretrained":
        contents["weights"] = ensemble.state()
    user_store().write(_chunk_key(plan, chunk), contents, {"models": size})


def train_models(plan: Plan, models: Sequence[int]) -> tuple[Ensemble, ndarray | None]:
    """Train the models of these numbers together; for kind "subset" also return what each was trained on."""
    suite = plan.suite
    names = (suite.digest, plan.kind, plan.forget.digest if plan.forget else "")
    networks = []
    for model in models:
        with torch.random.fork_rng(devices=[]):  # layers draw their initial weights from the global generator
            torch.manual_seed(seed_of(*names, model, "weights"))
            networks.append(suite.network())
    ensemble = Ensemble.stack(networks, plan.origin(models), suite.data.train.x.shape[1:])
    rows, masks = _rows(plan, Generators([seed_of(*names, model, "subset") for model in models]))
    order = Generators([seed_of(*names, model, "order") for model in models])
    return train(ensemble, suite.data.train, rows, suite.recipe, order), masks


def derive_forget_sets(suite: Suite) -> Artefact:
    """Compute the suite's derived forget sets from the ``subsets`` of the user's store, and keep them there."""
    if suite.derive is None:
        raise BadSetting(f"suite {suite.name!r} derives no forget sets")
    artefact = build(Plan(suite, "subset"), suite.subsets)
    masks = np.unpackbits(artefact.array("masks"), axis=1, count=len(suite.data.train)).astype(bool)
    sets = suite.derive(artefact.array("margins"), masks)
    contents = {name: each.indices for name, each in sets.items()}
    return user_store().write(
        f"{suite.digest}/{DERIVED}", contents, {"made": {name: each.made for name, each in sets.items()}}
    )


def _rows(plan: Plan, generators: Generators) -> tuple[Tensor, ndarray | None]:
    models, n = len(generators), len(plan.suite.data.train)
    if plan.kind == "subset":
        rows = generators.permutation(n)[:, : n // 2]
        return rows, torch.zeros(models, n, dtype=torch.bool).scatter(1, rows, True).numpy()
    kept = np.arange(n) if plan.forget is None else plan.suite.retain(plan.forget)
    return torch.as_tensor(kept).expand(models, -1), None


def _weights(plan: Plan, first: int, models: int, workers: int, watch: Watch) -> Ensemble:
    if models < 1 or first < 0:
        raise BadSetting(f"expected at least 1 model, numbered from 0, got {models} from {first}")
    artefact = _find(plan, first + models) or build(plan, first + models, workers=workers, watch=watch)
    state = {key: tensor[first : first + models] for key, tensor in artefact.tensors("weights").items()}
    with torch.random.fork_rng(devices=[]):
        network = plan.suite.network()
    origin = plan.origin(range(first, first + models))
    return Ensemble.from_state(network, state, origin, plan.suite.data.train.x.shape[1:]).eval()


def _find(plan: Plan, models: int) -> Artefact | None:
    for store in (Store(SHIPPED), user_store()):
        artefact = store.read(plan.key)
        if artefact and artefact.meta["models"] >= models:
            return artefact
    return None


def _chunk_key(plan: Plan, chunk: int) -> str:
    return f"{plan.key}/chunks/{chunk:04d}"


def _merge(plan: Plan, merged: Artefact | None, chunks: range) -> Artefact:
    """One artefact of all models, in the order of their numbers, in place of its chunks."""
    store = user_store()
    parts = [merged] if merged else []
    for chunk in chunks:
        part = store.read(_chunk_key(plan, chunk))
        if part is None:
            raise StoreError(f"{store.root / _chunk_key(plan, chunk)} vanished during the build; run it again")
        parts.append(part)
    contents: dict[str, Content] = {}
    for file in sorted(parts[0].folder.glob("*.npy")):
        contents[file.stem] = np.concatenate([part.array(file.stem) for part in parts])
    if (parts[0].folder / "weights.safetensors").exists():
        states = [part.tensors("weights") for part in parts]
        contents["weights"] = {key: torch.cat([state[key] for state in states]) for key in states[0]}
    artefact = store.write(plan.key, contents, {"models": chunks.stop * plan.suite.chunk})
    shutil.rmtree(store.root / plan.key / "chunks")
    return artefact
