"""What a provider does otherwise under a defence that suspects nobody: what it tells, whom it serves at once, what it
deploys."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from expunge.attacks.lab.parts import union_of
from expunge.ensembles.ensemble import Ensemble
from expunge.errors import MethodFailed
from expunge.suites.request import Request
from expunge.suites.suite import Suite

Posteriors = Float[Tensor, "models n classes"]
Tell = Callable[[Posteriors, Sequence[int]], Posteriors]  # of the models of these numbers
Others = Callable[[Suite, Request, int], list[Request]]  # of the victim of this number
Deploy = Callable[[Ensemble], Ensemble]

LEAST = torch.finfo(torch.float64).tiny  # in place of a probability of 0, so that whoever reads it has a logarithm


@dataclass(frozen=True)
class Practice:
    """Where a provider leaves the usual way; what is None is done as usual.

    ``tells`` gives what is released in place of posteriors, of every model of the provider, before and after a removal;
    ``others`` whose requests are served at once with one; ``deploys`` what is put in the place of models that a removal
    has left.
    """

    tells: Tell | None = None
    others: Others | None = None
    deploys: Deploy | None = None

    def told(self, logits: Float[Tensor, "models n classes"], models: Sequence[int]) -> Float[Tensor, "models n _c"]:
        """What a reader reckons back from the answers: logarithms of what is told, which are logits; float64 then.

        A probability that is told to be 0 is read as the least positive number. Where a model says nothing finite,
        nothing finite is told.
        """
        if self.tells is None:
            return logits
        posteriors = logits.double().softmax(-1)
        found = self.tells(posteriors, models).clamp_min(LEAST).log()
        return found.masked_fill(~posteriors.isfinite().all(-1, keepdim=True), torch.nan)

    def batch(self, suite: Suite, request: Request, model: int) -> tuple[Request, int]:
        """What is served at once with a request to a victim, as one request, and how many requests that is.

        Raises:
            MethodFailed: the request is for a correction, which no removal can be served with as one.
        """
        if self.others is None or not (others := self.others(suite, request, model)):
            return request, 1
        if request.instead is not None:
            raise MethodFailed("a correction and the removals of others cannot be served as one request")
        return union_of([request, *others]), 1 + len(others)

    def deployed(self, ensemble: Ensemble) -> Ensemble:
        """What is deployed in place of models that a removal has left."""
        return ensemble if self.deploys is None else self.deploys(ensemble).eval()


USUAL = Practice()
