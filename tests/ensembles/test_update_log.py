"""The log of a training: what it sums, and when taking it back is the training without the points."""

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from expunge.ensembles import Ensemble, Origin, Plan, build
from expunge.ensembles.builds import build_logs
from expunge.ensembles.optimizers import Descent
from expunge.ensembles.plan import new_networks
from expunge.ensembles.pretraining import read_weights
from expunge.ensembles.seeds import Generators, seed_of
from expunge.ensembles.train import train
from expunge.ensembles.update_log import UpdateLog
from expunge.store import user_store
from expunge.suites import ForgetSet, Recipe, Suite
from expunge.suites.target import cross_entropy
from tests.ensembles.plain import convolutional, ensemble_of, random_examples

BATCHES = [[0, 1], [2, 3], [4, 5], [6, 7], [1, 4], [3, 6]]
FORGOTTEN = torch.tensor([example in (2, 4) for example in range(8)])


class Everything:
    """Every update, and the examples of its batch."""

    def __init__(self, ensemble: Ensemble) -> None:
        self.parameters = dict(ensemble.network.named_parameters())
        self.steps: list[tuple[Tensor, dict[str, Tensor]]] = []

    def before(self, rows: Tensor) -> None:
        self.steps.append((rows, {key: tensor.detach().clone() for key, tensor in self.parameters.items()}))

    def after(self) -> None:
        rows, start = self.steps.pop()
        self.steps.append((rows, {key: tensor.detach() - start[key] for key, tensor in self.parameters.items()}))


class Both:
    def __init__(self, *logs: UpdateLog | Everything) -> None:
        self.logs = logs

    def before(self, rows: Tensor) -> None:
        for log in self.logs:
            log.before(rows)

    def after(self) -> None:
        for log in self.logs:
            log.after()


def test_it_sums_the_updates_of_each_models_own_batches_with_forgotten_examples() -> None:
    data, forgotten = random_examples(37), torch.zeros(37, dtype=torch.bool)
    forgotten[[3, 20]] = True
    ensemble = ensemble_of([convolutional().double() for _ in range(3)])
    first = {key: tensor.clone() for key, tensor in ensemble.state().items()}
    log, whole = UpdateLog(ensemble, forgotten[None]), Everything(ensemble)
    rows, recipe = torch.arange(37).expand(3, -1), Recipe(epochs=3, batch_size=8, lr=0.1)
    train(ensemble, data, rows, recipe, Generators(range(3)), log=Both(log, whole))
    assert len(whole.steps) == 3 * 5
    for key, (found,) in log.sums.items():
        updates = torch.stack([update[key] for _, update in whole.steps])  # (steps, models, ...)
        torch.testing.assert_close(first[key] + updates.sum(0), ensemble.state()[key], rtol=0, atol=1e-12)
        for model in range(3):
            met = torch.tensor([bool(forgotten[rows[model]].any()) for rows, _ in whole.steps])
            assert 0 < met.sum() < len(met)
            torch.testing.assert_close(found[model], updates[met, model].sum(0), rtol=0, atol=1e-12)


Loss = Callable[[Ensemble, tuple[Tensor, Tensor]], Tensor]


def linear(student: Ensemble, batch: tuple[Tensor, Tensor]) -> Tensor:
    """Minus the sum of the logits of the labels: its gradient does not depend on the weights of a linear network."""
    logits: Tensor = student(batch[0])
    return -logits.gather(-1, batch[1][..., None]).sum((1, 2))


def curved(student: Ensemble, batch: tuple[Tensor, Tensor]) -> Tensor:
    return cross_entropy(student(batch[0]), batch[1])


def walked(loss: Loss, momentum: float, *, skip: bool) -> tuple[Tensor, Tensor]:
    """A walk over BATCHES, at a rate that changes with the step; without the batches that meet FORGOTTEN if ``skip``.

    The weights at its end, and the updates that were logged.
    """
    torch.manual_seed(0)
    x, y = torch.randn(8, 3, dtype=torch.float64), torch.arange(8) % 2
    networks: list[nn.Module] = [nn.Sequential(nn.Linear(3, 2)).double()]
    ensemble = Ensemble.stack(networks, Origin("test", "0", "logged", None, (0,)), (3,))
    optimizer, log = Descent(ensemble, lr=0.1, momentum=momentum), UpdateLog(ensemble, FORGOTTEN[None])
    for step, batch in enumerate(BATCHES):
        rows = torch.tensor([batch])
        if skip and FORGOTTEN[rows].any():
            continue
        optimizer.lr = 0.1 / (1 + step)
        optimizer.zero_grad()
        loss(ensemble, (x[rows], y[rows])).sum().backward()
        log.before(rows)
        optimizer.step()
        log.after()
    return ensemble.state()["0.weight"], log.sums["0.weight"][0]


