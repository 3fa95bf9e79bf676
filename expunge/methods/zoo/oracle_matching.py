"""Oracle matching: fine-tune until the margins are those of models that were retrained. An upper bound, no method."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.plan import Plan
from expunge.ensembles.seeds import Generators
from expunge.ensembles.stored_margins import read_margins
from expunge.errors import BadSetting
from expunge.methods.method import Method, Preparation
from expunge.methods.needs import CLASSES, FORGET_DATA, ORACLES, RETAIN_DATA
from expunge.methods.parts.matching import MATCH_SEARCH, ByExample, Match, chosen, match
from expunge.methods.parts.walks import require
from expunge.methods.spaces import Published
from expunge.suites.suite import ForgetSet, Split, Suite


@dataclass(frozen=True, kw_only=True)
class OracleMatching(Match):
    """Minimise ``mean_x (m(x) - (1/k) sum_j m_j(x))^2`` over forget and a part of retain.

    ``m`` is the student's margin, ``m_j`` that of its j-th of k ``oracles``. They are taken from the held-out half,
    which no score is compared with, other ones for each model while they last. Their training is part of the cost.
    Georgiev et al. 2024, arXiv:2410.23232.
    """

    epochs: int = 10
    lr: float = 1e-3
    retain_multiplier: int = 5
    oracles: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.oracles >= 1, "oracles must be at least 1", self.oracles)


def oracle_matching(ensemble: Ensemble, split: Split, cfg: OracleMatching, rng: Generators) -> Iterator[Ensemble]:
    """Yield the student after each epoch; ``split.extra`` has the oracles' margins as :class:`ByExample`."""
    ensemble.meter.count(cfg.oracles * split.retraining * len(ensemble))
    rows = chosen(split, cfg, rng)
    yield from match(ensemble, split, cfg, rng, rows, target=split.extra.joined(ensemble).gather(1, rows))


def require_oracles(suite: Suite, forget: ForgetSet, cfg: OracleMatching) -> None:
    """Raise StoreError where the held-out oracles are missing."""
    first = suite.models // 2
    if cfg.oracles > suite.models - first:
        raise BadSetting(f"oracle-matching.oracles: expected at most {suite.models - first}, got {cfg.oracles}")
    read_margins(Plan(suite, "oracle", forget), first, suite.models - first)


def held_out_margins(suite: Suite, forget: ForgetSet, models: Sequence[int], cfg: OracleMatching) -> ByExample:
    """For each model the mean margins of its own held-out oracles."""
    require_oracles(suite, forget, cfg)
    first = suite.models // 2
    held = read_margins(Plan(suite, "oracle", forget), first, suite.models - first).values
    own = (np.asarray(models)[:, None] * cfg.oracles + np.arange(cfg.oracles)) % len(held)
    columns = suite.columns(forget)
    means = {name: held[:, columns[name]][own].mean(axis=1) for name in ("forget", "retain")}
    return ByExample(torch.from_numpy(means["forget"]), torch.from_numpy(means["retain"]))


METHOD = Method(
    unlearn=oracle_matching,
    config=OracleMatching,
    summary="upper bound: fine-tune to the margins of retrained models, held-out oracles",
    cite=("georgiev2024",),
    needs=(FORGET_DATA, RETAIN_DATA, ORACLES, CLASSES),
    search=MATCH_SEARCH,
    published=(
        Published(
            "the authors' code, CIFAR-10",
            {"lr": 0.001, "epochs": 10, "retain_multiplier": 5, "forget_multiplier": 1, "oracles": 1},
        ),
        Published("the authors' code, Living-17", {"lr": 1e-4, "epochs": 2, "retain_multiplier": 20, "oracles": 1}),
    ),
    prepare=Preparation(held_out_margins, require_oracles),
    deviations="The authors' code matches all logits, or the softmax; here the margin is matched, which is what is "
    "kept of an oracle, so that the student's other logits are free. Their examples are drawn once for all models, "
    "here for each model. Their cost leaves out the training of the oracles, here it is counted.",
    ranked=False,
    from_scratch=True,
)
