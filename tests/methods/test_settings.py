"""The law that every setting of every method changes what comes out: none is read and then forgotten."""

import dataclasses
from functools import cache

import pytest
import torch
from torch import Tensor

from expunge.ensembles.seeds import Generators
from expunge.methods import METHODS
from expunge.suites import Examples, Recipe, Split
from tests.ensembles.plain import CLASSES, convolutional, ensemble_of, random_examples

ALONE = {name: row for name, row in METHODS.items() if row.unlearn and not row.prepare}  # need nothing out of a store
WORDS = {"variant": "official", "solver": "lissa", "layers": "all", "curvature": "gauss-newton", "replacement": "zeros"}
FOUND: dict[str, dict[str, object]] = {
    "dampening": {"alpha": 0.1},
    "retain_examples": {"alpha": 0.1, "retain_examples": 100},
}  # by ssd and its kin
BESIDE: dict[str, dict[str, dict[str, object]]] = {  # settings that count only beside others
    "ascent-descent": {"ascent_epochs": {"epochs": 3}},
    "scrub": {"ascent_epochs": {"epochs": 3}},
    "ssd": {**FOUND, "batch_size": {"alpha": 0.1}},
    "ssd-det": FOUND,
    "lfssd": {**FOUND, "batch_size": {"alpha": 0.1}},
    "lfssd-det": FOUND,
    "assd": {"retain_examples": {"retain_examples": 100}},
    "jit": {"momentum": {"batch_size": 16}},
    "influence": {
        "iterations": {"solver": "cg", "iterations": 2},
        "batch_size": {"solver": "lissa"},
        "scale": {"solver": "lissa"},
        "curvature_examples": {"curvature_examples": 32},
    },
    "fisher-forgetting": {"retain_examples": {"retain_examples": 100}},
    "rni": {"chosen": {"chosen": 0.5}, "noisy": {"chosen": 1.0}},
}
SETTINGS = [(name, each.name) for name, row in ALONE.items() for each in dataclasses.fields(row.config)]


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


def other(key: str, value: object) -> object:
    """Another value that is allowed."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value // 2 if key.endswith("batch_size") and value > 1 else value + 1
    if isinstance(value, float):
        return value / 2 or 0.5
    return WORDS[key]


@pytest.mark.parametrize(("name", "key"), SETTINGS)
@pytest.mark.filterwarnings("ignore:There is a performance drop")
def test_every_setting_changes_what_comes_out(name: str, key: str) -> None:
    beside = BESIDE.get(name, {}).get(key, {})
    config = ALONE[name].config(**beside)
    changed = {**beside, key: other(key, getattr(config, key))}
    plain, found = outcome(name, tuple(beside.items())), outcome(name, tuple(changed.items()))
    assert plain.isfinite().all()
    assert not torch.equal(plain, found)
