"""How differences of distances scatter on a forget set: measured on methods that are made of a suite's ensembles."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple, replace
from functools import partial
from itertools import combinations
from pathlib import Path

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from expunge.bench.folder import arrays_file, mapped, read_folder
from expunge.bench.ranks import may_be_ranked
from expunge.bench.score import reference_of
from expunge.ensembles.plan import Plan
from expunge.ensembles.stored_margins import read_margins
from expunge.errors import BadMargins, BadSetting
from expunge.metrics.distance import has_headroom
from expunge.metrics.jackknife import LeftOut, leave_out, left_out_of, spread
from expunge.metrics.power import Contrast
from expunge.metrics.ranking import mean_difference
from expunge.metrics.wasserstein import wasserstein
from expunge.suites import ForgetSet, Suite

DEALS = 8  # divisions of the oracles, over which what is measured is averaged
FARTHEST = 1e4  # times the way from the oracles to doing nothing


class Scatter:
    """Ensembles of one size on the examples to be forgotten, and the methods that are made of them.

    ``least`` is the smallest sd that a distance is divided by.
    """

    def __init__(
        self,
        pretrained: Float[ndarray, "models forget"],
        oracle: Float[ndarray, "models forget"],
        held_out: Float[ndarray, "models forget"],
        least: float,
    ) -> None:
        self.pretrained, self.oracle, self.held_out = (
            each.astype(np.float64) for each in (pretrained, oracle, held_out)
        )
        self.models, self.least = len(oracle), least
        self.floor, self.nothing = (self.distance(each) for each in (self.held_out, self.pretrained))

    @property
    def gap(self) -> float:
        """How much farther doing nothing is than the floor."""
        return self.nothing - self.floor

    def distance(self, margins: Float[ndarray, "_models forget"]) -> float:
        """Mean over the examples to be forgotten, without a clip: a made-up method may lie anywhere."""
        return float(wasserstein(margins, self.oracle, least=self.least, clip=np.inf).mean())

    def two_methods(self, gap: float, left: float | None = None) -> tuple[Contrast, float]:
        """Two methods ``gap`` apart, in the middle of the gap; and which share of the variance is left by pairing.

        ``left`` is that share where it is known of real methods.
        """
        found = [deal._two_methods(gap) for deal in self._deals()]
        share = sum(paired.models for paired, _ in found) / sum(apart for _, apart in found)
        contrast = _mean([paired for paired, _ in found])
        if left is not None:
            contrast, share = replace(contrast, models=left * contrast.models / share), left
        return contrast, share

    def from_the_oracle(self, gap: float) -> Contrast:
        """Held-out oracles that are moved until they lie ``gap`` above the floor, and others, as many, that are not."""
        return _mean([deal._from_the_oracle(gap) for deal in self._deals()])

    def _deals(self) -> Iterator["Scatter"]:
        """The oracles divided anew: how much a reference decides differs much from one to the next."""
        pool, rng = np.concatenate([self.oracle, self.held_out]), np.random.default_rng(0)
        yield self
        for _ in range(DEALS - 1):
            order = rng.permutation(len(pool))
            oracle, held_out = pool[order[: self.models]], pool[order[self.models :]]
            yield Scatter(self.pretrained, oracle, held_out, self.least)

    def _two_methods(self, gap: float) -> tuple[Contrast, float]:
        near = max(self.distance(self.made_up(0.0, 0)), self.floor, (self.floor + self.nothing - gap) / 2)
        places = ((near + gap, 0), (near, 1))
        pair = [self.left_out(self._at(place, partial(self.made_up, order=order))) for place, order in places]
        models, oracles = self.variances(pair, [(0, 1)])
        return self._contrast(near, near + gap, models, oracles), sum(self.variances(pair)[:-1])

    def _from_the_oracle(self, gap: float) -> Contrast:
        moved = self.left_out(self._at(self.floor + gap, self.moved))
        *models, oracles = self.variances([moved, self.left_out(self.held_out)])
        return self._contrast(self.floor, self.floor + gap, sum(models), oracles)

    def moved(self, share: float) -> Float[ndarray, "models forget"]:
        """Held-out oracles, the mean of each example moved by a share of the way to the pretrained models."""
        return self.held_out + share * self._way

    def made_up(self, share: float, order: int) -> Float[ndarray, "models forget"]:
        """A method: as :meth:`moved`, but half of the spread is that of the pretrained models it began from.

        The other half, its own, is that of held-out oracles in an order of its own.
        """
        own = self.held_out[np.random.default_rng(order).permutation(self.models)]
        parts = (each - each.mean(axis=0) for each in (self.pretrained, own))
        mixed: ndarray = self.held_out.mean(axis=0) + share * self._way + np.sqrt(0.5) * sum(parts)
        return mixed

    @property
    def _way(self) -> Float[ndarray, " forget"]:
        way: ndarray = self.pretrained.mean(axis=0) - np.concatenate([self.oracle, self.held_out]).mean(axis=0)
        return way

    def _at(self, distance: float, method: Callable[[float], ndarray]) -> Float[ndarray, "models forget"]:
        """The method that lies at this distance, by bisection."""
        low, high = 0.0, 1.0
        while self.distance(method(high)) < distance and high < FARTHEST:
            low, high = high, 2 * high
        for _ in range(20):
            middle = (low + high) / 2
            low, high = (middle, high) if self.distance(method(middle)) < distance else (low, middle)
        return method(high)

    def left_out(self, margins: Float[ndarray, "_models forget"]) -> LeftOut:
        """The distance of a method, with what the jackknife needs."""
        return leave_out(
            lambda mine, theirs: np.atleast_1d(wasserstein(mine, theirs, least=self.least, clip=np.inf).mean()),
            margins,
            self.oracle,
        )

    def variances(self, methods: list[LeftOut], pairs: list[tuple[int, ...]] | None = None) -> list[float]:
        """Of the difference of two: what one model brings, of both at once or of each, and what one oracle."""
        value, parts = left_out_of(mean_difference, methods, pairs or [])
        return [float(spread(value, *part)[0][0]) * self.models for part in parts]

    def _contrast(self, near: float, far: float, models: float, oracles: float) -> Contrast:
        """From distances as so many models show them to their limits."""
        near, far = (float(np.sqrt(max(each**2 - self.floor**2, 0.0))) for each in (near, far))
        return Contrast(near, far, self.floor * float(np.sqrt(self.models / 2)), models, oracles)


def _mean(contrasts: Sequence[Contrast]) -> Contrast:
    return Contrast(*(float(each) for each in np.mean([astuple(each) for each in contrasts], axis=0)))


def scatter_of(suite: Suite, forget: ForgetSet, models: int) -> tuple[Scatter, bool]:
    """The first so many ensembles of a suite, out of its stores, and whether the set has headroom."""
    pretrained = read_margins(Plan(suite, "pretrained"), 0, models).values
    reference, columns = reference_of(suite, forget, models, models), suite.columns(forget)["forget"]
    oracle, held_out = reference.oracle.values[:, columns], reference.held_out.values[:, columns]
    scatter = Scatter(pretrained[:, columns], oracle, held_out, reference.least_scale)
    nothing = reference.nothing
    return scatter, nothing is not None and has_headroom(nothing, reference.floor)


def left_by_pairing(scatter: Scatter, suite: Suite, forget: ForgetSet, bench: Path) -> float:
    """Which share of the variance of their difference pairing leaves of the methods in the folder of a bench.

    The middle one of all pairs of methods that have a rank.

    Raises:
        BadSetting: the folder is of another suite, or has no two methods on the forget set.
        BadMargins: its arrays are not margins of this suite.
        StoreError: there is no bench in it, or it is damaged.
    """
    subjects = [score.subject for score in read_folder(bench).scores]
    if any(each.suite_digest != suite.digest for each in subjects):
        raise BadSetting(f"--bench {bench}: expected the folder of a bench of suite {suite.name!r} ({suite.digest})")
    there = {each.method for each in subjects if each.forget_digest == forget.sha256 and may_be_ranked(each.method)}
    files = [arrays_file(bench, forget.name, method) for method in sorted(there - {"identity"})]
    columns = suite.columns(forget)["forget"]
    margins = [_margins(file, suite.data.width)[:, columns].astype(np.float64) for file in files if file.is_file()]
    found = [scatter.left_out(each) for each in margins]
    shares = []
    for pair in combinations(found, 2):
        if pair[0].grouped[0].size == pair[1].grouped[0].size:
            paired, _ = scatter.variances(list(pair), [(0, 1)])
            apart = sum(scatter.variances(list(pair))[:-1])
            shares += [paired / apart] if apart > 0 else []
    if not shares:
        raise BadSetting(
            f"--bench {bench}: expected two methods with a rank on {forget.name!r}, got {len(found)}; "
            "name the sets that it has by --forget-set"
        )
    return float(np.median(shares))


def _margins(file: Path, width: int) -> ndarray:
    margins = mapped(file, "margins")
    if margins.ndim != 2 or margins.shape[1] != width or len(margins) < 3:
        raise BadMargins(f"{file}: expected margins of 3 models or more on {width} examples, got {margins.shape}")
    return margins
