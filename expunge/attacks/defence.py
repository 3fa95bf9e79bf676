"""What a defence is: a suspicion of requests, or a practice that leaves attackers less, whoever they are."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from expunge.attacks.practice import USUAL, Practice
from expunge.ensembles.ensemble import Ensemble
from expunge.errors import BadSetting
from expunge.suites.request import Request
from expunge.suites.suite import Suite

Remove = Callable[[Request], Ensemble]  # the provider's way of unlearning, run on all models


@dataclass(frozen=True, eq=False)
class Scene:
    """What a defence looks at: the models of a provider, what they were trained on, and requests for removal.

    ``remove`` runs the provider's unlearning method on a request, for a defence that tries before it serves;
    ``validation`` are the test examples that such a one may look at, by their numbers among the test examples.
    """

    suite: Suite
    victims: Ensemble
    requests: Sequence[Request]
    remove: Remove
    validation: Int[ndarray, " validation"] = field(default_factory=lambda: np.arange(0))


@dataclass(frozen=True, kw_only=True)
class Defence:
    """One row of DEFENCES; each defence's own file ends with it.

    One that looks has exactly one of two functions, which say what is suspicious, the more the higher: ``records`` of
    every training example, ``(models, train)``, and a request is as suspicious as its records on average; or
    ``requests`` of every request, ``(models, requests)``. What looks at no model gives one row for all. One that
    ``filters`` can also be asked about requests for single records, and lets the rest of a request through; another
    holds back a request as a whole. Where what it says of a request depends on those before it, it ``accumulates``:
    over those of its owner, or over all.

    Another suspects nobody, and has a ``practice``: what the provider tells, or how it serves.
    """

    summary: str
    when: Literal["training", "request", "serving", "release"]  # release: whenever anybody asks the models
    price: str  # what it costs a provider, and honest owners
    source: str
    records: Callable[[Scene], Float[ndarray, "models train"]] | None = None
    requests: Callable[[Scene], Float[ndarray, "models requests"]] | None = None
    filters: bool = False
    accumulates: Literal["", "owner", "all"] = ""
    practice: Practice | None = None

    @property
    def screens(self) -> bool:
        """Whether it says of requests that come at once, in no order, which are suspicious."""
        return self.practice is None and self.accumulates != "all"

    def suspicion(self, scene: Scene) -> Float[ndarray, "models requests"]:
        """How suspicious each request is, to each model; a BadSetting of a defence that suspects nobody."""
        if self.practice is not None:
            raise BadSetting("this defence suspects nobody: it changes what a provider tells, or how it serves")
        if self.requests is not None:
            return self.requests(scene)
        assert self.records is not None
        return by_request(self.records(scene), scene.requests)

    @property
    def module(self) -> str:
        """The module that it is written in."""
        practice = self.practice or USUAL
        made = self.requests or self.records or practice.tells or practice.others or practice.deploys
        return made.__module__ if made else __name__


def by_request(
    records: Float[ndarray, "models train"], requests: Sequence[Request]
) -> Float[ndarray, "models requests"]:
    """The mean suspicion of the records of each request; a BadSetting for a claim that names no training example."""
    train = records.shape[1]
    for request in requests:
        if request.indices.min() < 0 or request.indices.max() >= train:
            raise BadSetting(
                f"a request of {request.owner or 'nobody named'}: expected indices 0 to {train - 1} of training "
                f"examples, got {request.indices.min()} to {request.indices.max()}; take a defence at the time of the "
                "request"
            )
    return np.stack([records[:, request.indices].mean(axis=1) for request in requests], axis=1)
