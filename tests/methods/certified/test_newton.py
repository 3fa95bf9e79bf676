"""The certified Newton step: exact where it has to be, refused where it is not what its theorem speaks of."""

from dataclasses import replace

import pytest
import torch
from scipy.stats import kstest
from torch import Tensor

from expunge.certificates.theorems.theorem import THEOREMS
from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.plan import Plan
from expunge.ensembles.seeds import Generators
from expunge.errors import BadConstant, MethodFailed, NotConverged, NotPositiveDefinite, OutsideBall
from expunge.methods.certified import released
from expunge.methods.parts.ball import weight_norms
from expunge.methods.parts.loss_constants import lipschitz_constants
from expunge.methods.parts.objective import decay_of, objective_hessian, whole_matrix
from expunge.methods.parts.per_sample import flat_weights, in_order, with_weights
from expunge.methods.parts.told import with_told
from expunge.methods.parts.walks import recipe_loss
from expunge.methods.zoo.certified_newton import GUARANTEE, CertifiedNewton, measured, newton_step
from expunge.suites import Split, Suite, load_suite
from tests.methods.certified.ridge import KEPT, MODELS, optimum, regression, regressors, whole

EXACT = CertifiedNewton(solver="exact", damping=0.0)
SERIES = CertifiedNewton(damping=0.0, batch_size=KEPT, iterations=400, sample=KEPT, lanczos_steps=4, tolerance=1e-6)


def after(split: Split, start: Tensor, cfg: CertifiedNewton) -> Tensor:
    return flat_weights(GUARANTEE.update(regressors(start), split, cfg, Generators(range(MODELS))))


@pytest.mark.parametrize(("cfg", "precision"), [(EXACT, 1e-8), (SERIES, 1e-6)], ids=["exact", "lissa"])
def test_on_a_quadratic_one_step_is_retraining(cfg: CertifiedNewton, precision: float) -> None:
    split = regression()
    start, retrained = optimum(whole(regression())), optimum(split.retain)
    assert (start - retrained).abs().max() > 1e-2
    torch.testing.assert_close(after(split, start, cfg), retrained.expand(MODELS, -1), rtol=0, atol=precision)


def test_with_nothing_to_forget_nothing_is_done_for_the_bound_is_to_retrained_models_themselves() -> None:
    split = regression(lost=0)
    start = 0.9 * optimum(split.retain)  # retraining that stopped early
    assert torch.equal(after(split, start, EXACT), start.expand(MODELS, -1))
    with pytest.raises(OutsideBall, match=r"radius = 0\.01"):
        after(split, start, replace(EXACT, radius=0.01))


def test_the_update_stays_on_the_ball() -> None:
    split = regression()
    start = 0.1 * optimum(whole(split))
    radius = float(optimum(split.retain).norm()) / 2
    found = after(split, start, replace(EXACT, radius=radius))
    expected = optimum(split.retain) * radius / optimum(split.retain).norm()
    torch.testing.assert_close(found, expected.expand(MODELS, -1), rtol=0, atol=1e-8)
    assert (found.norm(dim=1) <= radius).all()


def test_models_beyond_the_radius_are_refused() -> None:
    with pytest.raises(OutsideBall, match=r"radius = 0\.01"):
        after(regression(), optimum(whole(regression())), replace(EXACT, radius=0.01))


def test_lissa_says_how_it_went_and_fails_where_it_has_not_converged() -> None:
    split, short = regression(), replace(SERIES, iterations=3)
    ensemble = regressors(optimum(whole(split)))
    with pytest.raises(NotConverged, match=r"models \[0, 1, 2\]: expected a residual"):
        GUARANTEE.update(ensemble, split, short, Generators(range(MODELS)))
    local = measured(ensemble, split, SERIES)
    _, solution = newton_step(ensemble, split, SERIES, Generators(range(MODELS)), local)
    assert solution is not None
    assert (solution.residual < 1e-6).all()
    assert (solution.remaining < 1e-6).all()
    assert solution.norms.shape[0] == MODELS


def test_what_lissa_says_of_itself_is_a_note_of_the_claim() -> None:
    split, cfg = regression(), replace(SERIES, iterations=40, repeats=2, tolerance=1.0)
    ensemble = regressors(optimum(whole(split)))
    student = GUARANTEE.update(ensemble, split, cfg, Generators(range(MODELS)))
    notes = [claim.notes[-1] for claim in with_told(GUARANTEE.claims(ensemble, split, cfg), student)]
    local = measured(ensemble, split, cfg)
    solution = newton_step(ensemble, split, cfg, Generators(range(MODELS)), local)[1]
    assert solution is not None
    for note, residual in zip(notes, solution.residual.tolist(), strict=True):
        assert note.startswith("LiSSA converged: 40 iterations in 2 runs, of which the mean is taken, residual ")
        assert f"= {residual:.3g}, at most 1; (1 - c / B)^s = " in note


def test_the_exact_solver_has_nothing_to_say_of_itself() -> None:
    split, ensemble = regression(), regressors(optimum(whole(regression())))
    claims = GUARANTEE.claims(ensemble, split, EXACT)
    assert with_told(claims, GUARANTEE.update(ensemble, split, EXACT, Generators(range(MODELS)))) == claims


def test_training_that_stops_is_known_to_be_false_of_the_theorem_that_knows_no_gradient() -> None:
    assert set(GUARANTEE.false(EXACT)) == {"converged"}
    assert GUARANTEE.false(SERIES) == {}


def test_the_spectrum_is_that_of_the_objective() -> None:
    split = regression()
    x = split.retain.x
    least = torch.linalg.eigvalsh(x.T @ x / len(x))[0] + 0.05
    for cfg in (EXACT, SERIES):
        local = measured(regressors(optimum(whole(split))), split, cfg)
        torch.testing.assert_close(local.least, least.expand(MODELS), rtol=1e-6, atol=1e-9)


