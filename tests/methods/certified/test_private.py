"""DP-SGD: gradients clipped example by example, batches drawn by chance, noise that a group of examples asks for."""

import dataclasses

import numpy as np
import pytest
import torch

from expunge.ensembles import Ensemble
from expunge.ensembles.seeds import Generators
from expunge.errors import BadSetting
from expunge.methods.certified import claimed, trained, updated
from expunge.methods.parts.per_sample import flat_weights, per_sample_gradients
from expunge.methods.parts.private_descent import PrivateDescent
from expunge.methods.parts.walks import recipe_loss
from expunge.methods.zoo.dp_sgd import DpSgd
from expunge.suites import Split, Suite, load_suite
from tests.ensembles.plain import ensemble_of

QUIET = PrivateDescent(steps=1, lr=1.0, clip=0.5, rate=1.0, multiplier=0.0, counted=100)


def tabular() -> tuple[Suite, Split, Ensemble]:
    suite = load_suite("tabular")
    suite = dataclasses.replace(suite, recipe=dataclasses.replace(suite.recipe, weight_decay=0.0))
    torch.manual_seed(0)
    ensemble = ensemble_of([suite.network() for _ in range(3)])
    ensemble.sample_shape = (30,)
    return suite, suite.split(suite.forget_sets["random-10"]), ensemble


def stepped(descent: PrivateDescent, split: Split, ensemble: Ensemble, seed: int = 0) -> torch.Tensor:
    """How far one step goes."""
    after = descent.train(ensemble.copy(), split, Generators(range(seed, seed + len(ensemble))))
    return flat_weights(after).double() - flat_weights(ensemble).double()


def test_a_step_is_the_sum_of_clipped_gradients_over_the_number_that_is_told() -> None:
    _, split, ensemble = tabular()
    each = torch.cat(list(per_sample_gradients(ensemble, split.retain, loss=recipe_loss(split))), dim=1).double()
    norms = each.norm(dim=2, keepdim=True)
    assert (norms > 0.5).any()
    assert (norms < 0.5).any()
    total = (each * (0.5 / norms).clamp_max(1)).sum(1)
    torch.testing.assert_close(stepped(QUIET, split, ensemble), -total / 100, rtol=1e-4, atol=1e-6)


def test_no_example_moves_a_step_by_more_than_its_clip() -> None:
    """Of models with and without it, whatever it is: the bound that the noise stands on."""
    _, split, ensemble = tabular()
    huge = dataclasses.replace(split.retain, x=split.retain.x.clone())
    huge.x[7] *= 1e4
    fewer = [row for row in range(len(huge)) if row != 7]
    whole, without = (dataclasses.replace(split, retain=each) for each in (huge, huge.take(np.array(fewer))))
    apart = stepped(QUIET, whole, ensemble) - stepped(QUIET, without, ensemble)
    assert (apart.norm(dim=1) <= 0.5 / 100 * (1 + 1e-3)).all()
    assert apart.norm(dim=1).max() > 0.4 / 100


def test_an_example_is_in_a_batch_by_chance_by_itself_and_the_mean_step_is_that_of_all() -> None:
    _, split, ensemble = tabular()
    sampled = dataclasses.replace(QUIET, rate=0.25)
    steps = torch.stack([stepped(sampled, split, ensemble, seed) for seed in range(0, 600, 3)])
    whole = stepped(QUIET, split, ensemble)
    each = torch.cat(list(per_sample_gradients(ensemble, split.retain, loss=recipe_loss(split))), dim=1).double()
    clipped = each * (0.5 / each.norm(dim=2, keepdim=True)).clamp_max(1)
    spread = clipped.square().sum(1) * (1 - 0.25) / 0.25 / 100**2  # of independent draws
    assert ((steps.mean(0) - whole).abs() < 5 * (spread / 200).sqrt() + 1e-6).all()
    assert abs(float((steps.var(0) / spread).mean()) - 1) < 0.15


def test_noise_has_the_scale_of_the_multiplier_and_is_each_models_own() -> None:
    _, split, ensemble = tabular()
    loud = dataclasses.replace(QUIET, multiplier=50.0)
    noise = torch.stack([stepped(loud, split, ensemble, seed) for seed in range(0, 60, 3)])
    noise = (noise - stepped(QUIET, split, ensemble)) * 100 / 0.5
    assert abs(float(noise.std()) / 50 - 1) < 4 / (2 * noise.numel()) ** 0.5
    assert torch.corrcoef(noise.transpose(0, 1).flatten(1)).fill_diagonal_(0).abs().max() < 0.15


def test_nothing_is_unlearned_and_training_needs_to_know_how_many_will_go() -> None:
    suite = load_suite("tabular")
    rows, split = np.arange(suite.data.sizes[0]), suite.split(suite.forget_sets["random-10"])
    with pytest.raises(BadSetting, match="expected removed, how many examples"):
        trained("dp-sgd", suite, rows, [0], DpSgd())
    cfg = DpSgd(removed=10, passes=3)
    models = trained("dp-sgd", suite, rows, [0, 1], cfg)
    assert torch.equal(flat_weights(updated("dp-sgd", models, split, cfg)), flat_weights(models))
    with pytest.raises(BadSetting, match="at most removed = 9 examples, got 10"):
        claimed("dp-sgd", models, split, dataclasses.replace(cfg, removed=9))


def test_more_examples_to_hide_take_more_noise() -> None:
    suite = load_suite("tabular")
    split = suite.split(suite.forget_sets["random-10"])
    torch.manual_seed(0)
    models = ensemble_of([suite.network()])
    sigmas = [claimed("dp-sgd", models, split, DpSgd(removed=removed, passes=4))[0].sigma for removed in (10, 20, 40)]
    assert sigmas[1] == pytest.approx(2 * sigmas[0])
    assert sigmas[2] == pytest.approx(4 * sigmas[0])  # with all examples in each batch exactly so
