"""RUM: the forget set is refined by memorisation into three parts, each unlearned in turn by a method of its own."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.seeds import Generators
from expunge.ensembles.stored_margins import read_subsets
from expunge.errors import MethodFailed
from expunge.methods.method import Method, Preparation
from expunge.methods.needs import CLASSES, FORGET_DATA, HALVES, RETAIN_DATA
from expunge.methods.parts.examples import joined
from expunge.methods.parts.subsets import require_subsets
from expunge.methods.parts.walks import require
from expunge.methods.spaces import OneOf, Published
from expunge.records import Setting
from expunge.suites.forget_sets import memorisation
from expunge.suites.suite import Examples, ForgetSet, Split, Suite

NOTHING = "identity"

Parts = Sequence[Int[Tensor, " part"]]  # rows of the forget set: least memorised, medium, most memorised


@dataclass(frozen=True, kw_only=True)
class Rum:
    """The forget set in three equal parts of low, medium and high memorisation, unlearned in this order.

    ``low``, ``medium`` and ``high`` name the method of each part, with its own default settings; ``identity`` does
    nothing. Epochs and rates of the last two that are not 0 take the place of the method's own, where it has them.
    While a part is unlearned, those whose turn comes later count as retained. Memorisation of an example is what its
    own margin gains from its having been trained on, by the models trained on halves. Zhao et al. 2024,
    arXiv:2406.01257.
    """

    low: str = NOTHING
    medium: str = "fine-tune"
    high: str = "salun"
    medium_epochs: int = 0
    medium_lr: float = 0.0
    high_epochs: int = 0
    high_lr: float = 0.0

    def __post_init__(self) -> None:
        epochs, rates = (self.medium_epochs, self.high_epochs), (self.medium_lr, self.high_lr)
        require(min(epochs) >= 0, "epochs must be at least 1, or 0 for the method's own", epochs)
        require(min(rates) >= 0, "lr must be above 0, or 0 for the method's own", rates)
        for part, name in self.named.items():
            known = name == NOTHING or _can_be_inner(name)
            require(known, f"{part} must name a method that needs nothing out of a store, or {NOTHING}", name)
        require(set(self.named.values()) != {NOTHING}, f"one part at least must not be {NOTHING}", self.named)

    @property
    def named(self) -> dict[str, str]:
        return {"low": self.low, "medium": self.medium, "high": self.high}

    def settings(self, part: str) -> dict[str, Setting]:
        """What is not left to the method of a part: its epochs and rate."""
        wanted = {key: getattr(self, f"{part}_{key}", 0) for key in ("epochs", "lr")}
        return {key: value for key, value in wanted.items() if value}


def rum(ensemble: Ensemble, split: Split, cfg: Rum, rng: Generators) -> Iterator[Ensemble]:
    """Yield the ensemble after the last part; ``split.extra`` has the rows of the parts."""
    parts = [_take(split.forget, rows.to(split.forget.y.device)) for rows in split.extra]
    if not any(len(part) for part, name in zip(parts, cfg.named.values(), strict=True) if name != NOTHING):
        raise MethodFailed(f"{len(split.forget)} examples make no part that is not left to {NOTHING}")
    student = ensemble.copy().eval()
    for turn, (part, (which, name)) in enumerate(zip(parts, cfg.named.items(), strict=True)):
        if name != NOTHING and len(part):
            retain = joined([split.retain, *parts[turn + 1 :]])
            asked = replace(split, retain=retain, forget=part, extra=None)
            student = _unlearned(student, asked, name, rng, cfg.settings(which))
    yield student


def _unlearned(
    student: Ensemble, split: Split, name: str, rng: Generators, settings: Mapping[str, Setting] = MappingProxyType({})
) -> Ensemble:
    """What the method ``name`` yields last, with those of the ``settings`` that it has."""
    from expunge.methods import METHODS  # the table has this method too

    method = METHODS[name]
    assert method.unlearn
    own = {field.name for field in fields(method.config)}
    config = method.config(**{key: value for key, value in settings.items() if key in own})
    *_, last = method.unlearn(student, split, config, rng)
    last.obey(student.masks)
    return last


def _can_be_inner(name: str) -> bool:
    from expunge.methods import METHODS

    method = METHODS.get(name)
    return method is not None and method.unlearn is not None and method.prepare is None and not method.from_scratch


def _take(examples: Examples, rows: Int[Tensor, " part"]) -> Examples:
    return Examples(examples.x[rows], examples.y[rows])


def refined(suite: Suite, forget: ForgetSet, models: Sequence[int], cfg: Any) -> Parts:
    """Rows of the forget set in three equal parts by memorisation, the first the least memorised; the same for all."""
    margins, masks = read_subsets(suite)
    own = memorisation(np.asarray(margins[:, forget.indices]), masks[:, forget.indices])
    return [torch.from_numpy(np.sort(part)) for part in np.array_split(np.argsort(own, kind="stable"), 3)]


METHOD = Method(
    unlearn=rum,
    config=Rum,
    summary="refine the forget set by memorisation, and unlearn each part in turn with a method of its own",
    cite=("zhao2024", "feldman2020"),
    needs=(FORGET_DATA, RETAIN_DATA, HALVES, CLASSES),
    search={
        "medium": OneOf((NOTHING, "fine-tune", "random-labels")),
        "medium_epochs": OneOf((0, 1, 2, 3, 5, 10)),
        "medium_lr": OneOf((0.0, 1e-3, 3e-3, 0.01, 0.03, 0.1, 0.3)),
        "high": OneOf(("salun", "random-labels", "boundary-shrink", "delete")),
        "high_epochs": OneOf((0, 1, 2, 3, 5, 10)),
        "high_lr": OneOf((0.0, 1e-4, 3e-4, 1e-3, 3e-3, 0.01, 0.03, 0.1)),
    },
    published=(
        Published(
            "the authors' code, 3,000 examples of CIFAR-10 of low, medium and high memorisation",
            {
                "low": NOTHING,
                "medium": "fine-tune",
                "medium_epochs": 10,
                "medium_lr": 0.1,
                "high": "salun",
                "high_epochs": 5,
                "high_lr": 0.1,
            },
        ),
    ),
    prepare=Preparation(refined, require_subsets),
    deviations="The authors' forget set is 3,000 examples chosen for being memorised little, half or much, and "
    "memorisation is of correctness; here the parts are thirds of any forget set, and it is of margins. What is not "
    "epochs or rate of a part's method is at its default. The models trained on halves serve all requests and are not "
    "in the cost.",
)
