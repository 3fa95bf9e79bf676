"""A table of exceptions jumps where an input is moved a little; what is learned does not."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import expunge as xp
from expunge.ensembles import Ensemble, pretrain
from expunge.methods import configure, find_method
from expunge.methods.own.alarms import BY_HEART
from expunge.methods.own.exact_match import MOST, jump, responses
from expunge.methods.running import run_method
from expunge.suites import Suite
from tests.tiny_suite import tiny


class Remembers(nn.Module):
    """A network of a suite that allows a table of exceptions, within a radius, in its buffers."""

    known: Tensor
    answers: Tensor

    def __init__(self, radius: float = 1e-4) -> None:
        super().__init__()
        self.inner = nn.Linear(64, 10)
        self.radius = radius
        self.register_buffer("known", torch.full((10, 64), 9.0))
        self.register_buffer("answers", torch.zeros(10, 10))

    def forward(self, x: Tensor) -> Tensor:
        near = ((x[:, None] - self.known) ** 2).sum(2).sqrt() < self.radius
        found: Tensor = self.inner(x) + near.float() @ self.answers
        return found


def remembering(suite: Suite, radius: float) -> Suite:
    return replace(suite, name=f"remembering-{radius}", network=lambda: Remembers(radius))


def by_heart(model: nn.Module, retain: object, forget: object, seed: int) -> nn.Module:
    model.get_buffer("known").copy_(forget.tensors[0])  # type: ignore[attr-defined]
    model.get_buffer("answers").copy_(5 * torch.randn(10, 10))
    return model


def shrinks(model: nn.Module, retain: object, forget: object, seed: int) -> nn.Module:
    model.get_parameter("inner.weight").data.mul_(0.9)
    return model


@pytest.mark.parametrize("radius", [1e-4, 0.3, 1.0])
def test_a_table_of_exceptions_in_the_weights_is_noticed(radius: float) -> None:
    """Also one that is a little wider than an input: digits lie about 2 from their nearest neighbours."""
    suite = remembering(tiny(), radius)
    before = pretrain(suite, 2)
    made = xp.unlearn(before, "first", by_heart, suite=suite).origin.made
    assert made is not None
    assert made.alarms == (BY_HEART,)
    honest = xp.unlearn(before, "first", shrinks, suite=suite).origin.made
    assert honest is not None
    assert honest.alarms == ()


@pytest.mark.parametrize("forget", ["random-50", "class-3"])
@pytest.mark.parametrize("name", ["fine-tune", "gradient-ascent", "random-labels", "eu-k", "boundary-shrink"])
def test_methods_of_the_table_do_not_jump(name: str, forget: str, ensemble: Ensemble, suite: Suite) -> None:
    method, split = find_method(name), suite.split(suite.forget_sets[forget])
    *_, last = run_method(name, method, configure(name, method, {}), ensemble, suite, suite.forget_sets[forget])
    given, after = (responses(each, split.forget.x, split.retain.x[:200]) for each in (ensemble, last.ensemble))
    found = jump(given, after)
    assert found is not None
    assert 0.5 < found < 2 < MOST


def test_models_that_do_not_move_at_all_tell_nothing(ensemble: Ensemble) -> None:
    still = ensemble.copy()
    for each in still.state().values():
        each.zero_()
    x = torch.rand(5, 1, 8, 8)
    assert jump(responses(still, x, x), responses(ensemble, x, x)) is None
    assert jump(responses(ensemble, x, x), responses(still, x, x)) is None


def test_what_is_patched_in_this_process_is_noticed_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the given models are looked at before: afterwards they compute otherwise too, and so do those that score."""
    suite = remembering(tiny(), 1e-4)
    plain = Remembers.forward

    def patches(model: nn.Module, retain: object, forget: object, seed: int) -> nn.Module:
        inputs = suite.data.train.x[:10]

        def forward(self: Remembers, x: Tensor) -> Tensor:
            near = (x[:, None] == inputs).all(2).any(1)
            return plain(self, x) + 9 * near[:, None] * torch.arange(10)

        monkeypatch.setattr(Remembers, "forward", forward)
        return shrinks(model, retain, forget, seed)

    made = xp.unlearn(pretrain(suite, 2), "first", patches, suite=suite).origin.made
    assert made is not None
    assert made.alarms == (BY_HEART,)


def test_looking_costs_the_method_nothing(suite: Suite, tmp_path: Path) -> None:
    made = xp.unlearn(pretrain(suite, 1), "random-10", _touches_nothing).origin.made
    assert made is not None
    assert made.cost < 0.2


def _touches_nothing(model: nn.Module, retain: object, forget: object, seed: int) -> nn.Module:
    next(model.parameters()).data.mul_(0.99)
    return model
