"""How long one retraining takes on this machine, by a short burst of training that is timed once."""

from expunge.ensembles.device import chosen_device, work_clock
from expunge.ensembles.plan import Plan
from expunge.ensembles.timed_training import kept, seconds_per_example
from expunge.suites import ForgetSet, Suite
from expunge.suites.suite import Split


def retraining_seconds(suite: Suite, forget: ForgetSet) -> float:
    """Seconds of one retraining on this machine, in chunks: from a few batches, timed once and kept in the store.

    On a CPU those of one core, as :func:`~expunge.ensembles.device.work_clock` counts them.
    """
    seconds = kept(suite.digest, f"{suite.chunk} at once, seconds of work", lambda: _seconds_per_example(suite))
    return seconds * suite.recipe.passes * (suite.data.sizes[0] - len(forget))


def _seconds_per_example(suite: Suite) -> float:
    """Of training one model by one example, in a chunk of models."""
    train = suite.data.train
    everything = Split(train, train, suite.data.classes, suite.recipe, suite.network, suite.target)
    origin = Plan(suite, "pretrained").origin(range(suite.chunk))
    return seconds_per_example(everything, origin, suite.chunk, work_clock(chosen_device()))
