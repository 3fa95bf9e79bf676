"""The law that every setting of every method changes what comes out: none is read and then forgotten."""

import dataclasses
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor

from expunge.ensembles.seeds import Generators
from expunge.methods import METHODS
from expunge.suites import Examples, Recipe, Split
from tests.ensembles.plain import CLASSES, convolutional, ensemble_of, random_examples
from tests.methods.cases import ALONE, CASES

SETTINGS = [
    (name, each.name)
    for name in ALONE
    for each in dataclasses.fields(METHODS[name].config)
    if each.name not in CASES[name].claimed | CASES[name].allowed
]


@cache
def outcome(name: str, settings: tuple[tuple[str, object], ...] = ()) -> Tensor:
    """All numbers of two models of a small network after ``name``, 150 examples to keep and 40 to forget."""
    torch.manual_seed(0)
    data = random_examples(190, torch.float32)
    retain, forget = Examples(data.x[:150], data.y[:150]), Examples(data.x[150:], data.y[150:])
    split = Split(retain, forget, CLASSES, Recipe(epochs=2, batch_size=32, lr=0.05), convolutional)
    ensemble, method = ensemble_of([convolutional() for _ in range(2)]), METHODS[name]
    ensemble.sample_shape = tuple(data.x.shape[1:])
    assert method.unlearn
    *_, after = method.unlearn(ensemble, split, method.config(**dict(settings)), Generators([0, 1]))
    return torch.cat([each.double().flatten() for each in after.state().values()])


def other(name: str, key: str, value: Any) -> object:
    """Another value that is allowed."""
    if key == "schedule":
        return "cosine"
    if key in CASES[name].words:
        return CASES[name].words[key]
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value // 2 if key.endswith("batch_size") and value > 1 else value + 1
    return value / 2 or 0.5


@pytest.mark.parametrize(("name", "key"), SETTINGS)
@pytest.mark.filterwarnings("ignore:There is a performance drop")
def test_every_setting_changes_what_comes_out(name: str, key: str) -> None:
    beside = CASES[name].beside.get(key, {})
    if key == "schedule":  # of a single step there is none
        beside = {"epochs": 2}
    config = METHODS[name].config(**beside)
    changed = {**beside, key: other(name, key, getattr(config, key))}
    plain, found = outcome(name, tuple(beside.items())), outcome(name, tuple(changed.items()))
    assert plain.isfinite().all()
    assert not torch.equal(plain, found)
