"""Are margins that others made what they should be? Checks of a folder or a store, each with what was found.

A column in the wrong place, a model that is there twice, oracles that saw what they should not: every score would be
taken without complaint and mean nothing.
"""

import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import comb, factorial
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from expunge.engine import Steps, Watch, silent
from expunge.ensembles.plan import Plan
from expunge.ensembles.published import Layout, Publication
from expunge.ensembles.published.porting import disagreement, find_publication, held, open_layout
from expunge.ensembles.stored_margins import read_margins
from expunge.errors import ExpungeError, StoreError
from expunge.metrics.exchangeable import exchangeable
from expunge.metrics.klom import klom
from expunge.metrics.oracle_copies import disguised, likeness
from expunge.metrics.outliers import outliers
from expunge.suites import ForgetSet, Suite

LEVEL = 0.01  # of the tests that must reject: right columns, oracles that forgot
ALARM = 0.001  # of the one that must not: two halves of one ensemble
COLUMNS = 1000  # at most, evenly spaced, where an answer does not need all examples
BLOCKS, ALIGNED = 10, 0.5  # retain columns are checked in so many blocks; right ones correlate by 0.9 and more
UNKNOWN = 0.95  # share of forget examples on which the oracles are wrong: those of a class that none saw
ABOVE_FLOOR = 1.0  # nats, of untouched models on retain examples: at most 0.4 where right, 4 where a column off

Reader = Callable[[], ndarray]


@dataclass(frozen=True)
class Finding:
    """One check: what of, whether it passed, and what was seen."""

    name: str
    ok: bool
    found: str


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
        command = f"expunge {'fetch' if suite.published else 'build'} {shlex.quote(suite.address)}"
        raise StoreError(f"there are no margins of suite {suite.name!r} to check; run `{command}` first")
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
            findings += _pair(suite, forget, pretrained, oracles)
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
    findings.append(Finding(f"{label} finite", not broken.size, f"models {_numbers(broken)}" if broken.size else "all"))
    if broken.size:
        return None, findings
    findings += [_twins(label, margins), _strays(suite, label, margins, forget), _halves(label, margins)]
    return margins, findings


def _twins(label: str, margins: Float[ndarray, "models examples"]) -> Finding:
    """Models that are there twice, to the bit or in disguise."""
    part = margins[:, _spaced(margins.shape[1])]
    _, which, count = np.unique(part, axis=0, return_inverse=True, return_counts=True)
    alike = _pairs_alike(part) if len(part) > 2 else np.zeros(len(part), bool)
    twins = np.flatnonzero((count[which.ravel()] > 1) | alike)
    return Finding(f"{label} duplicates", not twins.size, f"models {_numbers(twins)}" if twins.size else "none")


