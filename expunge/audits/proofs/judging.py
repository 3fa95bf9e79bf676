"""Whether replayed steps are reproduced: by the noise of the machine, and by a second look at those that are not.

Where a value lies on the kink of a ReLU or a pooling, its rounding decides which way a gradient goes, and two honest
machines can differ by far more than by rounding: on digits in about one of two hundred steps. So a step that errs is
done again, several times, with its records in other orders: it is reproduced if one of these gives what the bundle has.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool
from numpy import ndarray
from torch import Tensor

from expunge.audits.proofs.finding import Finding, counted, named_as
from expunge.audits.proofs.noise import DOUBT, SAFETY, STIR, Noise, one_replaced
from expunge.audits.proofs.replay import GROUPS, Errors, Replayer, Segment, Stir, distances
from expunge.errors import BelowNoise

MOST_NAMED = 5  # segments in a line
AGAIN = 12  # how often a segment that errs is done again
MOST_THREADS = 64
TINY = 1e-30  # in place of no noise at all, as of buffers that there are not
BLIND = 0.1  # of the sampled segments: if in more of them another record would not be seen, a replay shows little
MOST, SHARE = 25, 0.02  # so many are, or this share of all: those that err most


@dataclass(frozen=True, eq=False)
class Judged:
    """The errors of all segments, best of all looks, and which of them are no noise."""

    errors: Errors
    failed: Bool[ndarray, " segments"]
    doubted: Bool[ndarray, " segments"]
    kinks: Bool[ndarray, " segments"]  # reproduced by the second look alone


def look(replayer: Replayer, segments: Sequence[Segment], noise: Noise, eps: float | None, seed: int) -> Judged:
    """Replay ``segments``, those that err again, and judge each."""
    if eps is not None and eps < (least := noise.floor["parameters"]):
        raise BelowNoise(
            f"eps {eps:.3g} is below the noise of this machine, {least:.3g}, and honest proofs would fail; raise it"
        )
    passes = {name: noise.passes(name) for name in GROUPS} if eps is None else {"parameters": eps}
    fails = {name: noise.fails(name) for name in GROUPS} if eps is None else passes
    first = replayer.errors(segments)
    most = _looks(replayer, segments)
    erring = np.flatnonzero(first.beyond(passes))
    erring, others = np.split(erring[np.argsort(-first.largest()[erring], kind="stable")], [most])
    errors, unsure = first, np.zeros(len(segments), bool)
    for row in map(int, erring):
        again = _look_again(replayer, segments[row], passes, seed)
        errors = errors.replaced([row], again.best)
        unsure[row] = not again.best.beyond(again.fails)[0]
    failed = errors.beyond(fails) & ~unsure
    if failed[erring].sum() <= len(erring) / 2:  # most were kinks: those that were not looked at again may be, too
        failed[others] = False
    doubted = errors.beyond(passes) & ~failed
    return Judged(errors, failed, doubted, first.beyond(passes) & ~failed & ~doubted)


def _looks(replayer: Replayer, segments: Sequence[Segment]) -> int:
    """How many segments get a second look: it shall take no more than the steps of the whole training take again."""
    steps = max(len(replayer.sizes(segment)) for segment in segments)
    return max(1, min(max(MOST, round(SHARE * len(segments))), replayer.bundle.manifest.steps // (AGAIN * steps)))


@dataclass(frozen=True, eq=False)
class _Again:
    """The errors of the best of several replays of one segment, and beyond which of them no rounding can have led."""

    best: Errors
    fails: dict[str, float]


def _look_again(replayer: Replayer, segment: Segment, limits: dict[str, float], seed: int) -> _Again:
    """Replay one segment as the provider says it did, and with its records in other orders, half of the times stirred.

    What is farther than all these from one another, and as far as with a replaced record, was another batch.
    """
    rng = np.random.default_rng((seed, segment.start))
    parts, spread, effects = [_as_provided(replayer, segment)], [], []
    for start in range(0, AGAIN, replayer.together):
        same = [segment] * min(replayer.together, AGAIN - start)
        batches = replayer.batches(same)
        mixed = [rng.permuted(batch, axis=1) for batch in batches]
        ended = replayer.ended(same, mixed, _stirring(rng))
        parts.append(distances(ended, replayer.bundle.states([segment.end] * len(same))))
        plain = replayer.ended(same[:1], [batch[:1] for batch in batches]).take([0] * len(same))
        spread.append(distances(ended, plain))
        effects.append(distances(replayer.ended(same, one_replaced(replayer, batches, rng)), plain))
    errors = Errors.joined(parts, range(AGAIN + 1))
    best = int(np.argmin(np.max([errors.named()[name] / (limit or TINY) for name, limit in limits.items()], axis=0)))
    apart, effect = (Errors.joined(each, range(AGAIN)).named() for each in (spread, effects))
    fails = {
        name: max(limit, SAFETY * float(apart[name].max()), DOUBT * float(np.median(effect[name])))
        for name, limit in limits.items()
    }
    return _Again(Errors(**{name: each[best : best + 1] for name, each in errors.named().items()}), fails)


def _as_provided(replayer: Replayer, segment: Segment) -> Errors:
    """The error of the segment alone, on as many threads as the bundle says that it was made on."""
    before = torch.get_num_threads()
    torch.set_num_threads(max(1, min(replayer.bundle.manifest.facts.threads, MOST_THREADS)))
    try:
        return replayer.errors([segment])
    finally:
        torch.set_num_threads(before)


def _stirring(rng: np.random.Generator) -> Stir:
    """Moves the weights and inputs of every second model by as little as rounding may: ties then fall either way."""

    def stir(given: Tensor) -> Tensor:
        moved = torch.as_tensor(rng.uniform(-STIR, STIR, size=tuple(given[1::2].shape)), dtype=given.dtype)
        stirred = given.clone()
        stirred[1::2] *= 1 + moved
        stirred[1::2] += moved * given.abs().mean()
        return stirred

    return stir


def told(judged: Judged, steps: Sequence[tuple[int, int]], noise: Noise, eps: float | None) -> Finding:
    """The judgement in words."""
    count = _replayed(len(steps), sum(end - start for start, end in steps))
    if judged.failed.any():
        where = _where([each for each, wrong in zip(steps, judged.failed, strict=True) if wrong])
        limits = {"parameters": eps} if eps is not None else {name: noise.fails(name) for name in GROUPS}
        table = judged.errors.named()
        ratio, group = max((float(table[n][judged.failed].max() / limit), n) for n, limit in limits.items() if limit)
        was = "was" if where.startswith("step ") else "were"
        reason = f"{where} {was} not reproduced, {ratio:.3g} times beyond what passes, of {group}; {count}"
        return Finding("replay", "FAIL", reason)
    if judged.doubted.any():
        where = _where([each for each, wrong in zip(steps, judged.doubted, strict=True) if wrong])
        err = "errs" if where.startswith("step ") else "err"
        reason = f"{where} {err} by more than this machine's noise, and by less than another batch would; {count}"
        return Finding("replay", "INCONCLUSIVE", reason)
    if eps is None and noise.blind > BLIND:
        reason = (
            f"in {noise.blind:.0%} of the segments that were tried another record in a batch would not be told from "
            f"this machine's noise; ask for states after fewer steps, or replay shorter segments; {count}"
        )
        return Finding("replay", "INCONCLUSIVE", reason)
    within = "within this machine's noise" if eps is None else "within eps, parameters alone"
    kinks = f", {judged.kinks.sum()} of them in another rounding than the first" if judged.kinks.any() else ""
    return Finding("replay", "PASS", f"{count}, {'all ' * (len(steps) > 1)}{within}{kinks}")


def _replayed(segments: int, steps: int) -> str:
    if segments == steps:
        return f"{counted(steps, 'step')} {'was' if steps == 1 else 'were'} replayed, one by one"
    return f"{counted(segments, 'segment')} of {counted(steps, 'step')} {'was' if segments == 1 else 'were'} replayed"


def _where(steps: list[tuple[int, int]]) -> str:
    if all(end - start == 1 for start, end in steps):
        return named_as("step", [end for _, end in steps])
    more = f" and {counted(len(steps) - MOST_NAMED, 'more segment')}" if len(steps) > MOST_NAMED else ""
    return f"steps {', '.join(map(steps_of, steps[:MOST_NAMED]))}{more}"


def steps_of(segment: tuple[int, int]) -> str:
    """The steps of a segment, which is after the first number and up to the second.

    >>> steps_of((4, 5)), steps_of((4, 7))
    ('5', '5-7')
    """
    start, end = segment
    return f"{start + 1}-{end}" if end - start > 1 else str(end)
