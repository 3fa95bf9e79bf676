"""Forget sets for tuning: of each kind that a suite's own are of, as hard, of examples that are not scored."""

import contextlib
import shlex
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy import ndarray

from expunge.ensembles.stored_margins import read_subsets
from expunge.errors import BadSetting, StoreError, lookup
from expunge.store import find
from expunge.suites import ForgetSet, Suite, is_found
from expunge.suites.data import flat_features
from expunge.suites.derived import DERIVED, REBUILD
from expunge.suites.forget_set import FORGET_KINDS
from expunge.suites.forget_sets import influence_direction, memorised, neighbours_of, odd_one, subclass
from expunge.suites.indices import Indices

SEED = 7
LEFT = "of those in no forget set"


def tuning_set(suite: Suite, kind: str) -> ForgetSet:
    """The forget set on which settings for sets of this ``kind`` are searched: as large as the suite's largest of it.

    No example of it is in any forget set of the suite, but for that of kind ``class``: a whole class of which none is
    scored as a class or a part of one, some of whose examples are in scored sets that were drawn from all.
    """
    lookup("kind of forget set", kind, MAKERS)
    return MAKERS[kind](suite, _free(suite), _size(suite, kind))


def kinds_of(suite: Suite) -> tuple[str, ...]:
    """The kinds of the suite's forget sets, in the order of FORGET_KINDS; ``random`` where none of them says one."""
    own = {each.kind for each in suite.forget_sets.values()}
    return tuple(kind for kind in FORGET_KINDS if kind in own) or ("random",)


def _free(suite: Suite) -> Indices:
    """The training examples that are in no forget set."""
    if suite.derive and find(f"{suite.digest}/{DERIVED}") is None:
        how = (
            f"run `expunge build {shlex.quote(suite.address)}` first" if is_found(suite) else f"make them by {REBUILD}"
        )
        raise StoreError(
            f"suite {suite.name!r} has forget sets that are not made yet, and tuning must not use their examples; {how}"
        )
    own = [each.indices for each in suite.forget_sets.values()]
    if not own:
        raise BadSetting(f"suite {suite.name!r} has no forget sets, so there is nothing to tune for")
    return np.setdiff1d(np.arange(suite.data.sizes[0]), np.concatenate(own))


def _size(suite: Suite, kind: str) -> int:
    """How large: as the largest of this kind; of a kind that the suite lacks, as the middle one of all."""
    own = [len(each) for each in suite.forget_sets.values() if each.kind == kind]
    return max(own) if own else int(np.median([len(each) for each in suite.forget_sets.values()]))


def _require_left(suite: Suite, free: Indices, size: int) -> None:
    if len(free) <= size:
        raise BadSetting(
            f"suite {suite.name!r}: its forget sets leave {len(free)} of {suite.data.sizes[0]} training examples, "
            f"expected more than {size}, as many as a tuning forget set has; take forget sets that leave more"
        )


def _random(suite: Suite, free: Indices, size: int) -> ForgetSet:
    _require_left(suite, free, size)
    drawn = np.sort(np.random.default_rng(SEED).choice(free, size, replace=False))
    return ForgetSet("tuning-random", drawn, f"{size} examples drawn uniformly, seed {SEED}, {LEFT}", "random")


def _class(suite: Suite, free: Indices, size: int) -> ForgetSet:
    labels = _labels(suite, "class")
    whole = {label: np.flatnonzero(labels == label) for label in _other_classes(suite, labels)}
    label = _as_hard(suite, "class", whole)
    _require_left(suite, free, int(np.isin(whole[label], free).sum()))
    made = f"every training example of class {_named(suite, label)}"
    return ForgetSet("tuning-class", whole[label], made, "class")


def _subclass(suite: Suite, free: Indices, size: int) -> ForgetSet:
    """Of another class than that of the kind ``class``."""
    _require_left(suite, free, size)
    labels, features = _labels(suite, "subclass"), flat_features(suite.data.train.x)[free]
    other = int(labels[_class(suite, free, size).indices[0]])
    parts = {}
    for label in _other_classes(suite, labels) - {other}:
        with contextlib.suppress(BadSetting):  # no cluster of it has so many members
            parts[label] = free[subclass(features, labels[free], label=label, size=size, seed=SEED)]
    label = _as_hard(suite, "subclass", parts)
    made = f"the heart of one of two k-means clusters of class {_named(suite, label)}, {LEFT}, seed {SEED}"
    return ForgetSet("tuning-subclass", parts[label], made, "subclass")