def _pairs_alike(margins: Float[ndarray, "models examples"]) -> Bool[ndarray, " models"]:
    """Which models are like another one as no honest pair is: three quarters of all pairs are taken to be honest."""
    alike = likeness(margins, margins)
    rows = np.arange(len(margins))
    alike[:, rows, rows] = -1.0
    pairs = np.sort(alike[:, *np.triu_indices(len(margins), 1)], axis=1)
    found: ndarray = disguised(alike, pairs[:, None, : max(1, 3 * pairs.shape[1] // 4)])
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
    parts = [clipped[:, columns[_spaced(len(columns))]] for columns in splits]
    far = np.flatnonzero(np.any([outliers(part, part) for part in parts], axis=0))
    return Finding(f"{label} outliers", not far.size, f"models {_numbers(far)}" if far.size else "none")


def _halves(label: str, margins: Float[ndarray, "models examples"]) -> Finding:
    half = len(margins) // 2
    if comb(2 * half, half) * ALARM < 1:
        return Finding(f"{label} halves", True, f"{len(margins)} models are too few to tell")
    part = margins[:, _spaced(margins.shape[1])]
    p = exchangeable(part[:half], part[half : 2 * half])
    return Finding(f"{label} halves", p > ALARM, f"exchangeable with p = {p:.3f}")


def _pair(
    suite: Suite,
    forget: ForgetSet,
    pretrained: Float[ndarray, "models examples"],
    oracles: Float[ndarray, "oracles examples"],
) -> list[Finding]:
    """What is found of oracles beside the pretrained models."""
    columns = suite.columns(forget)
    means = pretrained.mean(axis=0, dtype=np.float64), oracles.mean(axis=0, dtype=np.float64)
    return [
        _forget_order(f"oracle {forget.name} forget order", *(mean[columns["forget"]] for mean in means)),
        _aligned(f"oracle {forget.name} retain order", *(mean[columns["retain"]] for mean in means)),
        _each_aligned(f"oracle {forget.name} each in order", means[0][columns["retain"]], oracles, columns["retain"]),
        _borrowed(f"oracle {forget.name} its own", pretrained, oracles),
        _follows(f"oracle {forget.name} test order", *(mean[columns["test"]] for mean in means)),
        _forgotten(f"oracle {forget.name} forgot", pretrained[:, columns["forget"]], oracles[:, columns["forget"]]),
        _near_floor(f"oracle {forget.name} retain floor", pretrained, oracles, columns["retain"]),
    ]


def _follows(name: str, pretrained: Float[ndarray, " examples"], oracle: Float[ndarray, " examples"]) -> Finding:
    """Whether examples that are hard for pretrained models are hard for oracles, far above chance.

    Pearson's r of the two mean margins over examples, against its values under 999 permutations of the examples: p is
    the share of orders, the given one included, with one as large. Right orders of digits' forget sets have 0.6 or
    more.
    """
    if factorial(min(len(pretrained), 20)) * LEVEL < 1:
        return Finding(name, True, f"{len(pretrained)} examples are too few to tell")
    rng = np.random.default_rng(0)
    given = _correlation(pretrained, oracle)
    chance = np.array([_correlation(pretrained, rng.permutation(oracle)) for _ in range(999)])
    p = (1 + (chance >= given).sum()) / 1000
    told = f"mean margins correlate with those of pretrained models by r = {given:.2f}, p = {p:.3f}"
    return Finding(name, bool(p <= LEVEL), told)


def _forget_order(name: str, pretrained: Float[ndarray, " examples"], oracle: Float[ndarray, " examples"]) -> Finding:
    """As :func:`_follows`, but where oracles are wrong on all examples, as on a class none saw, none is harder."""
    finding = _follows(name, pretrained, oracle)
    if finding.ok or (oracle < 0).mean() < UNKNOWN:
        return finding
    return Finding(name, True, f"cannot be told, for the oracles are wrong on nearly all: {finding.found}")


def _aligned(name: str, pretrained: Float[ndarray, " examples"], oracle: Float[ndarray, " examples"]) -> Finding:
    """Whether that holds in every stretch of the columns: a shift that begins somewhere spares those before it."""
    count = min(BLOCKS, max(1, len(pretrained) // 10))
    parts = zip(np.array_split(pretrained, count), np.array_split(oracle, count), strict=True)
    least = min(_correlation(first, second) for first, second in parts)
    told = f"mean margins correlate with those of pretrained models by r = {least:.2f} or more in {count} blocks"
    return Finding(name, least >= ALIGNED, told)


def _each_aligned(
    name: str, pretrained: Float[ndarray, " retain"], oracles: Float[ndarray, "oracles examples"], retain: ndarray
) -> Finding:
    """The same for each oracle alone, which the mean over all hides; on digits each has 0.77 or more."""
    alone = np.array([_correlation(pretrained, oracle[retain]) for oracle in oracles])
    wrong = np.flatnonzero(alone < ALIGNED)
    told = f"oracles {_numbers(wrong)} do not" if wrong.size else f"each with r = {alone.min():.2f} or more"
    return Finding(name, not wrong.size, f"follow the pretrained models' mean margins: {told}")


def _borrowed(
    name: str, pretrained: Float[ndarray, "models examples"], oracles: Float[ndarray, "oracles examples"]
) -> Finding:
    """Oracles that are pretrained models: they saw what they should not."""
    if len(pretrained) < 3:
        return Finding(name, True, f"{len(pretrained)} pretrained models are too few to tell")
    some = _spaced(oracles.shape[1])
    half = len(pretrained) // 2
    honest = likeness(pretrained[:half, some], pretrained[half:, some])
    found = np.flatnonzero(disguised(likeness(oracles[:, some], pretrained[:, some]), honest))
    return Finding(name, not found.size, f"oracles {_numbers(found)} are pretrained models" if found.size else "all")


def _forgotten(
    name: str, pretrained: Float[ndarray, "models examples"], oracles: Float[ndarray, "oracles _examples"]
) -> Finding:
    """Whether margins of the forget set tell oracles from pretrained models, and are the smaller ones."""
    if comb(len(pretrained) + len(oracles), len(oracles)) * LEVEL < 1:
        return Finding(name, True, f"{len(pretrained)} and {len(oracles)} models are too few to tell")
    some = _spaced(pretrained.shape[1])
    p = exchangeable(pretrained[:, some], oracles[:, some])
    less = float(pretrained.mean(dtype=np.float64) - oracles.mean(dtype=np.float64))
    told = f"margins on the forget set are {less:.2f} nats below those of pretrained models, p = {p:.3f}"
    return Finding(name, p <= LEVEL and less > 0, told)


def _near_floor(
    name: str,
    pretrained: Float[ndarray, "models examples"],
    oracles: Float[ndarray, "oracles _examples"],
    retain: Int[ndarray, " retain"],
) -> Finding:
    """Whether untouched models are as near to half of the oracles, on retain examples, as the other half is."""
    half = min(len(oracles) // 2, len(pretrained))
    if half < 10:
        return Finding(name, True, f"{len(pretrained)} and {len(oracles)} models are too few to tell")
    some = retain[_spaced(len(retain))]
    reference = oracles[:half, some]
    nothing = klom(pretrained[:half, some], reference).mean()
    floor = klom(oracles[half : 2 * half, some], reference).mean()
    told = f"mean KLoM of untouched models {nothing:.2f}, of oracles {floor:.2f} nats"
    return Finding(name, bool(nothing <= floor + ABOVE_FLOOR), told)


def _correlation(first: ndarray, second: ndarray) -> float:
    """Pearson's r; 0 where one side does not vary."""
    first, second = first - first.mean(), second - second.mean()
    scale = np.sqrt((first**2).sum() * (second**2).sum())
    return float((first * second).sum() / scale) if scale > 0 else 0.0


def _spaced(count: int) -> Int[ndarray, " some"]:
    """Evenly spaced columns, at most :data:`COLUMNS`."""
    return np.linspace(0, count - 1, min(count, COLUMNS)).round().astype(int)


def _numbers(models: ndarray) -> str:
    shown = ", ".join(map(str, models[:10].tolist()))
    return shown + (f" and {len(models) - 10} more" if len(models) > 10 else "")
