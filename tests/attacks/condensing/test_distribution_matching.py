"""The distance between mean embeddings: nothing of a set and itself, and its expectation for two Gaussians."""

from functools import partial

import pytest
import torch
from torch import Tensor, nn

from expunge.attacks.condensing.condense import condense
from expunge.attacks.condensing.distribution_matching import discrepancy
from expunge.attacks.condensing.shared_augmentation import apply_each
from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.origin import Origin
from tests.attacks.condensing.small import RECORDS, config, material, pictures, table


@pytest.mark.parametrize("embedding", ["suite", "convnet", "perceptron", "lenet"])
def test_a_set_is_at_no_distance_from_itself(embedding: str) -> None:
    task = material(pictures(torch.float64), (0, 1), embedding=embedding)
    real = task.batch()
    found = discrepancy(task.embeddings(0), real, task.weights(), real)
    assert found.tolist() == pytest.approx([0, 0], abs=1e-20)


def test_all_records_are_at_no_distance_from_all_records_whatever_augmentation_both_get() -> None:
    """Through the whole loop: of pictures that are the records the objective is 0 for every shared draw."""
    settings = config(images=RECORDS, iterations=8, lr=1e-12, embedding="suite")
    [found] = condense(pictures(torch.float64), settings)
    assert max(found.objective) < 1e-18


def test_two_augmentations_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = iter(range(100))
    # Every second call, that for the synthetic examples, changes nothing: so the draw is shared no more.
    place = "expunge.attacks.condensing.distribution_matching.apply_each"
    monkeypatch.setattr(place, lambda shared, x: x if next(calls) % 2 else apply_each(shared, x))
    [found] = condense(pictures(), config(images=RECORDS, iterations=4, lr=1e-12))
    assert max(found.objective) > 1e-4


def test_two_gaussians_under_a_linear_embedding_are_at_the_distance_of_the_closed_form() -> None:
    """``E = |W (m1 - m2)|^2 + tr(W C1 W') / n1 + tr(W C2 W') / n2``: the means of samples vary about their own."""
    draws, n1, n2, width = 4000, 6, 3, 3
    generator = torch.Generator().manual_seed(0)
    normal = partial(torch.randn, generator=generator, dtype=torch.float64)
    linear = nn.Linear(4, width, bias=False).double()
    linear.weight.data = normal(width, 4)
    root1, root2, m1, m2 = normal(4, 4), normal(4, 4), 0.3 * normal(4), 0.3 * normal(4)
    networks = Ensemble.stack([linear] * draws, Origin("test", "0", "subset", None, tuple(range(draws))), (4,))
    real, synthetic = m1 + normal(draws, 1, n1, 4) @ root1.T, m2 + normal(draws, 1, n2, 4) @ root2.T
    found = discrepancy(networks, real, torch.full((1, n1), 1 / n1, dtype=torch.float64), synthetic)
    weight = linear.weight.detach()
    spread = [(weight @ root @ root.T @ weight.T).trace() / n for root, n in ((root1, n1), (root2, n2))]
    expected = (weight @ (m1 - m2)).square().sum() + sum(spread)
    error = found.std() / draws**0.5
    assert abs(found.mean() - expected) < 4 * error
    assert sum(spread) > 20 * error  # so that a formula without them would be seen


def test_it_falls_under_networks_that_no_step_has_seen() -> None:
    """From noise, with augmentations, to half the distance and less."""
    suite = pictures()
    [found] = condense(suite, config(iterations=60, start="noise", embedding="perceptron", width=16, lr=20.0))
    task = material(suite, (0,), embedding="perceptron", width=16)
    real, weights = task.batch(), task.weights()

    def unseen(x: Tensor) -> float:
        return sum(
            discrepancy(task.embeddings(iteration), real, weights, x.unflatten(0, (3, -1))[None]).item()
            for iteration in range(1000, 1010)
        )

    [start] = condense(suite, config(iterations=0, start="noise"))
    assert unseen(found.examples.x) < 0.5 * unseen(start.examples.x)


def test_a_class_with_fewer_records_weighs_as_much() -> None:
    suite = table()
    task = material(suite, (0,), pixels="free")
    few = task.__class__(suite, task.config, (0,), task.records[8:])
    assert few.batch().shape == (1, 2, RECORDS, 5)
    assert few.weights().sum(1).tolist() == pytest.approx([1, 1])
    means = torch.einsum("scbf,cb->scf", few.batch(), few.weights())[0]
    rows = few.by_class()
    torch.testing.assert_close(means, torch.stack([suite.data.train.x[each].mean(0) for each in rows]))


def test_a_real_batch_is_no_larger_than_asked_for_and_drawn_anew() -> None:
    task = material(pictures(), (0, 1), real_batch=5)
    one, other = task.batch(), task.batch()
    assert one.shape == (2, 3, 5, 1, 8, 8)
    assert not torch.equal(one, other)
    assert not torch.equal(one[0], one[1])
