"""Planted records are trained on where they were planted, hide what they should, and leave when asked to."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from expunge.attacks.gradient_alignment import aligned, misalignment
from expunge.attacks.hidden_poison import ATTACK, HiddenPoison, play
from expunge.attacks.lab.arms import ATTACK as ATTACKED
from expunge.attacks.lab.arms import HONEST, NO_REQUEST
from expunge.attacks.lab.frame import require_attack
from expunge.attacks.lab.owners import Range
from expunge.attacks.lab.provider import Provider
from expunge.attacks.operators import weighted_gradient
from expunge.attacks.planted import Garden, Planting
from expunge.attacks.preconditioned import CAMOUFLAGE_ONLY, drawn_of_class, planting_of
from expunge.attacks.removal import Attacked
from expunge.ensembles import Ensemble, Origin
from expunge.errors import BadSetting
from expunge.suites import Examples, Suite
from tests.attacks.small import small

LABELS = HiddenPoison(style="labels", poisons=3, camouflages=3, eps=0.05, models=3)


def provider(suite: Suite, models: int = 3) -> Provider:
    return Provider(suite, Attacked("first-order"), range(models))


def nothing(suite: Suite) -> Planting:
    return Planting(np.arange(0), suite.data.train.take(np.arange(0)))


def planted(suite: Suite) -> Planting:
    """White pictures under the labels of what they replace."""
    rows = np.array([3, 8, 20])
    old = suite.data.train.take(rows)
    return Planting(rows, Examples(torch.ones_like(old.x), old.y))


def test_planted_records_lie_at_their_places_and_all_others_as_they_did() -> None:
    suite, planting = small(), planted(small())
    train = planting.within(suite).data.train
    assert torch.equal(train.x[planting.places], planting.examples.x)
    rest = np.setdiff1d(np.arange(200), planting.places)
    assert torch.equal(train.x[rest], suite.data.train.x[rest])
    assert torch.equal(train.y, suite.data.train.y)


def test_a_request_for_them_is_honest_to_who_trained_on_them_and_to_nobody_else() -> None:
    suite, planting = small(), planted(small())
    request = planting.request(suite, np.array([20, 3]), "attacker")
    assert request.indices.tolist() == [3, 20]
    assert request.honest(planting.within(suite).data).all()
    assert not request.honest(suite.data).any()


def test_a_victim_of_which_nothing_was_planted_trains_on_the_suite() -> None:
    """Side by side with one of which something was, it is what it is alone; the other is another."""
    suite = small()
    clean = Garden(provider(suite, 2), [nothing(suite), nothing(suite)]).trained().state()
    mixed = Garden(provider(suite, 2), [nothing(suite), planted(suite)]).trained().state()
    for key in clean:
        assert torch.allclose(clean[key][0], mixed[key][0], atol=1e-6)
    assert any(not torch.allclose(clean[key][1], mixed[key][1], atol=1e-3) for key in clean)


def test_a_victim_trained_without_what_was_planted_does_not_see_it() -> None:
    suite = small()
    bare, full = nothing(suite), planted(suite)
    gone = [full.places, full.places]
    without = Garden(provider(suite, 2), [full, full]).trained(gone).state()
    for key, value in Garden(provider(suite, 2), [bare, bare]).trained(gone).state().items():
        assert torch.equal(value, without[key])


def test_groups_of_a_class_share_no_record() -> None:
    suite = small()
    one, two = drawn_of_class(suite, 3, [4, 5], np.random.default_rng(0))
    assert not set(one) & set(two)
    assert {int(label) for label in suite.data.train.y[np.concatenate([one, two])]} == {3}


def test_groups_are_planted_in_the_order_of_their_places() -> None:
    train = small().data.train
    found = planting_of((np.array([9, 12]), train.take(np.array([1, 2]))), (np.array([4]), train.take(np.array([3]))))
    assert found.places.tolist() == [4, 9, 12]
    assert torch.equal(found.examples.x, train.x[[3, 1, 2]])
    assert torch.equal(found.only(np.array([9])).examples.x, train.x[[1]])


def test_misalignment_by_hand() -> None:
    one = torch.tensor([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]])
    other = torch.tensor([[2.0, 0.0], [0.0, 3.0], [-1.0, 0.0]])
    assert torch.allclose(misalignment(one, other), torch.tensor([0.0, 1.0, 2.0]))


def test_matched_points_train_more_like_the_target_within_their_bound() -> None:
    networks = [nn.Sequential(nn.Flatten(), nn.Linear(9, 3)) for _ in range(2)]
    models = Ensemble.stack(networks, Origin("test", "0", "pretrained", None, (0, 1)), (1, 3, 3)).eval()
    generator = torch.Generator().manual_seed(0)
    base, target = (torch.rand(2, n, 1, 3, 3, generator=generator) for n in (4, 1))
    labels, wanted = torch.zeros(2, 4, dtype=torch.int64), torch.zeros(2, 1, dtype=torch.int64)
    within = Range(torch.zeros(1, 1, 1), torch.ones(1, 1, 1))
    moved = aligned(models, base, labels, target, wanted, within, eps=0.3, steps=20)
    direction = weighted_gradient(models, target, wanted, torch.ones(2, 1)).detach()
    before, after = (
        misalignment(weighted_gradient(models, x, labels, torch.ones(2, 4)).detach(), direction) for x in (base, moved)
    )
    assert (after < before).all()
    assert ((moved - base).abs() <= 0.3 + 1e-6).all()
    assert ((moved >= 0) & (moved <= 1)).all()


def test_copies_of_the_target_carry_it_off_once_those_that_hide_them_are_asked_for() -> None:
    found = play(provider(small()), replace(LABELS, poisons=6, camouflages=6))
    assert found.arms[ATTACKED].success.tolist() == [1, 1, 1]  # type: ignore[union-attr]
    assert found.arms[NO_REQUEST].success.tolist() == [0, 0, 0]  # type: ignore[union-attr]
    for name in (ATTACKED, NO_REQUEST, HONEST):
        assert found.arms[name].more[CAMOUFLAGE_ONLY].tolist() == [0, 0, 0]


def test_what_is_asked_for_has_the_label_of_the_target_and_lies_in_the_training_data() -> None:
    found = play(provider(small()), LABELS)
    for request in found.requests:
        assert len(request) == 3
        assert len(request.examples.y.unique()) == 1
        assert (small().data.train.y[request.indices] == request.examples.y).all()
        assert not request.honest(small().data).any()


REFUSED: dict[str, tuple[dict[str, object], str]] = {
    "no poison": ({"poisons": 0}, "at least 1 poison and 1 camouflage, got 0 and 3"),
    "no camouflage": ({"camouflages": 0}, "give --set poisons=N --set camouflages=N"),
    "more than a class has": ({"camouflages": 50}, "the smallest class has .* give --set poisons="),
    "too much noise": ({"eps": 1.5}, "give --set eps=0.0627"),
    "a method with a log": ({"methods": (Attacked("amnesiac"),)}, "begins with what was kept of trainings"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_is_refused(case: str) -> None:
    changed, message = REFUSED[case]
    with pytest.raises(BadSetting, match=message):
        require_attack(ATTACK, small(), replace(LABELS, **changed))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changed", "message"), [({"style": "label"}, "style must be one of"), ({"steps": 0}, "at least 1 step")]
)
def test_wrong_settings_are_refused(changed: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(LABELS, **changed)  # type: ignore[arg-type]


def test_a_planting_has_a_place_for_each_record() -> None:
    with pytest.raises(BadSetting, match="expected a place for each of 3 records, got 2"):
        Planting(np.arange(2), small().data.train.take(np.arange(3)))
