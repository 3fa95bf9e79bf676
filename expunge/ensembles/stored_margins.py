"""Margins of ensembles, read out of a store; nothing is trained here."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from expunge.ensembles.origin import Origin
from expunge.ensembles.plan import Plan
from expunge.errors import DamagedArtefact, StoreError
from expunge.number_files import require_array
from expunge.store import MANIFEST, SHIPPED, Artefact, Store, user_store
from expunge.suites import is_found
from expunge.suites.suite import Suite

MOST = 1_000_000  # models of an ensemble that anybody will have


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
        artefact = read_ensemble(store, plan)
        if artefact is not None:
            require_fit(plan.suite, artefact, str(artefact.folder))
            if holds(artefact, models):
                return artefact
    return None


def read_ensemble(store: Store, plan: Plan) -> Artefact | None:
    """The artefact of ``plan`` in ``store``; None where there is none.

    Of a damaged one the error says which command makes or brings it anew.
    """
    try:
        return store.read(plan.key)
    except DamagedArtefact as error:
        raise error if store.root == SHIPPED else error.advising(_again(store, plan)) from None


def number_of_models(artefact: Artefact, what: str) -> int:
    """How many models an ensemble has, by its manifest."""
    models = artefact.meta.get("models")
    if type(models) is not int or not 1 <= models <= MOST:
        raise StoreError(f"{what}: expected a number of models, got {str(models)[:40]!r}")
    return models


def require_fit(suite: Suite, artefact: Artefact, what: str) -> None:
    """Refuse an ensemble whose manifest or arrays are not of the suite: whoever wrote them, it was for another one."""
    models = number_of_models(artefact, what)
    train, width = suite.data.sizes[0], suite.data.width
    axes = {"margins": ("f", width), "correct": ("u", -(-width // 8)), "masks": ("u", -(-train // 8))}
    for name, (kinds, columns) in axes.items():
        if name in artefact:
            require_array(artefact.array(name), f"{what}, {name}", kinds, (models, columns), StoreError)


def _again(store: Store, plan: Plan) -> str:
    """What makes a damaged ensemble anew, as a command."""
    try:
        manifest = store.manifest(plan.key)
    except DamagedArtefact:
        manifest = None
    meta = manifest["meta"] if manifest else {}
    if isinstance(imported := meta.get("imported"), dict):
        repository, at, _ = str(imported.get("from")).partition("@")
        if at:
            return f"run `expunge fetch {_address(plan)}{_of(plan)} --repo {repository}`, which brings it anew"
        return f"run `expunge import` with the folder {repository} again, which brings it anew"
    models = meta.get("models")
    if not is_found(plan.suite):
        wanted = models if type(models) is int else plan.suite.models
        return f"delete the folder {store.root / plan.key}, then {_in_python(plan, wanted)}"
    count = _enough(plan, models) if type(models) is int else ""
    before = "" if manifest else f"delete {store.root / plan.key / MANIFEST} and "
    return f"{before}run `expunge build {_address(plan)}{_of(plan)}{count}`, which makes it anew"


def _address(plan: Plan) -> str:
    return shlex.quote(plan.suite.address)


def _of(plan: Plan) -> str:
    return f" --forget-set {plan.forget.name}" if plan.forget else ""


def require_dense(suite: Suite, method: str) -> None:
    """Raise StoreError where the models of a suite are sparse: those that a method has of its own never are."""
    if suite.recipe.prune:
        raise StoreError(f"{method} starts from models of its own, which are not made sparse as {suite.name!r} wants")


def require_built(plan: Plan, models: Sequence[int], method: str) -> None:
    """Raise StoreError, which names the command, where the store lacks the chunks of some of these models."""
    require_dense(plan.suite, method)
    store, command = user_store(), f"expunge build {_address(plan)} --for {method}{_of(plan)}"
    command += _enough(plan, max(models) + 1)
    command += "".join(f" --set {method}.{key}={value}" for key, value in plan.settings)
    for chunk in plan.chunks(range(min(models), max(models) + 1)):
        try:
            found = store.read(plan.chunk_key(chunk))
        except DamagedArtefact as error:
            manifest = store.root / plan.chunk_key(chunk) / MANIFEST
            raise error.advising(f"delete {manifest} and run `{command}`, which makes it anew") from None
        if found is None:
            how = f"run `{command}` first" if is_found(plan.suite) else _in_python(plan, max(models) + 1, method)
            raise StoreError(
                f"{method} needs {max(models) + 1} {plan.label} models of suite {plan.suite.name!r}, which no store "
                f"has; {how}"
            )


def _enough(plan: Plan, models: int) -> str:
    """The option of a build that makes these and no more; whole groups train together."""
    groups = -(-models // plan.suite.chunk) * plan.suite.chunk
    return f" --models {groups}" if groups < plan.suite.models else ""


def _missing(plan: Plan, models: int) -> StoreError:
    """What to say where margins are asked for that nobody has made."""
    suite, root, half = plan.suite, user_store().root, plan.suite.models // 2
    held = [file.parent.parent.name for file in root.glob("*/pretrained/manifest.json")]
    others = f"; {root} holds other suites, or this one as it was" if held and suite.digest not in held else ""
    lacks = f"{plan.label}: no margins of {models} models of suite {suite.name!r} ({suite.digest}) in any store{others}"
    # As many as the floor needs too: held-out oracles from half on.
    needed = models if models > half or not plan.kind_row.benched else half + models
    if not is_found(suite):
        return StoreError(f"{lacks}; {_in_python(plan, needed)}")
    option = _of(plan) + (_enough(plan, needed) if not suite.published and plan.kind_row.benched else "")
    command = f"expunge {'fetch' if suite.published else 'build'} {_address(plan)}{option}"
    return StoreError(f"{lacks}; run `{command}` first")


def _in_python(plan: Plan, models: int, method: str = "") -> str:
    """What makes an ensemble of a suite that no command finds, for it was made in Python and not loaded by its file."""
    forget = "forget"
    if plan.forget and plan.forget.name in plan.suite.forget_sets:
        forget = repr(plan.forget.name)
    more = f", methods=[{method!r}]" if method else ""
    lines = {
        "pretrained": f"xp.pretrain(suite, models={models})",
        "oracle": f"xp.retrain(suite, {forget}, models={models})",
    }
    line = lines.get(plan.kind, f"expunge.bench.rebuild.rebuild(suite{more})")
    return (
        f"no command finds this suite, which is in no table and was not loaded by its file: make them by {line}, or "
        'load it by xp.load_suite("file.py:function"), the suite that `expunge build file.py:function` builds'
    )


def holds(artefact: Artefact | None, models: int) -> bool:
    """Whether it has so many models at least."""
    return artefact is not None and number_of_models(artefact, str(artefact.folder)) >= models
