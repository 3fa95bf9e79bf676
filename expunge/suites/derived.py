"""Forget sets that are made from `subsets`: an artefact of their suite, which is looked up as the suite is loaded."""

import shlex
from dataclasses import replace

import numpy as np
from numpy import ndarray

from expunge import store
from expunge.errors import DamagedArtefact, StoreError
from expunge.suites.forget_set import ForgetSet, ForgetSets
from expunge.suites.suite import Suite

DERIVED = "forget_sets_2"  # the artefact of a suite that holds them; the first ones left nothing as hard to tune on
REBUILD = "expunge.bench.rebuild.rebuild(suite), then expunge.suites.derived.with_derived(suite),"


def _derived(suite: Suite) -> store.Artefact | None:
    key = f"{suite.digest}/{DERIVED}"
    try:
        return store.find(key)
    except DamagedArtefact as error:
        manifest = store.user_store().root / key / store.MANIFEST
        if not manifest.exists():  # it is the shipped one
            raise
        raise error.advising(f"delete {manifest}; {_building(suite)} makes it anew") from None


def _building(suite: Suite) -> str:
    """What makes the derived forget sets of a suite: a command, where its address finds it."""
    from expunge.suites import SUITES  # whose suites ask this as they are made

    found = suite.place or suite.name.partition("@")[0] in SUITES
    return f"`expunge build {shlex.quote(suite.address)}`" if found else REBUILD


def _indices(suite: Suite, artefact: store.Artefact, name: str) -> ndarray:
    """The indices of a derived forget set, which fit the suite."""
    if name not in artefact:
        raise StoreError(f"{artefact.folder} has no forget set {name!r}, which it tells of; remove it and build anew")
    indices = artefact.array(name)
    train = suite.data.sizes[0]
    if indices.ndim != 1 or indices.dtype.kind not in "iu" or not 0 < indices.size < train or indices.max() >= train:
        raise StoreError(f"{artefact.folder}: forget set {name!r} does not fit the suite; remove it and build anew")
    return np.array(indices, np.int64)


def with_derived(suite: Suite) -> Suite:
    """``suite`` with the derived forget sets that its store holds; without, where they were not built yet."""
    artefact = _derived(suite)
    if artefact is None:
        hint = f" ({_building(suite)} makes more)"  # it follows a list of names, or a question
        return replace(suite, forget_sets=ForgetSets(suite.forget_sets, hint)) if suite.derive else suite
    return replace(suite, forget_sets=ForgetSets(suite.forget_sets).joined(derived_sets(suite, artefact)))


def derived_sets(suite: Suite, artefact: store.Artefact) -> ForgetSets:
    """The derived forget sets that an artefact holds; :class:`StoreError` where they are none of the suite."""
    made, kinds = _told(artefact, "made"), _told(artefact, "kinds")
    return ForgetSets.of(
        *(ForgetSet(name, _indices(suite, artefact, name), how, kinds.get(name, "")) for name, how in made.items())
    )


def _told(artefact: store.Artefact, what: str) -> dict[str, str]:
    """Words for each forget set."""
    told = artefact.meta.get(what)
    if not isinstance(told, dict) or not all(isinstance(each, str) for pair in told.items() for each in pair):
        raise StoreError(f"{artefact.folder} does not say how its forget sets were made; remove it and build anew")
    return told
