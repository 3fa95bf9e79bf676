"""Amnesiac unlearning: take back the logged updates of all batches that held forget data, then repair."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.plan import Plan
from expunge.ensembles.pretraining import read_weights
from expunge.ensembles.seeds import Generators
from expunge.ensembles.stored_margins import require_built
from expunge.ensembles.update_log import TRAINED, UPDATES
from expunge.methods.method import Method, Preparation
from expunge.methods.needs import LOG, RETAIN_DATA
from expunge.methods.parts.walks import Walk, descend, passes, require, training_loss
from expunge.methods.spaces import Between, Published
from expunge.suites.suite import ForgetSet, Split, Suite


@dataclass(frozen=True, kw_only=True)
class Amnesiac(Walk):
    """``w - sum_{t: batch t meets forget} (w_t - w_{t-1})``, then ``epochs`` of minimising CE on retain; 0 for none.

    ``w_t`` are the parameters after step t of the training, ``w`` the last; momentum, weight decay and all that a step
    did is in its update. This is not the training without the points: later updates were computed from weights that
    the points had moved. It would be, were updates independent of the weights: a loss linear in them, plain SGD
    without momentum or decay, the same learning rate at each step. It starts from models of its own, made by
    ``expunge build SUITE --for amnesiac --forget-set SET``: the pretrained ones, trained once more with a log.
    Graves et al. 2021, arXiv:2010.10981.
    """

    epochs: int = 2
    lr: float = 0.1

    def __post_init__(self) -> None:
        require(self.epochs >= 0, "epochs must be at least 0", self.epochs)
        require(self.lr > 0, "lr must be above 0", self.lr)
        require(0 <= self.momentum < 1, "momentum must lie in [0, 1)", self.momentum)
        require(self.batch_size >= 1, "batch_size must be at least 1", self.batch_size)


@dataclass(frozen=True, eq=False)
class Logged:
    """The weights of logged models, and of each parameter the sum of the updates in which forget had a part."""

    trained: Mapping[str, Tensor]
    updates: Mapping[str, Tensor]


def amnesiac(ensemble: Ensemble, split: Split, cfg: Amnesiac, rng: Generators) -> Iterator[Ensemble]:
    """Yield the models after each epoch of repair; ``split.extra`` has their log as :class:`Logged`."""
    log: Logged = split.extra
    state = {key: value - log.updates[key] if key in log.updates else value for key, value in log.trained.items()}
    removed = Ensemble.from_state(ensemble.network, state, ensemble.origin, ensemble.sample_shape)
    removed = removed.to(ensemble.device).eval()
    removed.meter = ensemble.meter
    if not cfg.epochs:
        yield removed
    yield from descend(removed, cfg, passes(training_loss(split), split.retain, cfg, rng))


def plan_of(suite: Suite, forget: ForgetSet, cfg: Amnesiac) -> Plan:
    """The logged models; a log serves one forget set."""
    return Plan(suite, "logged", forget)


def load_log(suite: Suite, forget: ForgetSet, models: Sequence[int], cfg: Amnesiac) -> Logged:
    """The weights and the log of these models."""
    plan = plan_of(suite, forget, cfg)
    require_built(plan, models, "amnesiac")
    state = read_weights(plan, models)
    trained, updates = (
        {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
        for prefix in (TRAINED, UPDATES)
    )
    return Logged(trained, updates)


METHOD = Method(
    unlearn=amnesiac,
    config=Amnesiac,
    summary="take back the logged updates of the batches that held forget data, then repair on the rest",
    cite=("graves2021",),
    needs=(RETAIN_DATA, LOG),
    search={
        "lr": Between(1e-4, 1.0, log=True),
        "epochs": Between(0, 16, whole=True),
    },
    published=(
        Published(
            "the authors' notebooks, a class of MNIST and of CIFAR-100: 10 epochs, Adam at its default rate",
            {"epochs": 10, "lr": 1e-3},
        ),
    ),
    prepare=Preparation(load_log, plan=plan_of),
    deviations="The authors' notebook logs the updates of batches that hold the sensitive class; here the sum over the "
    "batches that met the forget set is kept, which is all that is subtracted. Running statistics of BatchNorm are no "
    "updates and stay. With few examples or a large forget set nearly every batch is met, and the model falls back to "
    "its first weights.",
)
