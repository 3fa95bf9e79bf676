"""Models beside which stands what their update says of itself."""

from collections.abc import Sequence
from dataclasses import replace

from expunge.certificates.theorems.theorem import Claim
from expunge.ensembles.ensemble import Ensemble


class Told(Ensemble):
    """An ensemble with a line on each model, ``told``, of how its update went; copies have none."""

    told: tuple[str, ...]

    @classmethod
    def beside(cls, ensemble: Ensemble, told: Sequence[str]) -> "Told":
        """``ensemble``, which knows ``told``."""
        result = cls(ensemble.network, ensemble.origin, ensemble.sample_shape, ensemble.masks)
        result.meter, result.chance, result.told = ensemble.meter, ensemble.chance, tuple(told)
        return result.train(ensemble.training)


def with_told(claims: Sequence[Claim], student: Ensemble) -> tuple[Claim, ...]:
    """The claims, each with what the update said of its model as a further note."""
    if not isinstance(student, Told):
        return tuple(claims)
    return tuple(replace(claim, notes=(*claim.notes, told)) for claim, told in zip(claims, student.told, strict=True))
