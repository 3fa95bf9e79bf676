"""Last minibatches of a few examples: BatchNorm's running statistics end on them, and models of other counts differ."""

from collections.abc import Sequence

from torch import nn

from expunge.ensembles.plan import Plan, new_networks
from expunge.ensembles.train import minibatch_count
from expunge.suites.suite import Suite

SHARE, ENOUGH = 0.25, 8  # of a batch, or examples, that are enough in the last one: a rule of thumb, docs/concepts.md


def doubtful_last_batches(plans: Sequence[Plan]) -> str:
    """What to say, in a line, before the ensembles of ``plans``, of one suite, are trained; "" where all is well.

    A training ends on its last minibatch, whose statistics count for a tenth of BatchNorm's running ones. Pretrained
    models and oracles see different numbers of examples: where the last minibatch of one of them has few, its running
    statistics are noise that the other's are not, and untouched models lie off the oracles everywhere. Looked at are
    the trainings of ``plans`` and, since oracles are compared with them, that of the pretrained models.
    """
    suite = plans[0].suite
    size, counts = suite.recipe.batch_size, _counts(suite, plans)
    last = {name: last_batch(count, size) for name, count in counts.items()}
    name = min(last, key=lambda each: last[each])
    if _is_sound(last[name], size) or not _follows_batches(suite):
        return ""
    nearest = sound_size(list(counts.values()), size)
    advice = f"the nearest sound one is {nearest}" if nearest else "no batch size is sound for all of them"
    return (
        f"suite {suite.name!r}: with a batch size of {size} the last minibatch of {name}, {counts[name]} examples, has "
        f"{last[name]}, which puts BatchNorm's statistics, and so untouched models, off the oracles; {advice}"
    )


def last_batch(examples: int, size: int) -> int:
    """How many examples the last minibatch of an epoch has; a single one joins the minibatch before it.

    >>> last_batch(450, 32), last_batch(450, 50), last_batch(449, 32), last_batch(20, 32)
    (2, 50, 33, 20)
    """
    return examples - size * (minibatch_count(examples, size) - 1)


def sound_size(counts: Sequence[int], size: int) -> int | None:
    """The batch size nearest to ``size``, the larger of two, whose last minibatches are sound for all ``counts``.

    >>> sound_size([450, 400], 32), sound_size([450, 400], 50)
    (31, 50)
    """
    found = [each for each in range(2, min(counts) + 1) if all(_is_sound(last_batch(n, each), each) for n in counts)]
    return min(found, key=lambda each: (abs(each - size), -each), default=None)


def _is_sound(last: int, size: int) -> bool:
    """Noise of statistics goes with the number of examples: eight are enough whatever the batch size."""
    return last >= min(ENOUGH, SHARE * size)


def _counts(suite: Suite, plans: Sequence[Plan]) -> dict[str, int]:
    """How many examples each training sees, by its name."""
    train = suite.data.sizes[0]
    oracles = {plan.label: train - len(plan.forget) for plan in plans if plan.kind == "oracle" and plan.forget}
    return {"pretrained": train, **oracles}


def _follows_batches(suite: Suite) -> bool:
    """Whether some layer keeps running statistics of the minibatches that it sees in training."""
    layers = new_networks(suite.network, [0])[0].modules()
    return any(isinstance(each, nn.modules.batchnorm._BatchNorm) and each.track_running_stats for each in layers)
