"""Published ensembles: brought from folders into the user's store, and written out again for others.

A folder in a layout that is known goes into the store under the keys that ensembles trained here would have, marked as
imported; what reads margins then reads them without any of the data.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from jaxtyping import Float
from numpy import ndarray

from expunge.engine import Steps, Watch, silent
from expunge.ensembles.margins import check_margins
from expunge.ensembles.plan import Plan
from expunge.ensembles.published import EasyDub, KlomModels, Layout, Publication, write_easydub
from expunge.ensembles.published.publication import order_of
from expunge.ensembles.stored_margins import number_of_models, read_ensemble, read_margins
from expunge.errors import BadSetting, StoreError, lookup
from expunge.store import SHIPPED, Store, user_store
from expunge.suites import load_suite

LAYOUTS: dict[str, type[EasyDub] | type[KlomModels]] = {"EasyDUB": EasyDub, "KLOM-models": KlomModels}


@dataclass(frozen=True)
class Ported:
    """One ensemble that was imported or exported: what it is, and how many models it has."""

    ensemble: str  # "pretrained", or "oracle set-2"
    models: int


def cifar10_resnet9() -> Publication:
    """What EasyDUB and KLOM-models published: ResNet-9 on CIFAR-10, ten forget sets, 200 models of each."""
    from expunge.suites.cifar10 import published_indices

    return Publication(load_suite("cifar10-resnet9"), {number: published_indices(number) for number in range(1, 11)})


PUBLICATIONS: dict[str, Callable[[], Publication]] = {"cifar10-resnet9": cifar10_resnet9}


def find_publication(suite: str) -> Publication:
    """What was published for the suite of this name."""
    return lookup("suite with published ensembles", suite, PUBLICATIONS)()


def open_layout(publication: Publication, folder: Path) -> Layout:
    """The folder in whichever layout it has, told by the folders in it."""
    if not folder.is_dir():
        raise StoreError(f"{folder} is no folder; expected one in the layout of {' or '.join(LAYOUTS)}")
    for kind in LAYOUTS.values():
        layout = kind(publication, folder)
        if layout.has_pretrained() or layout.numbers():
            return layout
    data = publication.data
    raise StoreError(
        f"{folder} has no layout that is known: expected margins/{data}/ (EasyDUB) or full_models/{data.upper()}/ and "
        f"oracle_models/{data.upper()}/ (KLOM-models) in it; give the folder that holds these"
    )


def import_published(
    publication: Publication,
    folder: Path,
    forget_sets: Sequence[str] | None = None,
    *,
    models: int | None = None,
    source: str = "",
    watch: Watch = silent,
) -> list[Ported]:
    """Bring published margins from ``folder`` into the user's store: the pretrained models' and the oracles'.

    Everything is read and checked before anything is written. Ensembles that were trained here are never replaced.

    Args:
        publication: what the folder holds margins of.
        folder: in one of :data:`LAYOUTS`.
        forget_sets: whose oracles are wanted; default: all that the folder has.
        models: the first so many of each; default: all.
        source: where the folder came from, which is written down; default: its name.
        watch: sees each ensemble that was checked, and each that was written.
    """
    _require_some(models)
    layout = open_layout(publication, folder)
    numbers = layout.numbers() if forget_sets is None else publication.numbers(list(forget_sets))
    parts = _parts(layout, numbers)
    steps = Steps(watch, 2 * len(parts))
    for plan, read in parts:
        _require_not_trained_here(plan)
        check_margins(read(models), publication.suite.data.width, f"{folder}, {plan.label}")
        steps.done(f"{plan.label} checked")
    _require_copies_agree(layout, numbers)
    done = []
    for plan, read in parts:
        margins = read(models)
        imported = {"from": source or folder.resolve().name, "layout": layout.name}
        meta = {"suite": publication.suite.name, "models": len(margins), "imported": imported}
        user_store().write(plan.key, {"margins": margins}, meta)
        done.append(Ported(plan.label, len(margins)))
        steps.done(f"{plan.label} written")
    return done


def export_easydub(
    publication: Publication, folder: Path, forget_sets: Sequence[str] | None = None, *, models: int | None = None
) -> list[Ported]:
    """Write the ensembles of the stores to ``folder`` in EasyDUB's layout: pretrained, and oracles of each forget set.

    Args:
        publication: the suite, and the order in which forget examples are published.
        folder: a new or an empty one.
        forget_sets: default: all whose oracles there are.
        models: the first so many of each; default: all there are.
    """
    _require_some(models)
    suite = publication.suite
    pretrained = Plan(suite, "pretrained")
    plans = {number: Plan(suite, "oracle", publication.forget(number)) for number in publication.orders}
    numbers = [number for number in plans if held(plans[number])] if forget_sets is None else None
    numbers = publication.numbers(list(forget_sets or ())) if numbers is None else sorted(numbers)
    oracles = {number: _margins(plans[number], models) for number in numbers}
    margins = _margins(pretrained, models)
    write_easydub(publication, folder, margins, oracles)
    told = [Ported(plans[number].label, len(oracles[number])) for number in numbers]
    return [Ported(pretrained.label, len(margins)), *told]


def held(plan: Plan) -> int:
    """How many models' margins of ``plan`` a store has; 0 where there are none."""
    plans = (plan, replace(plan, weights=True))
    found = [read_ensemble(store, each) for each in plans for store in (Store(SHIPPED), user_store())]
    return max((number_of_models(each, str(each.folder)) for each in found if each), default=0)


