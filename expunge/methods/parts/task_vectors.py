"""Task vectors: how far fine-tuning on the forget set moves the weights."""

from collections.abc import Iterator

from jaxtyping import Float
from torch import Tensor

from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.seeds import Generators
from expunge.methods.parts.per_sample import flat_weights
from expunge.methods.parts.walks import Walk, descend, passes, training_loss
from expunge.suites.suite import Split


def task_vectors(ensemble: Ensemble, split: Split, cfg: Walk, rng: Generators) -> Iterator[Float[Tensor, "models d"]]:
    """After each epoch of fine-tuning on the forget set, the change of the weights since the start."""
    start = flat_weights(ensemble)
    epochs = passes(training_loss(split), split.forget, cfg, rng)
    for tuned in descend(ensemble, cfg, epochs):
        yield flat_weights(tuned) - start
