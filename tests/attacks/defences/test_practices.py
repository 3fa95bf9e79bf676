"""What a provider does otherwise under defences that suspect nobody: where it changes nothing, and what it keeps."""

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor

from expunge.attacks.defences import DEFENCES
from expunge.attacks.defences.labels_alone import tells as labels_alone
from expunge.attacks.defences.output_noise import noisy
from expunge.attacks.defences.postponement import waiting
from expunge.attacks.defences.temperature import tempered
from expunge.attacks.defences.top_k import top_k
from expunge.attacks.defences.update_budget import accumulated
from expunge.attacks.defences.weight_noise import noisy_weights
from expunge.attacks.lab.parts import by_turns, turns_of, union_of
from expunge.attacks.practice import USUAL, Practice, Tell
from expunge.errors import BadSetting, MethodFailed
from expunge.suites import Request
from tests.attacks.defences.scenes import blobs, hidden, request_of, scene_of, stacked

MODELS, EXAMPLES, CLASSES = [3, 8], 50, 10
TELLS: dict[str, Tell] = {
    name: row.practice.tells for name, row in DEFENCES.items() if row.practice and row.practice.tells
}
NOTHING: dict[str, Callable[[Tensor], Tensor]] = {
    "a temperature of 1": lambda posteriors: tempered(posteriors, 1.0),
    "as many as there are classes": lambda posteriors: top_k(posteriors, CLASSES),
    "more than there are classes": lambda posteriors: top_k(posteriors, CLASSES + 5),
    "no noise": lambda posteriors: noisy(posteriors, MODELS, 0.0),
}


def logits() -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return 4 * torch.randn(len(MODELS), EXAMPLES, CLASSES, generator=generator, dtype=torch.float64)


def posteriors() -> Tensor:
    return logits().softmax(-1)


@pytest.mark.parametrize("case", NOTHING)
def test_with_nothing_to_coarsen_nothing_changes(case: str) -> None:
    assert NOTHING[case](posteriors()).equal(posteriors())


def test_all_but_one_probability_tell_the_last() -> None:
    torch.testing.assert_close(top_k(posteriors(), CLASSES - 1), posteriors())


@pytest.mark.parametrize("name", TELLS)
def test_what_is_told_are_probabilities_and_less_than_there_was(name: str) -> None:
    told = TELLS[name](posteriors(), MODELS)
    assert told.shape == posteriors().shape
    assert (told >= 0).all()
    torch.testing.assert_close(told.sum(-1), torch.ones(len(MODELS), EXAMPLES, dtype=torch.float64))
    assert not torch.allclose(told, posteriors(), atol=1e-2)


@pytest.mark.parametrize("name", sorted(TELLS.keys() - {"output-noise"}))
def test_the_first_choice_stays(name: str) -> None:
    assert TELLS[name](posteriors(), MODELS).argmax(-1).equal(posteriors().argmax(-1))


def test_labels_alone_are_nothing_but_labels() -> None:
    told = labels_alone(posteriors(), MODELS)
    assert told.unique().tolist() == [0.0, 1.0]
    sharper = (3 * logits()).softmax(-1)
    assert labels_alone(sharper, MODELS).equal(told)


def test_a_temperature_is_that_of_the_logits() -> None:
    torch.testing.assert_close(tempered(posteriors(), 7.0), (logits() / 7).softmax(-1))


def test_the_same_question_gets_the_same_noise_and_another_answer_another() -> None:
    once, again = (noisy(posteriors(), MODELS, 1.0) for _ in range(2))
    assert once.equal(again)
    moved = posteriors().clone()
    moved[:, 0, :2] = moved[:, 0, :2].flip(-1)
    first, second = (
        (told.log() - given.log())[:, 1:] for told, given in ((once, posteriors()), (noisy(moved, MODELS, 1.0), moved))
    )
    assert not torch.allclose(first, second, atol=0.1)


def test_the_noise_of_a_model_does_not_depend_on_who_stands_beside_it() -> None:
    assert noisy(posteriors()[1:], MODELS[1:], 1.0).equal(noisy(posteriors(), MODELS, 1.0)[1:])


def test_noise_has_the_strength_that_it_says() -> None:
    told = noisy(posteriors(), MODELS, 0.5)
    drawn = (told.log() - posteriors().log()).diff(dim=-1)  # of which the scale of probabilities has no part
    assert 0.5 * 2**0.5 * 0.9 < drawn.std().item() < 0.5 * 2**0.5 * 1.1


@pytest.mark.parametrize("name", TELLS)
def test_a_reader_reckons_finite_logits_back_but_of_what_is_no_number(name: str) -> None:
    practice, given = Practice(tells=TELLS[name]), logits()
    given[0, 0, 0] = torch.inf
    told = practice.told(given, MODELS)
    assert told[0, 0].isnan().all()
    assert told.isfinite().sum() == told.numel() - CLASSES
    torch.testing.assert_close(told[1].softmax(-1), TELLS[name](given.softmax(-1), MODELS)[1], atol=1e-12, rtol=1e-9)


