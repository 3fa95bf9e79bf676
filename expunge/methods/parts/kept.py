"""Models beside which the weights of an earlier step of their training were kept."""

from collections.abc import Iterable

from jaxtyping import Float
from torch import Tensor

from expunge.ensembles.ensemble import Ensemble
from expunge.methods.parts.per_sample import flat_weights, with_weights


class Kept(Ensemble):
    """An ensemble that knows where it once was, ``kept``; copies know it too, also of some of the models."""

    kept: Float[Tensor, "models d"]

    @classmethod
    def beside(cls, ensemble: Ensemble, kept: Float[Tensor, "models d"]) -> "Kept":
        """``ensemble``, which knows ``kept``."""
        result = cls(ensemble.network, ensemble.origin, ensemble.sample_shape, ensemble.masks)
        result.meter, result.chance, result.kept = ensemble.meter, ensemble.chance, kept
        return result.train(ensemble.training)

    def copy(self) -> "Kept":
        """An independent copy, as of any ensemble."""
        return Kept.beside(super().copy(), self.kept)

    def take(self, indices: Iterable[int]) -> "Kept":
        """Some of the models."""
        rows = list(indices)
        return Kept.beside(super().take(rows), self.kept[rows])

    def rewound(self) -> Ensemble:
        """An ordinary ensemble of what was kept, in evaluation mode; buffers are those of now."""
        bare = super().copy()
        return with_weights(bare, self.kept.to(flat_weights(bare)))