def disagreement(layout: Layout, number: int, pretrained: Float[ndarray, "models examples"]) -> str:
    """How the pretrained margins on a forget set that a folder holds twice differ; empty where they agree.

    They agree only if the order of the forget indices is understood rightly. Also empty where nothing is held twice.
    """
    copies = layout.copies(number)
    if copies is None:
        return ""
    models = min(len(copies), len(pretrained))
    columns = order_of(layout, number)
    wrong = int((copies[:models] != pretrained[:models, columns]).any(axis=0).sum())
    return f"{wrong} of {len(columns)} examples differ" if wrong else ""


def _parts(layout: Layout, numbers: Sequence[int]) -> list[tuple[Plan, Callable[[int | None], ndarray]]]:
    """What is to be imported, and how each is read."""
    publication, there = layout.publication, layout.numbers()
    missing = [f"set-{number}" for number in numbers if number not in there]
    if missing:
        raise StoreError(f"{layout.folder} has no oracles of {', '.join(missing)}; bring them, or leave these sets out")
    parts: list[tuple[Plan, Callable[[int | None], ndarray]]] = []
    if layout.has_pretrained():
        parts.append((Plan(publication.suite, "pretrained"), layout.pretrained))
    for number in numbers:
        plan = Plan(publication.suite, "oracle", publication.forget(number))
        parts.append((plan, lambda models, number=number: layout.oracles(number, models)))  # type: ignore[misc]
    return parts


def _require_copies_agree(layout: Layout, numbers: Sequence[int]) -> None:
    """Refuse a folder whose second copy of margins tells that the order of its forget indices is another."""
    if not numbers or not layout.has_pretrained():
        return
    pretrained = layout.pretrained()
    for number in numbers:
        if wrong := disagreement(layout, number, pretrained):
            raise StoreError(
                f"{layout.folder}: the pretrained margins on set-{number} disagree with those on train at its indices "
                f"({wrong}): the order of its forget indices is not the order of its margins; nothing was imported"
            )


def _require_not_trained_here(plan: Plan) -> None:
    store = user_store()
    there = store.manifest(plan.key)  # damaged or not: what was imported may be imported again
    if there is not None and "imported" not in there["meta"]:
        raise StoreError(
            f"{store.root / plan.key} holds an ensemble that was trained here, which an import would replace; "
            "set EXPUNGE_STORE to another folder"
        )


def _require_some(models: int | None) -> None:
    if models is not None and models < 1:
        raise BadSetting(f"expected at least 1 model, got {models}")


def _margins(plan: Plan, models: int | None) -> Float[ndarray, "models examples"]:
    return read_margins(plan, 0, models or held(plan) or 1).values
