"""Shadow pairs: models of the attacker's own before and after a removal, of which it knows what was removed."""

from dataclasses import dataclass

import torch
from jaxtyping import Shaped
from torch import Tensor

from expunge.attacks.lab.arms import ORACLE
from expunge.attacks.lab.owners import of_each
from expunge.attacks.lab.provider import ATTACKER, Provider, Served, as_they_lie
from expunge.attacks.suspects import Suspects, suspects_of
from expunge.ensembles.ensemble import Ensemble
from expunge.errors import BadSetting
from expunge.suites.suite import Suite


@dataclass(frozen=True, eq=False)
class Pairs:
    """Models before and after a removal, and whom it is asked about."""

    before: Ensemble
    after: Ensemble
    suspects: Suspects


def require_shadows(suite: Suite, victims: int, shadows: int) -> None:
    """Refuse shadow models that the suite does not have beside those that are scored: they are its last ones."""
    half = suite.models // 2
    if not 2 <= shadows <= suite.models - half:
        raise BadSetting(
            f"expected 2 to {suite.models - half} shadow models, the half of the {suite.models} models of suite "
            f"{suite.name!r} that is not scored, got {shadows}; give --set shadows=N"
        )
    if victims > suite.models - shadows:
        raise BadSetting(
            f"{shadows} of the {suite.models} models of suite {suite.name!r} are shadows, which leaves "
            f"{suite.models - shadows} victims, got {victims}; give --models"
        )


def shadow_pairs(provider: Provider, count: int, shadows: int, seed: int) -> list[Pairs]:
    """Pairs of models of the attacker's own, of which ``count`` records each were removed by the provider's method;
    and the same after retraining, where the oracle is played.

    The attacker knows the provider's practice, and follows it: shadow models are asked, and serve, as the victims do.

    Shadow models are the suite's last pretrained ones. They were trained on the data that the victims were trained on:
    an attacker who knows the data, not what is removed; that of Chen et al. 2021 has other data of the same kind.
    Records are of the half that no victim is asked about. MethodFailed where the method fails on them.
    """
    models = range(provider.suite.models - shadows, provider.suite.models)
    mine = provider.of(models)
    suspects = suspects_of(mine, count, seed, half=1)
    requests = [as_they_lie(provider.suite, own, ATTACKER) for own in suspects.seen]

    def pairs(served: Served) -> Pairs:
        return Pairs(mine.victims, served.ensemble, suspects)

    found = [pairs(mine.serve(requests))]
    return [*found, pairs(mine.retrained(requests))] if provider.plays(ORACLE) else found


def records_of(suite: Suite, suspects: Suspects) -> tuple[Shaped[Tensor, "models n ..."], Shaped[Tensor, "models n"]]:
    """Inputs and labels of all whom it is asked about: those seen, then those unseen."""
    train, test = suite.data.train, suite.data.test
    x = torch.cat([of_each(train.x, suspects.seen), of_each(test.x, suspects.unseen)], dim=1)
    y = torch.cat([of_each(train.y, suspects.seen), of_each(test.y, suspects.unseen)], dim=1)
    return x, y
