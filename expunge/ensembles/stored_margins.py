"""Margins of ensembles, read out of a store; nothing is trained here."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from expunge.ensembles.ensemble import Origin
from expunge.ensembles.plan import Plan
from expunge.errors import StoreError
from expunge.store import SHIPPED, Artefact, Store, user_store
from expunge.suites.suite import Suite


@dataclass(frozen=True, eq=False)
class EnsembleMargins:
    """The margins of an ensemble on all examples, train then test; ``correct`` where its logits were seen."""

    values: Float[ndarray, "models examples"]
    correct: Bool[ndarray, "models examples"] | None
    origin: Origin
    device: str = "unknown"  # where the models were computed; stores of before did not say

    def take(self, rows: slice) -> "EnsembleMargins":
        origin = replace(self.origin, models=self.origin.models[rows])
        return replace(
            self, values=self.values[rows], correct=None if self.correct is None else self.correct[rows], origin=origin
        )


def read_margins(plan: Plan, first: int, models: int) -> EnsembleMargins:
    """Margins of models ``first`` to ``first + models - 1`` out of a store; nothing is trained."""
    artefact = find_ensemble(plan, first + models) or find_ensemble(replace(plan, weights=True), first + models)
    if artefact is None:
        raise _missing(plan, first + models)
    rows, examples = slice(first, first + models), plan.suite.data.width
    correct = None
    if "correct" in artefact:  # margins that others published come without
        correct = np.unpackbits(artefact.array("correct")[rows], axis=1, count=examples).view(bool)
    origin, device = plan.origin(range(first, first + models)), artefact.meta.get("device", "unknown")
    return EnsembleMargins(artefact.array("margins")[rows], correct, origin, device)


def read_subsets(suite: Suite) -> tuple[ndarray, ndarray]:
    """Margins ``(models, examples)`` and masks ``(models, train)`` of the models trained on random halves."""
    plan = Plan(suite, "subset")
    artefact = find_ensemble(plan, suite.subsets)
    if artefact is None:
        raise _missing(plan, suite.subsets)
    masks = np.unpackbits(artefact.array("masks"), axis=1, count=suite.data.sizes[0]).view(bool)
    return artefact.array("margins"), masks


def find_ensemble(plan: Plan, models: int) -> Artefact | None:
    """The artefact with the margins of so many models at least: shipped, else in the user's store, else None."""
    for store in (Store(SHIPPED), user_store()):
        artefact = store.read(plan.key)
        if artefact and holds(artefact, models):
            return artefact
    return None


def require_dense(suite: Suite, method: str) -> None:
    """Raise StoreError where the models of a suite are sparse: those that a method has of its own never are."""
    if suite.recipe.prune:
        raise StoreError(f"{method} starts from models of its own, which are not made sparse as {suite.name!r} wants")


def require_built(plan: Plan, models: Sequence[int], method: str) -> None:
    """Raise StoreError, which names the command, where the store lacks the chunks of some of these models."""
    require_dense(plan.suite, method)
    chunks = plan.chunks(range(min(models), max(models) + 1))
    if any(user_store().read(plan.chunk_key(chunk)) is None for chunk in chunks):
        option = f" --forget-set {plan.forget.name}" if plan.forget else ""
        option += _enough(plan, max(models) + 1)
        option += "".join(f" --set {method}.{key}={value}" for key, value in plan.settings)
        raise StoreError(
            f"{method} needs {max(models) + 1} {plan.label} models of suite {plan.suite.name!r}, which no store has; "
            f"run `expunge build {plan.suite.address} --for {method}{option}` first"
        )


def _enough(plan: Plan, models: int) -> str:
    """The option of a build that makes these and no more; whole groups train together."""
    groups = -(-models // plan.suite.chunk) * plan.suite.chunk
    return f" --models {groups}" if models < plan.suite.models else ""


def _missing(plan: Plan, models: int) -> StoreError:
    """What to say where margins are asked for that nobody has made."""
    suite, root = plan.suite, user_store().root
    held = [file.parent.parent.name for file in root.glob("*/pretrained/manifest.json")]
    others = f"; {root} holds other suites, or this one as it was" if held and suite.digest not in held else ""
    option = f" --forget-set {plan.forget.name}" if plan.forget else ""
    if not suite.published and plan.kind_row.benched:
        option += _enough(plan, models)
    return StoreError(
        f"{plan.label}: no margins of {models} models of suite {suite.name!r} ({suite.digest}) in any store{others}; "
        f"run `expunge {'fetch' if suite.published else 'build'} {suite.address}{option}` first"
    )


def holds(artefact: Artefact | None, models: int) -> bool:
    """Whether it has so many models at least."""
    return artefact is not None and artefact.meta["models"] >= models
