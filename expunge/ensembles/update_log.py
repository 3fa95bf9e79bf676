"""A log of training, for amnesiac unlearning: the updates that examples to be forgotten had a part in."""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Int
from numpy import ndarray
from torch import Tensor

from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.plan import Plan, new_networks
from expunge.ensembles.seeds import Generators, seed_of
from expunge.ensembles.train import train

TRAINED, UPDATES = "trained.", "updates."  # what the names of kept tensors begin with


class UpdateLog:
    """The sum, for each model, of the updates of its parameters by batches that hold an example of a forget set.

    A sum for each forget set is kept rather than every batch's update: that is what is subtracted, and it is as large
    as the model, where the whole log is as large as the model times the steps of its training.
    """

    def __init__(self, ensemble: Ensemble, forgotten: Bool[Tensor, " train"]) -> None:
        self._parameters = dict(ensemble.network.named_parameters())
        self._forgotten = forgotten.to(ensemble.device)
        self._before: dict[str, Tensor] = {}
        self._concerned = torch.zeros(len(ensemble), dtype=torch.bool, device=ensemble.device)
        self.sums = {key: torch.zeros_like(tensor) for key, tensor in self._parameters.items()}

    def before(self, rows: Int[Tensor, "models batch"]) -> None:
        """Take note of the parameters before a step on the examples at ``rows``."""
        self._concerned = self._forgotten[rows].any(1)
        self._before = {key: tensor.detach().clone() for key, tensor in self._parameters.items()}

    @torch.no_grad()
    def after(self) -> None:
        """Add what the step has changed, for those models whose batch held an example to be forgotten."""
        for key, tensor in self._parameters.items():
            concerned = self._concerned.view(-1, *[1] * (tensor.ndim - 1))
            self.sums[key] += torch.where(concerned, tensor - self._before[key], 0)


def train_logged(
    plan: Plan, models: Sequence[int], device: torch.device
) -> tuple[Ensemble, dict[str, ndarray], dict[str, Tensor]]:
    """Train the pretrained models of these numbers once more and keep, beside their weights, the log for a forget set.

    Chance is that of the pretrained models: on one kind of machine they have the same bytes.
    """
    suite = plan.suite
    assert plan.forget is not None
    names, n = (suite.digest, "pretrained", ""), suite.data.sizes[0]
    networks = new_networks(suite.network, [seed_of(*names, model, "weights") for model in models])
    ensemble = Ensemble.stack(networks, plan.origin(models), suite.data.train.x.shape[1:]).to(device)
    forgotten = torch.zeros(n, dtype=torch.bool)
    forgotten[torch.as_tensor(plan.forget.indices)] = True
    log = UpdateLog(ensemble, forgotten)
    order = Generators([seed_of(*names, model, "order") for model in models], device)
    rows = torch.arange(n).expand(len(models), -1)
    train(ensemble, suite.data.train, rows, suite.recipe, order, log=log, target=suite.target)
    state = {TRAINED + key: tensor for key, tensor in ensemble.state().items()}
    return ensemble, {}, state | {UPDATES + key: tensor for key, tensor in log.sums.items()}
