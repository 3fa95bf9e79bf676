"""How exactly this machine can do a step again: measured, by replaying the same steps twice.

Once as they are, and again with the records of each batch in another order. Both are the same step; what differs is the
rounding of sums, as it does on another number of threads or another machine: on digits those differ by up to 1.6 times
what is measured here. Beside it the effect of one replaced record in a batch: what must not be taken for rounding.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy import ndarray
from numpy.random import Generator
from torch import Tensor

from expunge.audits.proofs.replay import GROUPS, Replayer, Segment, distances
from expunge.audits.proofs.states import States

STIR = 2e-7  # relative; a rounding to float32 is up to 6e-8
SAFETY = 10.0  # times the noise that was measured: another machine's rounding may be a little larger
DOUBT = 0.1  # of the least effect of a replaced record: below it a difference shows no other batch
USUAL = 0.75  # quantile of the noise of the sampled segments: beyond it lie those in which rounding fell on a kink
SAMPLE = 16  # segments that the noise is measured on


@dataclass(frozen=True)
class Noise:
    """Of each group of numbers the usual noise of the sampled segments, and the least effect of a replaced record."""

    floor: dict[str, float]
    effect: dict[str, float]
    blind: float  # share of the sampled segments in which a replaced record would not be seen

    def passes(self, group: str) -> float:
        """Up to here an error is noise."""
        return SAFETY * self.floor[group]

    def fails(self, group: str) -> float:
        """Beyond this it is none; between the two nobody can tell."""
        return max(self.passes(group), DOUBT * self.effect[group])


def measure_noise(replayer: Replayer, segments: Sequence[Segment], seed: int = 0) -> Noise:
    """Replay some of ``segments`` again, and see how far apart the ends are."""
    rng = np.random.default_rng(seed)
    noises, effects = [], []
    for places in _sampled(replayer, segments):
        chosen = [segments[place] for place in places]
        batches = replayer.batches(chosen)
        plain = replayer.ended(chosen, batches)
        noises.append(distances(plain, _again(replayer, chosen, batches, rng)))
        effects.append(distances(plain, replayer.ended(chosen, one_replaced(replayer, batches, rng))))
    noise, every = (
        {name: np.concatenate([each.named()[name] for each in found]) for name in GROUPS} for found in (noises, effects)
    )
    floor = {name: float(np.quantile(each, USUAL)) for name, each in noise.items()}
    seen = np.array([every[name] > SAFETY * floor[name] for name in GROUPS]).any(0)
    return Noise(floor, {name: float(every[name].min()) for name in GROUPS}, float(1 - seen.mean()))


def _again(replayer: Replayer, segments: Sequence[Segment], batches: Sequence[ndarray], rng: Generator) -> States:
    """The same steps in another rounding: with the records of each batch in another order.

    Where layers draw, as dropout does, that would deal them other draws; there the weights are moved by as little as
    rounding may.
    """
    if replayer.bundle.manifest.chance is None:
        return replayer.ended(segments, [rng.permuted(batch, axis=1) for batch in batches])

    def stir(given: Tensor) -> Tensor:
        return given * (1 + torch.as_tensor(rng.uniform(-STIR, STIR, size=tuple(given.shape)), dtype=given.dtype))

    return replayer.ended(segments, batches, stir)


def _sampled(replayer: Replayer, segments: Sequence[Segment]) -> Iterator[list[int]]:
    """Places of segments that are spread over the training, in stacks: of each kind in proportion, at least one."""
    kinds: dict[tuple[int, ...], list[int]] = {}
    for place, segment in enumerate(segments):
        kinds.setdefault(replayer.sizes(segment), []).append(place)
    for places in kinds.values():
        count = max(1, round(SAMPLE * len(places) / len(segments)))
        chosen = [places[int(at)] for at in np.linspace(0, len(places) - 1, count)]
        for start in range(0, len(chosen), replayer.together):
            yield chosen[start : start + replayer.together]


def one_replaced(replayer: Replayer, batches: Sequence[ndarray], rng: np.random.Generator) -> list[ndarray]:
    """The same batches, but for one record in the first of each segment."""
    first = batches[0].copy()
    records = replayer.bundle.manifest.promise.records
    for row in first:
        place = rng.integers(len(row))
        row[place] = (row[place] + rng.integers(1, records)) % records
    return [first, *batches[1:]]