def _neighbours(suite: Suite, free: Indices, size: int) -> ForgetSet:
    """Nearest to the odd example of which the scored ones are neighbours too: the ranks that those leave."""
    _require_left(suite, free, size)
    features = flat_features(suite.data.train.x)
    near = neighbours_of(features, odd_one(features, _labels(suite, "neighbours")))
    chosen = np.sort(near[np.isin(near, free)][:size])
    made = f"the {size} nearest to the example least like the mean of its class, {LEFT}"
    return ForgetSet("tuning-neighbours", chosen, made, "neighbours")


def _memorised(suite: Suite, free: Indices, size: int) -> ForgetSet:
    _require_left(suite, free, size)
    hard = free[memorised(*_halves(suite, free, "memorised"), size)]
    return ForgetSet("tuning-memorised", hard, f"the {size} most memorised {LEFT}", "memorised")


def _influential(suite: Suite, free: Indices, size: int) -> ForgetSet:
    _require_left(suite, free, size)
    every = np.arange(suite.data.sizes[0])
    leaders = np.argsort(-influence_direction(*_halves(suite, every, "influential")), kind="stable")
    chosen = np.sort(leaders[np.isin(leaders, free)][:size])
    made = f"the {size} leaders of the top direction of influence {LEFT}"
    return ForgetSet("tuning-influential", chosen, made, "influential")


MAKERS: dict[str, Callable[[Suite, Indices, int], ForgetSet]] = {
    "random": _random,
    "class": _class,
    "subclass": _subclass,
    "memorised": _memorised,
    "influential": _influential,
    "neighbours": _neighbours,
}


def _labels(suite: Suite, kind: str) -> ndarray:
    labels: ndarray | None = suite.target.shown(suite.data)
    if labels is None or suite.data.width != suite.data.examples:
        raise BadSetting(f"suite {suite.name!r}: a tuning set of kind {kind!r} needs one class an example")
    return labels[: suite.data.sizes[0]]


def _other_classes(suite: Suite, labels: ndarray) -> set[int]:
    """The classes that no scored forget set is a class or a part of."""
    scored = [np.unique(labels[each.indices]) for each in suite.forget_sets.values()]
    return set(np.unique(labels).tolist()) - {int(each[0]) for each in scored if len(each) == 1}


def _as_hard(suite: Suite, kind: str, parts: Mapping[int, Indices]) -> int:
    """The class whose part is as hard to forget as what is scored of this kind, by what models trained on halves say.

    Of those that models are no surer of than of the scored one the one that they are surest of: what they are surer of
    leaves less to be forgotten. The largest part where there are no such models, or nothing of the kind is scored.
    """
    if not parts:
        raise BadSetting(f"suite {suite.name!r}: its forget sets leave no class to tune for kind {kind!r} on")
    scored = [each.indices for each in suite.forget_sets.values() if each.kind == kind]
    if not scored or not suite.subsets:
        return max(parts, key=lambda label: (len(parts[label]), -label))
    sure, _ = _halves(suite, np.arange(suite.data.sizes[0]), kind)
    known = sure.mean(axis=0)
    wanted, found = (known[scored[0]].mean(), {label: known[each].mean() for label, each in parts.items()})
    below = {label: value for label, value in found.items() if value <= wanted}
    return max(below, key=lambda label: below[label]) if below else min(found, key=lambda label: found[label])


def _named(suite: Suite, label: int) -> Any:
    return suite.data.names[label] if suite.data.names else label


def _halves(suite: Suite, free: Indices, kind: str) -> tuple[ndarray, ndarray]:
    """Margins and masks of ``subsets`` on these examples; of an example that has several margins, their mean."""
    if not suite.subsets:
        raise BadSetting(f"suite {suite.name!r}: a tuning set of kind {kind!r} needs models trained on random halves")
    margins, masks = read_subsets(suite)
    return _by_example(suite, margins, free), masks[:, free]


def _by_example(suite: Suite, margins: ndarray, examples: ndarray) -> ndarray:
    if suite.data.width == suite.data.examples:
        return np.asarray(margins[:, examples])
    return np.stack([margins[:, suite.columns_of(each)].mean(axis=1) for each in examples[:, None]], axis=1)
