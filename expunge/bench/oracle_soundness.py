"""Oracles that others made, beside the pretrained models: did they see what they should, column by column?"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import comb

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from scipy.stats import mannwhitneyu

from expunge.bench.alignment import LEVEL, Agreement, agreement, halves, odd_ones, spaced, stretches_off
from expunge.metrics.exchangeable import exchangeable
from expunge.metrics.klom import klom
from expunge.metrics.oracle_copies import disguised, likeness
from expunge.records import SplitName

UNKNOWN = 0.95  # share of forget examples on which the oracles are wrong: those of a class that none saw
ABOVE_FLOOR = 1.0  # nats, of untouched models on retain examples: on digits at most 0.4, and 4 where a column is off
DEALS = 20  # of the oracles into halves
MUCH = 0.05  # share of the training data that is forgotten from which on what is left may move too: a rule of thumb
BLOCKS = 10  # stretches of the retain columns that are checked one by one, at most
FEW_EXAMPLES = 20  # of which all may be easy

Columns = Mapping[SplitName, Int[ndarray, " columns"]]


@dataclass(frozen=True)
class Finding:
    """One check: what of, whether it passed, and what was seen."""

    name: str
    ok: bool
    found: str


def beside_pretrained(
    forget_set: str,
    columns: Columns,
    pretrained: Float[ndarray, "models examples"],
    oracles: Float[ndarray, "oracles examples"],
) -> list[Finding]:
    """What is found of the oracles of a forget set beside the pretrained models."""
    name = f"oracle {forget_set}"
    return [
        *_orders(name, columns, pretrained, oracles),
        _borrowed(f"{name} its own", pretrained, oracles),
        _forgotten(f"{name} forgot", columns, pretrained, oracles),
        _near_floor(f"{name} retain floor", columns, pretrained, oracles),
    ]


def _orders(
    name: str,
    columns: Columns,
    pretrained: Float[ndarray, "models examples"],
    oracles: Float[ndarray, "oracles examples"],
) -> list[Finding]:
    """Whether the columns of every split are in place: examples that are hard for one side are so for the other."""
    means = pretrained.mean(axis=0, dtype=np.float64), oracles.mean(axis=0, dtype=np.float64)
    some = {split: each[spaced(len(each))] for split, each in columns.items()}
    found = {split: agreement(*(mean[each] for mean in means)) for split, each in some.items()}
    retain, forget, test = (columns[split] for split in ("retain", "forget", "test"))
    unknown = _wrong(oracles[:, forget]) >= UNKNOWN  # on a class that none saw, none is harder
    low = unknown or not found["forget"].is_below(found["test"])
    return [
        _followed(
            f"{name} forget order", found["forget"], oracles[:, forget], "wrong on nearly all" if unknown else "", low
        ),
        _aligned(f"{name} retain order", found["retain"], means[0][retain], oracles[:, retain]),
        _each_aligned(f"{name} each in order", means[0][retain], oracles[:, retain]),
        _followed(f"{name} test order", found["test"], oracles[:, test]),
    ]


def _followed(
    name: str, found: Agreement, oracles: Float[ndarray, "oracles _examples"], why: str = "", open_: bool = False
) -> Finding:
    """Whether mean margins follow the pretrained models', far above chance; ``open_`` where that need not be.

    It need not either where the oracles' halves do not follow each other: then no example is harder than another.
    """
    told = f"mean margins correlate with those of pretrained models by r = {found.r:.2f}, p = {found.p:.3f}"
    if found.few:
        return Finding(name, True, f"{found.examples} examples are too few to tell")
    if found.sure:
        return Finding(name, True, told)
    if not why and (len(oracles) < 2 or not agreement(*halves(oracles)).sure):
        why = "not of one mind in their halves"
    if why:
        return Finding(name, True, f"cannot be told, for the oracles are {why}: {told}")
    return Finding(name, open_, f"cannot be told from so few examples: {told}" if open_ else told)


def _aligned(
    name: str,
    found: Agreement,
    pretrained: Float[ndarray, " retain"],
    oracles: Float[ndarray, "oracles retain"],
) -> Finding:
    """The same in every stretch of the columns too: a shift that begins somewhere spares those before it."""
    whole = _followed(name, found, oracles)
    count = min(BLOCKS, max(1, len(pretrained) // 10))
    least, wrong = stretches_off(pretrained, oracles.mean(axis=0, dtype=np.float64), count)
    if not whole.ok or not wrong:
        return Finding(name, whole.ok, f"{whole.found}; in {count} blocks by r = {least:.2f} or more")
    return Finding(name, False, f"{whole.found}; {wrong[0]}")


def _each_aligned(
    name: str, pretrained: Float[ndarray, " retain"], oracles: Float[ndarray, "oracles retain"]
) -> Finding:
    """The same for each oracle alone, which the mean over all hides: beside what the others do among themselves."""
    least, odd = odd_ones(pretrained, oracles)
    told = f"oracles {numbers(odd)} do not" if odd.size else f"each with r = {least:.2f} or more"
    return Finding(name, not odd.size, f"follow the mean margins of the others: {told}")


def _wrong(margins: Float[ndarray, "models _examples"]) -> float:
    """The share of examples on which models are wrong in the mean."""
    return float((margins.mean(axis=0, dtype=np.float64) < 0).mean())


def _borrowed(
    name: str, pretrained: Float[ndarray, "models examples"], oracles: Float[ndarray, "oracles examples"]
) -> Finding:
    """Oracles that are pretrained models: they saw what they should not."""
    if len(pretrained) < 3:
        return Finding(name, True, f"{len(pretrained)} pretrained models are too few to tell")
    some = spaced(oracles.shape[1])
    half = len(pretrained) // 2
    honest = likeness(pretrained[:half, some], pretrained[half:, some])
    found = np.flatnonzero(disguised(likeness(oracles[:, some], pretrained[:, some]), honest))
    return Finding(name, not found.size, f"oracles {numbers(found)} are pretrained models" if found.size else "all")


def _forgotten(
    name: str,
    columns: Columns,
    pretrained: Float[ndarray, "models examples"],
    oracles: Float[ndarray, "oracles examples"],
) -> Finding:
    """Whether margins of the forget set tell oracles from pretrained models, and are the smaller ones.

    They need not be where models of this suite do not know better what they saw: see :func:`_nothing_to_forget`.
    """
    if comb(len(pretrained) + len(oracles), len(oracles)) * LEVEL < 1:
        return Finding(name, True, f"{len(pretrained)} and {len(oracles)} models are too few to tell")
    ours, theirs = (side[:, columns["forget"]] for side in (pretrained, oracles))
    some = spaced(ours.shape[1])
    p = exchangeable(ours[:, some], theirs[:, some])
    less, beside = (
        float(pretrained[:, columns[split]].mean(dtype=np.float64) - oracles[:, columns[split]].mean(dtype=np.float64))
        for split in ("forget", "test")
    )
    told = f"margins on the forget set are {less:.2f} nats below those of pretrained models, p = {p:.3f}"
    if p <= LEVEL and (less > 0 or less > beside):  # all margins may have grown, and these the least
        return Finding(name, True, told)
    why = _nothing_to_forget(columns, pretrained, theirs)
    return Finding(name, bool(why), f"cannot be told, for {why}: {told}" if why else told)


def _nothing_to_forget(
    columns: Columns, pretrained: Float[ndarray, "models examples"], oracles: Float[ndarray, "oracles _forget"]
) -> str:
    """Why honest oracles may be as pretrained models on the forget set; "" where they may not.

    Pretrained models' margins on what they saw are not larger than on what they did not (Mann and Whitney's test of
    the mean margins); or the examples are few, the oracles know all of them, and, by the accuracy on test, so many
    drawn at random may well all be easy.
    """
    means = pretrained.mean(axis=0, dtype=np.float64)
    if mannwhitneyu(means[columns["retain"]], means[columns["test"]], alternative="greater").pvalue > LEVEL:
        return "pretrained models know what they saw no better than what they did not"
    count, right = oracles.shape[1], float((pretrained[:, columns["test"]] > 0).mean())
    if count < FEW_EXAMPLES and (oracles > 0).mean() >= 0.99 and right**count > LEVEL:
        return f"{count} easy examples are known without having been seen"
    return ""


def _near_floor(
    name: str,
    columns: Columns,
    pretrained: Float[ndarray, "models examples"],
    oracles: Float[ndarray, "oracles examples"],
) -> Finding:
    """Whether untouched models are as near to half of the oracles, on retain examples, as the other half is.

    Where many examples are forgotten, or a class that the oracles then do not know at all, all margins move, honestly;
    but not twice as far on what both saw as on what one side or neither saw.
    """
    half = min(len(oracles) // 2, len(pretrained))
    if half < 10:
        return Finding(name, True, f"{len(pretrained)} and {len(oracles)} models are too few to tell")
    some = columns["retain"][spaced(len(columns["retain"]))]
    nothing = klom(pretrained[:half, some], oracles[:half, some]).mean()
    floor = _highest_floor(oracles[: 2 * half, some])
    told = f"mean KLoM of untouched models {nothing:.2f}, of oracles {floor:.2f} nats"
    if nothing <= floor + ABOVE_FLOOR:
        return Finding(name, True, told)
    moved = {split: _moved(pretrained[:, each], oracles[:, each]) for split, each in columns.items()}
    forgotten, kept = (len(columns[split]) for split in ("forget", "retain"))
    much = forgotten > MUCH * (forgotten + kept) or _wrong(oracles[:, columns["forget"]]) >= UNKNOWN
    if much and moved["retain"] <= 2 * max(moved["forget"], moved["test"]):
        return Finding(name, True, f"cannot be told, for so much was forgotten that all margins move: {told}")
    return Finding(name, False, told)


def _highest_floor(oracles: Float[ndarray, "oracles some"]) -> float:
    """The largest mean KLoM of one half of the oracles against the other, dealt at random again and again."""
    rng, half = np.random.default_rng(0), len(oracles) // 2
    deals = [np.arange(len(oracles)), *(rng.permutation(len(oracles)) for _ in range(DEALS - 1))]
    return max(float(klom(oracles[deal[half:]], oracles[deal[:half]]).mean()) for deal in deals)


def _moved(pretrained: ndarray, oracles: ndarray) -> float:
    """Mean distance of the mean margins of examples, in standard deviations of the oracles."""
    spread = np.maximum(oracles.std(axis=0, dtype=np.float64), 1e-6)
    return float((np.abs(pretrained.mean(axis=0, dtype=np.float64) - oracles.mean(axis=0)) / spread).mean())


def numbers(models: ndarray) -> str:
    shown = ", ".join(map(str, models[:10].tolist()))
    return shown + (f" and {len(models) - 10} more" if len(models) > 10 else "")