def amiss(loss: Loss, momentum: float) -> float:
    """How far taking back is from the same training with the batches left out."""
    weights, sums = walked(loss, momentum, skip=False)
    without, nothing = walked(loss, momentum, skip=True)
    assert (nothing == 0).all()
    assert (sums != 0).any()
    return float((weights - sums - without).abs().max())


def test_taking_back_is_skipping_where_updates_do_not_depend_on_the_weights() -> None:
    assert amiss(linear, momentum=0.0) < 1e-14


@pytest.mark.parametrize(("loss", "momentum"), [(linear, 0.9), (curved, 0.0)])
def test_with_momentum_or_a_curved_loss_it_is_not(loss: Loss, momentum: float) -> None:
    assert amiss(loss, momentum) > 1e-5


def test_logged_models_are_the_pretrained_ones(suite: Suite) -> None:
    quick = dataclasses.replace(suite, recipe=dataclasses.replace(suite.recipe, epochs=1), chunk=2, models=2)
    forget = quick.forget_sets["random-50"]
    logged, pretrained = Plan(quick, "logged", forget), Plan(quick, "pretrained")
    mine, theirs = (build(plan, 2).array("margins") for plan in (logged, pretrained))
    np.testing.assert_array_equal(mine, theirs)
    state, plain = read_weights(logged, [0, 1]), read_weights(pretrained, [0, 1])
    assert all(torch.equal(state[f"trained.{key}"], tensor) for key, tensor in plain.items())
    updates = logged_by_hand(quick, forget)
    assert {key for key in state if key.startswith("updates.")} == {f"updates.{key}" for key in updates}
    for key, expected in updates.items():
        torch.testing.assert_close(state[f"updates.{key}"], expected, rtol=0, atol=1e-6)


def logged_by_hand(suite: Suite, forget: ForgetSet) -> dict[str, Tensor]:
    """The sums of the updates that the forget set had a part in, from a log of every step of the same training."""
    names, n = (suite.digest, "pretrained", ""), suite.data.sizes[0]
    networks = new_networks(suite.network, [seed_of(*names, model, "weights") for model in (0, 1)])
    ensemble = Ensemble.stack(networks, Plan(suite, "pretrained").origin([0, 1]), suite.data.train.x.shape[1:])
    order, log = Generators([seed_of(*names, model, "order") for model in (0, 1)]), Everything(ensemble)
    train(ensemble, suite.data.train, torch.arange(n).expand(2, -1), suite.recipe, order, log=log)
    met = [torch.isin(rows, torch.as_tensor(forget.indices)).any(1) for rows, _ in log.steps]
    assert 0 < torch.stack(met).sum() < 2 * len(met)
    return {
        key: torch.stack(
            [
                torch.where(hit.view(2, *[1] * (update[key].ndim - 1)), update[key], 0)
                for hit, (_, update) in zip(met, log.steps, strict=True)
            ]
        ).sum(0)
        for key in log.steps[0][1]
    }


def test_logs_of_several_forget_sets_are_trained_at_once_with_the_bytes_of_each_alone(tiny_suite: Suite) -> None:
    sets = [ForgetSet("low", np.arange(4), "test"), ForgetSet("high", np.arange(150, 190), "test")]
    together = [Plan(tiny_suite, "logged", forget) for forget in sets]
    build_logs(together, range(4))
    found = [read_weights(plan, [0, 3]) for plan in together]
    for plan in together:
        user_store().remove(plan.key)
        build(plan, 4)
    for plan, kept in zip(together, found, strict=True):
        alone = read_weights(plan, [0, 3])
        assert alone.keys() == kept.keys()
        assert all(torch.equal(alone[key], kept[key]) for key in alone)
