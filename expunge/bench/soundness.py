"""Are margins that others made what they should be? Checks of a folder or a store, each with what was found.

A column in the wrong place, a model that is there twice, oracles that saw what they should not: every score would be
taken without complaint and mean nothing.
"""

import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import comb
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from expunge.bench.alignment import spaced
from expunge.bench.oracle_soundness import Finding, beside_pretrained, numbers
from expunge.engine import Steps, Watch, silent
from expunge.ensembles.plan import Plan
from expunge.ensembles.published import Layout, Publication
from expunge.ensembles.published.porting import disagreement, find_publication, held, open_layout
from expunge.ensembles.stored_margins import read_margins
from expunge.errors import ExpungeError, StoreError
from expunge.metrics.exchangeable import exchangeable
from expunge.metrics.oracle_copies import ALIKE, likeness, reach
from expunge.metrics.outliers import FAR, distances
from expunge.suites import ForgetSet, Suite, is_found

ALARM = 0.001  # of the one that must not: two halves of one ensemble

Reader = Callable[[], ndarray]


@dataclass(frozen=True)
class _Held:
    """What there is to check, read when its turn comes; ``order`` knows how a folder lists a forget set."""

    pretrained: Reader | None
    oracles: Mapping[str, Reader]
    order: Callable[[str, ndarray | None], Iterator[Finding]]


def check(
    suite: Suite, folder: Path | None = None, *, publication: Publication | None = None, watch: Watch = silent
) -> list[Finding]:
    """Check the margins of ``suite`` in ``folder``, in a published layout, or, without one, in the stores.

    Of each ensemble: its number of models, finite values, models that are there twice, models far from the others, and
    whether its two halves could be dealt otherwise. Of each forget set: which indices and in which order; whether the
    oracles' mean margins follow the pretrained models', as they do only if columns are in place; whether the oracles
    have smaller margins on it, as they must if they never saw it; and whether untouched models lie near the floor on
    what both saw.

    Args:
        suite: whose margins.
        folder: default: the shipped store and the user's.
        publication: what was published for a suite that is in no table.
        watch: sees each ensemble that was checked.
    """
    if folder is None:
        there = _in_stores(suite)
    else:
        there = _in_folder(open_layout(publication or find_publication(suite.name), folder))
    if there.pretrained is None and not there.oracles:
        command = f"run `expunge {'fetch' if suite.published else 'build'} {shlex.quote(suite.address)}` first"
        how = command if is_found(suite) else "make some by xp.pretrain(suite) and xp.retrain(suite, forget)"
        raise StoreError(f"there are no margins of suite {suite.name!r} to check; {how}")
    pretrained: ndarray | None = None
    findings = []
    steps = Steps(watch, len(there.oracles) + (there.pretrained is not None))
    if there.pretrained is not None:
        pretrained, told = _ensemble(suite, "pretrained", there.pretrained, None)
        findings += told
        steps.done("pretrained")
    for name, reader in there.oracles.items():
        forget = suite.forget_sets[name]
        findings += there.order(name, pretrained)
        oracles, told = _ensemble(suite, f"oracle {name}", reader, forget)
        findings += told
        if oracles is not None and pretrained is not None:
            findings += beside_pretrained(forget.name, suite.columns(forget), pretrained, oracles)
        steps.done(f"oracle {name}")
    return findings


def _in_stores(suite: Suite) -> _Held:
    def reader(plan: Plan) -> Reader:
        return lambda: read_margins(plan, 0, held(plan)).values

    plans = {name: Plan(suite, "oracle", forget) for name, forget in suite.forget_sets.items()}
    pretrained = Plan(suite, "pretrained")
    return _Held(
        reader(pretrained) if held(pretrained) else None,
        {name: reader(plan) for name, plan in plans.items() if held(plan)},
        lambda name, margins: iter(()),
    )


def _in_folder(layout: Layout) -> _Held:
    numbers = {layout.publication.forget(number).name: number for number in layout.numbers()}

    def reader(number: int) -> Reader:
        return lambda: layout.oracles(number)

    return _Held(
        layout.pretrained if layout.has_pretrained() else None,
        {name: reader(number) for name, number in numbers.items()},
        lambda name, pretrained: _order(layout, name, numbers[name], pretrained),
    )


