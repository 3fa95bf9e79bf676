"""Certified descent: constants that inputs prove, steps that shrink the way, training that is remembered or kept."""

from dataclasses import replace
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
import torch

from expunge.certificates.theorems.descent import contraction, start_radius
from expunge.ensembles import Ensemble
from expunge.ensembles.seeds import Generators
from expunge.errors import BadConstant, BadSetting, NotConverged
from expunge.methods.certified import claimed, guarantee_of, kept_alone, settled, trained, updated
from expunge.methods.parts.ball import weight_norms
from expunge.methods.parts.full_batch import descend_fully, retained_gradient
from expunge.methods.parts.kept import Kept
from expunge.methods.parts.loss_constants import shown
from expunge.methods.parts.noisy_steps import add_noise, clipped, move
from expunge.methods.parts.objective import decay_of, objective_hessian, whole_matrix
from expunge.methods.parts.per_sample import flat_weights, in_order, per_sample_gradients, with_weights
from expunge.methods.parts.walks import recipe_loss
from expunge.methods.zoo.descent_to_delete import DescentToDelete, rate
from expunge.methods.zoo.langevin_unlearning import LangevinUnlearning
from expunge.methods.zoo.rewind_to_delete import NOT_KEPT, RewindToDelete, computed_back
from expunge.suites import Split, Suite, load_suite

MODELS = range(2)


@cache
def tabular() -> Suite:
    return load_suite("tabular")


def all_rows() -> np.ndarray:
    return np.arange(tabular().data.sizes[0])


def split() -> Split:
    return tabular().split(tabular().forget_sets["random-10"])


@cache
def at_the_minimum() -> Ensemble:
    return trained("descent-to-delete", tabular(), all_rows(), MODELS, DescentToDelete())


def test_what_the_inputs_show_bounds_gradients_and_curvature_wherever_a_model_is() -> None:
    start = at_the_minimum()
    found, parts = shown(start, split()), split()
    assert found is not None
    for scale in (0.0, 1.0, 30.0):
        ensemble = with_weights(start, scale * flat_weights(start))
        for examples in (parts.retain, parts.forget):
            gradients = torch.cat(list(per_sample_gradients(ensemble, examples, loss=recipe_loss(parts))), dim=1)
            assert gradients.norm(dim=2).max() <= found.gradient_norm
        rows = in_order(ensemble, parts.retain)
        product = objective_hessian(ensemble, parts.retain, rows, recipe_loss(parts), decay_of(ensemble, parts))
        values = torch.linalg.eigvalsh(whole_matrix(product, flat_weights(ensemble)).double())
        assert found.convexity * (1 - 1e-3) <= values[:, 0].min()
        assert values[:, -1].max() <= found.smoothness
        assert scale or values[:, -1].max() > found.smoothness / 1.2  # at even odds the bound is nearly met


def test_of_more_than_a_linear_layer_nothing_is_shown(ensemble: Ensemble, suite: Suite) -> None:
    forget = suite.split(suite.forget_sets["random-10"])
    assert shown(ensemble, forget) is None
    cfg = settled("descent-to-delete", ensemble, forget, DescentToDelete())
    assert (cfg.removed, cfg.gradient_norm, cfg.smoothness, cfg.convexity) == (10, 1.0, 1.0, 0.01)
    claim = claimed("descent-to-delete", ensemble, forget, cfg)[0]
    assert {claim.constants[name].standing for name in ("mu", "L", "G")} == {"assumed"}


def test_of_a_linear_model_constants_are_proven_and_wrong_ones_refused() -> None:
    start, parts = at_the_minimum(), split()
    cfg = settled("descent-to-delete", start, parts, DescentToDelete())
    claim = claimed("descent-to-delete", start, parts, cfg)[0]
    assert {each.standing for each in claim.constants.values()} == {"proven"}
    for wrong in ({"smoothness": cfg.smoothness / 2}, {"gradient_norm": 1.0}, {"convexity": 0.02}):
        with pytest.raises(BadConstant, match=f"{next(iter(wrong))}: expected at (least|most)"):
            claimed("descent-to-delete", start, parts, replace(cfg, **wrong))
    with pytest.raises(BadSetting, match="a request of at most removed = 3 examples, got 10"):
        claimed("descent-to-delete", start, parts, replace(cfg, removed=3))


def test_training_ends_at_the_minimum_and_each_step_shrinks_the_way_to_the_next_one_as_proven() -> None:
    start, parts = at_the_minimum(), split()
    cfg = settled("descent-to-delete", start, parts, DescentToDelete(steps=50))
    known = {"mu": cfg.convexity, "L": cfg.smoothness}
    everything = kept_alone(tabular(), all_rows())
    near = start_radius(**known, G=cfg.gradient_norm, n=455, I=50, removed=10)
    assert retained_gradient(start.copy(), everything).norm(dim=1).max() <= cfg.convexity * near
    rest = tabular().retain(tabular().forget_sets["random-10"])
    goal = flat_weights(trained("descent-to-delete", tabular(), rest, MODELS, cfg))
    way = [(flat_weights(start) - goal).norm(dim=1)]
    student = start.copy()
    for _ in range(3):
        descend_fully(student, parts, lr=rate(cfg), steps=50)
        way.append((flat_weights(student) - goal).norm(dim=1))
    for before, after in pairwise(way):
        assert (after <= before * contraction(**known) ** 50 * (1 + 1e-3)).all()
    claim = claimed("descent-to-delete", start, parts, cfg)[0]
    assert claim.shift is not None
    assert (way[1] <= claim.shift).all()