def test_the_usual_practice_hands_through() -> None:
    given = logits()
    assert USUAL.told(given, MODELS) is given


def test_no_noise_leaves_the_weights_and_noise_is_a_share_of_them() -> None:
    models = stacked(hidden, blobs().x)
    same, moved = noisy_weights(models, 0.0), noisy_weights(models, 0.1)
    for key, value in models.state().items():
        assert same.state()[key].equal(value)
        change = (moved.state()[key] - value).flatten(1)
        share = change.square().mean(1).sqrt() / value.flatten(1).square().mean(1).sqrt()
        assert ((share > 0.02) & (share < 0.25)).all()
    assert not moved.training


def test_weights_get_noise_of_their_own_and_the_same_weights_the_same() -> None:
    models = stacked(hidden, blobs().x)
    once, again = noisy_weights(models, 0.1), noisy_weights(models, 0.1)
    twice, alone = noisy_weights(once, 0.1), noisy_weights(models.take([1]), 0.1)
    for key, value in models.state().items():
        assert once.state()[key].equal(again.state()[key])
        assert alone.state()[key][0].equal(once.state()[key][1])
        assert not torch.allclose(twice.state()[key] - once.state()[key], once.state()[key] - value, atol=1e-3)


def test_a_postponement_of_one_request_is_none() -> None:
    scene, request = scene_of(blobs()), request_of(blobs(), [5, 2])
    assert waiting(scene.suite, request, 0, 1) == []
    batch, count = Practice(others=partial(waiting, together=1)).batch(scene.suite, request, 0)
    assert batch is request
    assert count == 1


def test_who_waits_asks_for_as_much_and_for_other_records() -> None:
    scene, request = scene_of(blobs()), request_of(blobs(), [2, 5, 7], "ann")
    others = waiting(scene.suite, request, 4, 4)
    assert [len(each) for each in others] == [3, 3, 3]
    batch, count = Practice(others=partial(waiting, together=4)).batch(scene.suite, request, 4)
    assert count == 4
    assert batch.owner == "ann"
    assert len(np.unique(batch.indices)) == 12
    assert np.isin([2, 5, 7], batch.indices).all()
    assert batch.honest(scene.suite.data).all()


def test_somebody_stays_however_many_wait() -> None:
    train = blobs(30)
    others = waiting(scene_of(train).suite, request_of(train, range(9)), 0, 50)
    assert sum(len(each) for each in others) == 18  # 3 of 30 stay


def test_a_correction_is_not_served_with_removals() -> None:
    train = blobs()
    request = Request(train.take(np.arange(2)), np.arange(2), "ann", train.take(np.arange(2)))
    with pytest.raises(MethodFailed, match="a correction and the removals"):
        Practice(others=partial(waiting, together=4)).batch(scene_of(train).suite, request, 0)


def test_requests_that_were_joined_are_told_apart_by_their_turns() -> None:
    asked = [request_of(blobs(), [3, 9]), request_of(blobs(), [1, 4]), request_of(blobs(), [2])]
    union, turns = union_of(asked), turns_of(asked)
    assert union.indices.tolist() == [1, 2, 3, 4, 9]
    assert turns.tolist() == [1, 2, 0, 1, 0]
    assert [part.indices.tolist() for part in by_turns(union, turns)] == [[3, 9], [1, 4], [2]]


def test_norms_add_up_over_an_owner_and_over_all() -> None:
    norms = np.array([[1.0, 2.0, 4.0, 8.0, 16.0], [1.0, 1.0, 1.0, 1.0, 1.0]])
    requests = [request_of(blobs(), [0], owner) for owner in ("ann", "bob", "", "ann", "")]
    assert accumulated(norms, requests, by_owner=True).tolist() == [[1, 2, 4, 9, 16], [1, 1, 1, 2, 1]]
    assert accumulated(norms, requests, by_owner=False).tolist() == [[1, 3, 7, 15, 31], [1, 2, 3, 4, 5]]


@pytest.mark.parametrize("name", ["owner-update-budget", "total-update-budget"])
def test_a_budget_is_of_the_predicted_norms(name: str) -> None:
    scene = scene_of(blobs(), hidden, [request_of(blobs(), rows, "ann") for rows in ([1, 2], [7], [4, 9])])
    norms = DEFENCES["update-norm"].suspicion(scene)
    np.testing.assert_allclose(DEFENCES[name].suspicion(scene), norms.cumsum(1))


@pytest.mark.parametrize("name", [name for name, row in DEFENCES.items() if row.practice])
def test_who_suspects_nobody_is_not_asked_whom_it_suspects(name: str) -> None:
    with pytest.raises(BadSetting, match="suspects nobody"):
        DEFENCES[name].suspicion(scene_of(blobs()))