def _order(layout: Layout, name: str, number: int, pretrained: ndarray | None) -> Iterator[Finding]:
    """How a folder lists a forget set, and whether margins that it holds twice agree with that."""
    file, published = layout.index_file(number), layout.publication.orders[number]
    try:
        order = published if file is None else layout.publication.order_in(file, number)
        wrong = None if pretrained is None else disagreement(layout, number, pretrained)
        twice = layout.copies(number) is not None
    except ExpungeError as error:
        yield Finding(f"{name} indices", False, str(error))
        return
    same = np.array_equal(order, published)
    told = "no index file; the published order is used" if file is None else f"{len(order)} of {len(published)} agree"
    kind = "in the published order" if same else "in another order than the published one"
    yield Finding(f"{name} indices", same, told if file is None else f"{told}, {kind}")
    if twice and wrong is not None:
        yield Finding(f"{name} copies", not wrong, wrong or "pretrained margins that are held twice agree")


def _ensemble(
    suite: Suite, label: str, reader: Reader, forget: ForgetSet | None
) -> tuple[ndarray | None, list[Finding]]:
    """The margins of an ensemble, if they can be worked with, and what is found of them alone."""
    try:
        margins = reader()
    except ExpungeError as error:
        return None, [Finding(f"{label} files", False, str(error))]
    models, examples = margins.shape
    findings = [Finding(f"{label} models", models == suite.models, f"{models} of {suite.models}")]
    if examples != suite.data.width or models < 2:
        told = f"shape {margins.shape}, expected 2 models or more of {suite.data.width} examples"
        return None, [*findings, Finding(f"{label} shape", False, told)]
    findings.append(Finding(f"{label} shape", True, f"{models} x {examples}"))
    broken = np.flatnonzero(~np.isfinite(margins).all(axis=1))
    findings.append(Finding(f"{label} finite", not broken.size, f"models {numbers(broken)}" if broken.size else "all"))
    if broken.size:
        return None, findings
    findings += [_twins(label, margins), _strays(suite, label, margins, forget), _halves(label, margins)]
    return margins, findings


def _twins(label: str, margins: Float[ndarray, "models examples"]) -> Finding:
    """Models that are there twice, to the bit or in disguise."""
    part = margins[:, spaced(margins.shape[1])]
    _, which, count = np.unique(part, axis=0, return_inverse=True, return_counts=True)
    alike = _pairs_alike(part) if len(part) > 2 else np.zeros(len(part), bool)
    twins = np.flatnonzero((count[which.ravel()] > 1) | alike)
    return Finding(f"{label} duplicates", not twins.size, f"models {numbers(twins)}" if twins.size else "none")


def _pairs_alike(margins: Float[ndarray, "models examples"]) -> Bool[ndarray, " models"]:
    """Which models are like another one as no honest pair is: the tail of all pairs says how like these are."""
    z = np.arctanh(likeness(margins, margins).clip(-1 + 1e-12, 1 - 1e-12))
    rows = np.triu_indices(len(margins), 1)
    found = np.zeros(len(margins), bool)
    for way in z:
        pairs = way[rows]
        alike = np.flatnonzero(pairs > max(np.arctanh(ALIKE), reach(pairs, pairs.size)))
        found[[side[alike] for side in rows]] = True
    return found


def _strays(suite: Suite, label: str, margins: Float[ndarray, "models examples"], forget: ForgetSet | None) -> Finding:
    """Models far from the others on any split: one may break on the forget set alone."""
    train = suite.data.sizes[0]
    splits = (
        [suite.columns_of(part) for part in np.split(np.arange(suite.data.examples), [train])]
        if forget is None
        else suite.columns(forget).values()
    )
    clipped = margins.clip(-100, 100)
    parts = [clipped[:, columns[spaced(len(columns))]] for columns in splits]
    far = np.flatnonzero(np.any([distances(part, part, [np.arange(part.shape[1])])[0] > FAR for part in parts], axis=0))
    told = f"models {numbers(far)}, {FAR:g} times as far as the others spread (a rule of thumb)" if far.size else "none"
    return Finding(f"{label} outliers", not far.size, told)


def _halves(label: str, margins: Float[ndarray, "models examples"]) -> Finding:
    half = len(margins) // 2
    if comb(2 * half, half) * ALARM < 1:
        return Finding(f"{label} halves", True, f"{len(margins)} models are too few to tell")
    part = margins[:, spaced(margins.shape[1])]
    p = exchangeable(part[:half], part[half : 2 * half])
    return Finding(f"{label} halves", p > ALARM, f"exchangeable with p = {p:.3f}")