def test_rewinding_all_of_training_is_retraining() -> None:
    cfg = RewindToDelete(steps=8, training_steps=8, lr=0.05)
    models = trained("rewind-to-delete", tabular(), all_rows(), MODELS, cfg)
    assert isinstance(models, Kept)
    student = updated("rewind-to-delete", models, split(), cfg)
    expected = descend_fully(models.rewound(), split(), lr=0.05, steps=8)
    assert torch.equal(flat_weights(student), flat_weights(expected))
    claim = claimed("rewind-to-delete", models, split(), settled("rewind-to-delete", models, split(), cfg))[0]
    assert (claim.sigma, claim.shift) == (0.0, 0.0)


def test_copies_and_parts_know_what_was_kept_and_a_claim_says_where_nothing_was() -> None:
    cfg = RewindToDelete(steps=2, training_steps=4)
    models = trained("rewind-to-delete", tabular(), all_rows(), range(3), cfg)
    assert isinstance(models, Kept)
    part = models.take([2, 0]).copy()
    assert torch.equal(part.kept, models.kept[[2, 0]])
    assert not torch.equal(flat_weights(part), flat_weights(part.rewound()))
    bare = at_the_minimum()
    for ensemble, notes in ((part, ()), (bare, (NOT_KEPT,))):
        cfg = settled("rewind-to-delete", ensemble, split(), cfg)
        assert claimed("rewind-to-delete", ensemble, split(), cfg)[0].notes == notes


def test_steps_that_are_computed_back_come_near_those_that_were_kept_and_fail_where_they_do_not() -> None:
    """In float64: what is left falls with the iterations, as (lr smoothness) to their power."""
    cfg = RewindToDelete(steps=3, training_steps=6, lr=0.1, iterations=12, tolerance=1e-3)
    models = trained("rewind-to-delete", tabular(), all_rows(), MODELS, cfg)
    assert isinstance(models, Kept)
    parts, bare = split(), Ensemble.copy(models)
    assert isinstance(models.copy(), Kept)
    back, _ = computed_back(with_weights(bare, flat_weights(models)), parts, cfg)
    way = (flat_weights(models) - models.kept).norm(dim=1)
    assert ((flat_weights(back) - models.kept).norm(dim=1) < 1e-2 * way).all()
    with pytest.raises(NotConverged, match=r"not computed back, models \[0, 1\].*raise iterations"):
        computed_back(with_weights(bare, flat_weights(models)), parts, replace(cfg, iterations=1))


def test_langevin_states_stay_on_the_ball_and_training_needs_to_know_the_request() -> None:
    cfg = LangevinUnlearning(radius=2.0, training_steps=3, steps=3)
    with pytest.raises(BadSetting, match="expected removed, how many examples a request removes"):
        trained("langevin-unlearning", tabular(), all_rows(), MODELS, cfg)
    cfg = settled("langevin-unlearning", at_the_minimum(), split(), cfg)
    models = trained("langevin-unlearning", tabular(), all_rows(), MODELS, cfg)
    assert (weight_norms(models) <= 2.0).all()
    assert (weight_norms(models) > 1.99).all()  # for the noise is large


def test_training_that_is_remembered_is_false_of_later_requests_and_does_not_matter_of_the_first() -> None:
    guarantee, cfg = guarantee_of("langevin-unlearning"), LangevinUnlearning(training_steps=3, convexity=0.01)
    assert "any number of steps" in guarantee.held(cfg)["converged"]
    assert guarantee.false(cfg) == {}
    later = replace(cfg, requests=2)
    assert "converged" not in guarantee.held(later)
    assert "training of 3 steps still holds 1 of where it began" in guarantee.false(later)["converged"]
    assert guarantee.false(replace(later, training_steps=10**6)) == {}


def test_a_rate_beyond_what_is_proven_is_refused() -> None:
    cfg = settled("langevin-unlearning", at_the_minimum(), split(), LangevinUnlearning(lr=1.0))
    with pytest.raises(BadConstant, match="eta 1 is above 1 / L"):
        claimed("langevin-unlearning", at_the_minimum(), split(), cfg)


def test_gradients_are_clipped_model_by_model() -> None:
    vectors = torch.tensor([[3.0, 4.0], [0.3, 0.4], [0.0, 0.0]])
    expected = torch.tensor([[0.6, 0.8], [0.3, 0.4], [0.0, 0.0]])
    torch.testing.assert_close(clipped(vectors, 1.0), expected)


def test_steps_and_noise_leave_what_is_masked() -> None:
    ensemble = at_the_minimum().copy()
    (name, weight), *_ = ensemble.network.named_parameters()
    mask = torch.ones_like(weight, dtype=torch.bool)
    mask[:, 0] = False
    ensemble.obey({name: mask})
    move(ensemble, torch.ones_like(flat_weights(ensemble)))
    add_noise(ensemble, 3.0, Generators(MODELS))
    assert not ensemble.state()[name][~mask].any()
    assert ensemble.state()[name][mask].all()
