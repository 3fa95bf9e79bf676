"""Whether replayed steps are reproduced: by the noise of the machine, and by a second look at those that are not.

Where a value lies on the kink of a ReLU or a pooling, its rounding decides which way a gradient goes, and two honest
machines can differ by far more than by rounding: on digits in about one of two hundred steps. So a step that errs is
done again, several times, with its records in other orders: it is reproduced if one of these gives what the bundle has.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool
from numpy import ndarray

from expunge.audits.proofs.finding import Finding, named
from expunge.audits.proofs.noise import SAFETY, Noise
from expunge.audits.proofs.replay import GROUPS, Errors, Replayer, Segment, distances
from expunge.errors import BadSetting

AGAIN = 12  # how often a segment that errs is done again
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
        raise BadSetting(f"eps {eps:.3g} is below the noise of this machine, {least:.3g}; honest proofs would fail")
    passes = {name: noise.passes(name) for name in GROUPS} if eps is None else {"parameters": eps}
    fails = {name: noise.fails(name) for name in GROUPS} if eps is None else passes
    first = replayer.errors(segments)
    most = max(MOST, round(SHARE * len(segments)))
    erring = np.flatnonzero(first.beyond(passes))
    erring, others = np.split(erring[np.argsort(-first.largest()[erring], kind="stable")], [most])
    errors, unsure = first, np.zeros(len(segments), bool)
    for row in map(int, erring):
        best, spread = _again(replayer, segments[row], passes, seed)
        errors = errors.replaced([row], best)
        table = best.named()
        unsure[row] = all(table[name][0] <= SAFETY * max(spread[name], noise.floor[name]) for name in passes)
    failed = errors.beyond(fails) & ~unsure
    if failed[erring].sum() <= len(erring) / 2:  # most were kinks: those that were not looked at again may be, too
        failed[others] = False
    doubted = errors.beyond(passes) & ~failed
    return Judged(errors, failed, doubted, first.beyond(passes) & ~failed & ~doubted)


def _again(
    replayer: Replayer, segment: Segment, limits: dict[str, float], seed: int
) -> tuple[Errors, dict[str, float]]:
    """The errors of the best of several replays of one segment, and how far these are apart from one another."""
    rng = np.random.default_rng((seed, segment.start))
    parts, ends = [], []
    for start in range(0, AGAIN, replayer.together):
        same = [segment] * min(replayer.together, AGAIN - start)
        mixed = [rng.permuted(batch, axis=1) for batch in replayer.batches(same)]
        ends.append(replayer.ended(same, mixed))
        parts.append(distances(ends[-1], replayer.bundle.states([segment.end] * len(same))))
    errors = Errors.joined(parts, range(AGAIN))
    table = errors.named()
    best = int(np.argmin(np.max([table[name] / limit for name, limit in limits.items()], axis=0)))
    apart = distances(ends[0], ends[0].take([0] * len(ends[0])))
    chosen = Errors(**{name: each[best : best + 1] for name, each in table.items()})
    return chosen, {name: float(each.max()) for name, each in apart.named().items()}


def told(judged: Judged, steps: Sequence[tuple[int, int]], noise: Noise, eps: float | None) -> Finding:
    """The judgement in words."""
    count = f"{len(steps)} segments, {sum(end - start for start, end in steps)} steps, were replayed"
    if judged.failed.any():
        where = _where([each for each, wrong in zip(steps, judged.failed, strict=True) if wrong])
        limits = {"parameters": eps} if eps is not None else {name: noise.fails(name) for name in GROUPS}
        table = judged.errors.named()
        ratio, group = max((float(table[n][judged.failed].max() / limit), n) for n, limit in limits.items() if limit)
        return Finding(
            "replay", "FAIL", f"{where} not reproduced, {ratio:.3g} times beyond what passes, of {group}; {count}"
        )
    if judged.doubted.any():
        where = _where([each for each, wrong in zip(steps, judged.doubted, strict=True) if wrong])
        reason = f"{where} err by more than this machine's noise, and by less than another batch would; {count}"
        return Finding("replay", "INCONCLUSIVE", reason)
    within = "within this machine's noise" if eps is None else "within eps, parameters alone"
    kinks = f", {judged.kinks.sum()} of them in another rounding than the first" if judged.kinks.any() else ""
    return Finding("replay", "PASS", f"{count}, all {within}{kinks}")


def _where(steps: list[tuple[int, int]]) -> str:
    if all(end - start == 1 for start, end in steps):
        return f"step{'s' * (len(steps) > 1)} {named([end for _, end in steps])}"
    words = ", ".join(f"{start + 1}-{end}" for start, end in steps[:5])
    return f"steps {words}{f' and {len(steps) - 5} more segments' if len(steps) > 5 else ''}"