def test_a_whole_hessian_is_for_small_networks(ensemble: object, suite: Suite) -> None:
    split = suite.split(suite.forget_sets["random-10"])
    with pytest.raises(MethodFailed, match="at most 2000 weights to invert its whole Hessian, got 6138"):
        measured(ensemble, split, EXACT)  # type: ignore[arg-type]


def test_claims_have_every_constant_and_its_standing() -> None:
    split = regression()
    exact, series = (GUARANTEE.claims(regressors(optimum(whole(split))), split, cfg) for cfg in (EXACT, SERIES))
    assert [claim.theorem for claim in (*exact, *series)] == ["newton"] * MODELS + ["newton-lissa"] * MODELS
    standings = {name: each.standing for name, each in series[0].constants.items()}
    assert standings == {
        "C": "proven",
        "M": "assumed",
        "lambda": "proven",
        "lambda_min": "estimated",
        "L": "assumed",
        "G": "estimated",
        "d": "proven",
        "rho": "proven",
    }
    for claim in (*exact, *series):
        assert claim.sigma == THEOREMS[claim.theorem].sigma(claim.constants, 1.0, 1e-5)
        assert claim.shift is not None
        assert claim.shift <= 2 * SERIES.radius


def test_what_inputs_show_is_proven_and_a_smaller_setting_is_refused() -> None:
    """Of softmax regression: the Hessian at 0 is as steep as the bound, and changes by no more along any line."""
    suite = load_suite("tabular")
    split = suite.split(suite.forget_sets["random-10"])
    models = Ensemble.stack([suite.network() for _ in range(2)], Plan(suite, "pretrained").origin([0, 1]), (30,))
    bounds = lipschitz_constants(models, split, gradient=0.0, hessian=0.0)
    assert {each.standing for each in bounds.values()} == {"proven"}
    decay, loss = decay_of(models, split), recipe_loss(split)

    def hessian_at(weights: Tensor) -> Tensor:
        there = with_weights(models, weights.expand(2, -1))
        rows = in_order(there, split.retain)
        return whole_matrix(objective_hessian(there, split.retain, rows, loss, decay), flat_weights(there))[0].double()

    steepest = torch.linalg.eigvalsh(hessian_at(torch.zeros(62)))[-1]
    assert 0.9 * bounds["L"].value < steepest <= bounds["L"].value
    one, other = torch.randn(2, 62, generator=torch.Generator().manual_seed(0)) / 20
    change = torch.linalg.matrix_norm(hessian_at(one) - hessian_at(other), 2) / (one - other).norm()
    assert 0 < change <= bounds["M"].value
    for wrong in ({"gradient": 1.0, "hessian": 0.0}, {"gradient": 0.0, "hessian": 1.0}):
        with pytest.raises(BadConstant, match="_lipschitz: expected at least"):
            lipschitz_constants(models, split, **wrong)


def test_of_another_network_1_is_assumed(ensemble: Ensemble, suite: Suite) -> None:
    split = suite.split(suite.forget_sets["random-10"])
    found = lipschitz_constants(ensemble, split, gradient=0.0, hessian=0.5)
    assert {name: (each.value, each.standing) for name, each in found.items()} == {
        "L": (1.0, "assumed"),
        "M": (0.5, "assumed"),
    }


def test_a_hessian_that_damping_does_not_lift_is_refused() -> None:
    split = regression()
    local = measured(regressors(optimum(whole(split))), split, EXACT)
    ensemble = regressors(optimum(whole(split)))
    lifted = local._replace(least=local.least - 1)
    from expunge.methods.zoo.certified_newton import claims_at

    with pytest.raises(NotPositiveDefinite, match="take lambda above"):
        claims_at(ensemble, split, EXACT, lifted)


def test_a_second_request_starts_from_the_carried_weights_without_noise() -> None:
    """What is released is another copy; what is carried on is projected, and has no noise of any release."""
    split = regression()
    start = regressors(optimum(whole(split)))
    carried = GUARANTEE.update(start, split, EXACT, Generators(range(MODELS)))
    (shown,) = GUARANTEE.run(start, split, EXACT, Generators(range(MODELS)))
    assert not torch.equal(flat_weights(shown), flat_weights(carried))
    fewer = replace(split, retain=type(split.retain)(split.retain.x[:20], split.retain.y[:20]))
    again = GUARANTEE.update(carried, fewer, EXACT, Generators(range(MODELS)))
    torch.testing.assert_close(flat_weights(again), optimum(fewer.retain).expand(MODELS, -1), rtol=0, atol=1e-8)
    assert (weight_norms(with_weights(start, flat_weights(again))) <= EXACT.radius).all()


def test_a_second_release_differs_from_the_state_that_is_carried_on_by_normal_noise_of_its_sigma() -> None:
    split = regression()
    carried = GUARANTEE.update(regressors(optimum(whole(split))), split, EXACT, Generators(range(MODELS)))
    fewer = replace(split, retain=type(split.retain)(split.retain.x[:20], split.retain.y[:20]))
    again = GUARANTEE.update(carried, fewer, EXACT, Generators(range(MODELS)))
    sigmas = [each.sigma for each in GUARANTEE.claims(carried, fewer, EXACT)]
    assert min(sigmas) > 0
    chances = [Generators(range(first, first + MODELS)) for first in range(0, 100 * MODELS, MODELS)]
    noise = torch.stack([flat_weights(released(again, sigmas, chance)) for chance in chances]) - flat_weights(again)
    unit = noise / torch.tensor(sigmas)[:, None]
    assert kstest(unit.flatten().numpy(), "norm").pvalue > 1e-3
