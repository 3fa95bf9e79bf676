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
from expunge.suites.suite import ForgetSet

TRAINED, UPDATES = "trained.", "updates."  # what the names of kept tensors begin with


class UpdateLog:
    """For each of several forget sets and each model, the sum of the updates by batches that hold one of its examples.

    Sums are kept rather than every batch's update: they are what is subtracted, and each is as large as the model,
    where the whole log is as large as the model times the steps of its training.
    """

    def __init__(self, ensemble: Ensemble, forgotten: Bool[Tensor, "sets train"]) -> None:
        self._parameters = dict(ensemble.network.named_parameters())
        self._forgotten = forgotten.to(ensemble.device)
        self._before: dict[str, Tensor] = {}
        self._concerned = torch.zeros(len(forgotten), len(ensemble), dtype=torch.bool, device=ensemble.device)
        self.sums = {key: tensor.new_zeros(len(forgotten), *tensor.shape) for key, tensor in self._parameters.items()}

    def before(self, rows: Int[Tensor, "models batch"]) -> None:
        """Take note of the parameters before a step on the examples at ``rows``."""
        self._concerned = self._forgotten[:, rows].any(2)  # (sets, models)
        self._before = {key: tensor.detach().clone() for key, tensor in self._parameters.items()}

    @torch.no_grad()
    def after(self) -> None:
        """Add what the step has changed, where the batch held an example to be forgotten."""
        for key, tensor in self._parameters.items():
            change = tensor - self._before[key]
            for concerned, total in zip(self._concerned, self.sums[key], strict=True):
                total[concerned] += change[concerned]


def train_logged(
    plan: Plan, models: Sequence[int], device: torch.device
) -> tuple[Ensemble, dict[str, ndarray], dict[str, Tensor]]:
    """Train the pretrained models of these numbers once more and keep, beside their weights, the log for a forget set.

    Chance is that of the pretrained models: on one kind of machine they have the same bytes.
    """
    assert plan.forget is not None
    ensemble, log = logged_training(plan, [plan.forget], models, device)
    return ensemble, {}, logged_state(ensemble, log, 0)


def logged_training(
    plan: Plan, forget_sets: Sequence[ForgetSet], models: Sequence[int], device: torch.device
) -> tuple[Ensemble, UpdateLog]:
    """The pretrained models of these numbers, trained once more, with one log for all of these forget sets."""
    suite = plan.suite
    names, n = (suite.digest, "pretrained", ""), suite.data.sizes[0]
    networks = new_networks(suite.network, [seed_of(*names, model, "weights") for model in models])
    ensemble = Ensemble.stack(networks, plan.origin(models), suite.data.train.x.shape[1:]).to(device)
    forgotten = torch.zeros(len(forget_sets), n, dtype=torch.bool)
    for row, forget in enumerate(forget_sets):
        forgotten[row, torch.as_tensor(forget.indices)] = True
    log = UpdateLog(ensemble, forgotten)
    order = Generators([seed_of(*names, model, "order") for model in models], device)
    rows = torch.arange(n).expand(len(models), -1)
    return train(ensemble, suite.data.train, rows, suite.recipe, order, log=log, target=suite.target), log


def logged_state(ensemble: Ensemble, log: UpdateLog, row: int) -> dict[str, Tensor]:
    """What is kept of logged models for the forget set at ``row`` of their log."""
    state = {TRAINED + key: tensor for key, tensor in ensemble.state().items()}
    return state | {UPDATES + key: total[row] for key, total in log.sums.items()}
