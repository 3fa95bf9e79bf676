"""Certified removal from the last layer: what a Newton step leaves is bounded, and hidden by what training drew."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from expunge.certificates.theorems.removal import residual_bound
from expunge.certificates.theorems.theorem import THEOREMS, Constant
from expunge.ensembles import Ensemble
from expunge.ensembles.seeds import Generators
from expunge.errors import BudgetExhausted, MethodFailed, NotConverged
from expunge.methods import METHODS
from expunge.methods.certified import claimed, kept_alone, trained, updated
from expunge.methods.parts import linear_heads
from expunge.methods.parts.linear_heads import Regression, head_of, inputs_of, minimised, newton_direction
from expunge.methods.parts.per_sample import flat_weights
from expunge.methods.zoo.certified_removal import GUARANTEE, CertifiedRemoval, removal
from expunge.suites import Examples, Recipe, Split, Suite, load_suite
from tests.ensembles.plain import CLASSES, convolutional, ensemble_of, random_examples

MODELS, KEPT, LOST = 2, 30, 5


def linear() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(32, CLASSES)).double()


def made(smoothing: float = 0.0, scale: float = 1.0) -> Split:
    data = random_examples(KEPT + LOST)
    parts = (Examples(scale * data.x[rows], data.y[rows]) for rows in (slice(0, KEPT), slice(KEPT, None)))
    recipe = Recipe(epochs=1, batch_size=8, lr=0.1, weight_decay=0.05, label_smoothing=smoothing)
    return Split(next(parts), next(parts), CLASSES, recipe, linear)


def at_the_minimum(split: Split, ensemble: Ensemble, *, all_of_it: bool) -> Ensemble:
    """The head where the objective of what is kept, or of all, is least."""
    head, result = head_of(ensemble, split), ensemble.copy()
    examples = split.retain
    if all_of_it:
        examples = Examples(torch.cat([examples.x, split.forget.x]), torch.cat([examples.y, split.forget.y]))
    regression = Regression.of(inputs_of(ensemble, head, examples), examples, split)
    at = head.read(ensemble)
    head.write(result, minimised(regression, at, torch.zeros_like(at), tolerance=1e-14))
    return result


def left(split: Split, before: Ensemble, after: Ensemble) -> Tensor:
    """The gradient of what is kept, less what training left of that of all: ``(models,)`` norms."""
    head = head_of(before, split)
    kept, gone = (Regression.of(inputs_of(before, head, each), each, split) for each in (split.retain, split.forget))
    goal = kept.gradient(head.read(before)) + gone.gradient(head.read(before))
    norms: Tensor = (kept.gradient(head.read(after)) - goal).flatten(1).norm(dim=1)
    return norms


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_steps_from_the_minimum_of_all_end_at_that_of_what_is_kept(smoothing: float) -> None:
    split = made(smoothing)
    torch.manual_seed(0)
    start = at_the_minimum(split, ensemble_of([linear() for _ in range(MODELS)]), all_of_it=True)
    wanted = flat_weights(at_the_minimum(split, start, all_of_it=False))
    apart = [
        (
            flat_weights(GUARANTEE.update(start, split, CertifiedRemoval(steps=steps), Generators([0, 1]))) - wanted
        ).norm()
        for steps in (1, 2, 8)
    ]
    assert apart[0] > 10 * apart[1] > 10 * apart[2]
    assert apart[2] < 1e-8
    assert (flat_weights(start) - wanted).norm() > 2 * apart[0]


@settings(max_examples=25)
@given(st.integers(0, 10**6), st.sampled_from([0.1, 1.0, 10.0]), st.sampled_from([0.0, 0.3]), st.integers(1, 2))
def test_the_bound_is_never_below_the_gradient_that_a_removal_leaves(
    seed: int, scale: float, smoothing: float, steps: int
) -> None:
    split = made(smoothing, scale)
    torch.manual_seed(seed)
    before = ensemble_of([linear() for _ in range(MODELS)])
    with torch.no_grad():
        for parameter in before.parameters():
            parameter.mul_(10 * torch.rand(()))
    cfg = CertifiedRemoval(steps=steps)
    found = removal(before, split, cfg)
    after = GUARANTEE.update(before, split, cfg, Generators([0, 1]))
    assert (left(split, before, after) <= found.bound * (1 + 1e-9) + 1e-9).all()


def test_the_bound_is_reached_within_a_factor_where_inputs_are_alike() -> None:
    """Of one input many times over, and a step towards one class, it is less than three times what is left."""
    inputs = torch.ones(1, 50, 1, dtype=torch.float64)
    regression = Regression(inputs, torch.full((50, 2), 0.5, dtype=torch.float64), 1e-9)
    at = torch.tensor([[[0.5 * 1.317], [-0.5 * 1.317]]], dtype=torch.float64)  # where the Hessian changes fastest
    step = torch.tensor([[[0.01], [-0.01]]], dtype=torch.float64)
    straight = regression.curve(regression.chances(at), step)
    change = (regression.gradient(at + step) - regression.gradient(at) - straight).norm()
    assert change <= regression.residual_bound(step)[0] <= 3 * change


def test_on_inputs_of_norm_1_and_two_classes_it_is_below_the_published_bound() -> None:
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(40, 6, dtype=torch.float64, generator=rng)
    x = x / x.norm(dim=1, keepdim=True)
    v = torch.randn(6, dtype=torch.float64, generator=rng)
    regression = Regression(x[None], torch.full((40, 2), 0.5, dtype=torch.float64), 0.1)
    ours = float(regression.residual_bound(torch.stack([v / 2, -v / 2])[None])[0]) / 2**0.5  # of one of two gradients
    assert ours < residual_bound(x.numpy(), v.numpy())


def test_a_direction_solves_the_whole_system_by_factors_and_by_conjugate_gradients(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    split = made()
    torch.manual_seed(1)
    ensemble = ensemble_of([linear() for _ in range(MODELS)])
    head = head_of(ensemble, split)
    kept, at = Regression.of(inputs_of(ensemble, head, split.retain), split.retain, split), head.read(ensemble)
    v = kept.gradient(at)
    for most in (linear_heads.MOST_WEIGHTS, 1):
        monkeypatch.setattr(linear_heads, "MOST_WEIGHTS", most)
        x, rest = newton_direction(kept, at, v)
        back = kept.curve(kept.chances(at), x) + KEPT * 0.05 * x
        torch.testing.assert_close(back, v, rtol=1e-6, atol=1e-6)
        torch.testing.assert_close((back - v).flatten(1).norm(dim=1), rest)
    monkeypatch.setattr(linear_heads, "MOST_ITERATIONS", 1)
    with pytest.raises(NotConverged, match="the last layer's Hessian was not inverted"):
        newton_direction(kept, at, v)


def test_only_the_last_layer_of_a_deep_network_moves_and_the_claim_says_what_is_not_covered() -> None:
    data = random_examples(KEPT + LOST, torch.float32)
    parts = Examples(data.x[:KEPT], data.y[:KEPT]), Examples(data.x[KEPT:], data.y[KEPT:])
    split = Split(*parts, CLASSES, Recipe(epochs=1, batch_size=8, lr=0.1), convolutional)
    torch.manual_seed(0)
    before = ensemble_of([convolutional() for _ in range(MODELS)])
    before.sample_shape = tuple(data.x.shape[1:])
    after = GUARANTEE.update(before, split, CertifiedRemoval(), Generators([0, 1])).state()
    moved = {key for key, tensor in before.state().items() if not torch.equal(tensor, after[key])}
    assert moved == {"12.weight"}
    claims = GUARANTEE.claims(before, split, CertifiedRemoval(residual=1e9))
    assert all(any("228 weights before the last layer" in note for note in claim.notes) for claim in claims)
    assert {claim.parameters for claim in claims} == {24}


def test_training_draws_a_linear_term_of_the_scale_that_the_theorem_asks_for() -> None:
    """What is left of the gradient of all examples is minus that term."""
    suite, cfg = load_suite("tabular"), CertifiedRemoval(residual=0.2)
    rows = np.arange(suite.data.sizes[0])
    ensemble = trained("certified-removal", suite, rows, range(10), cfg)
    split = kept_alone(suite, rows)
    head = head_of(ensemble, split)
    regression = Regression.of(inputs_of(ensemble, head, split.retain), split.retain, split)
    drawn = -regression.gradient(head.read(ensemble))
    sigma = THEOREMS["certified-removal"].sigma({"beta": Constant(0.2, "proven", "")}, 1.0, 1e-5)
    count = drawn.numel()
    assert abs(float(drawn.square().mean().sqrt()) / sigma - 1) < 4 / (2 * count) ** 0.5
    assert abs(float(drawn.mean()) / sigma) < 4 / count**0.5
    assert len({round(float(each), 6) for each in drawn[:, 0, 0]}) == 10


def test_a_removal_that_leaves_more_than_training_made_room_for_has_no_claim() -> None:
    suite = load_suite("tabular")
    split = suite.split(suite.forget_sets["random-10"])
    cfg = CertifiedRemoval(residual=0.2, steps=1)
    ensemble = trained("certified-removal", suite, np.arange(suite.data.sizes[0]), range(2), cfg)
    with pytest.raises(BudgetExhausted, match=r"residual = 0\.2, got .*, models \[0, 1\]: take more steps, train anew"):
        claimed("certified-removal", ensemble, split, cfg)
    claims = claimed("certified-removal", ensemble, split, replace(cfg, steps=3))
    assert all(claim.constants["beta"].standing == "proven" for claim in claims)
    assert updated("certified-removal", ensemble, split, cfg).origin.models == (0, 1)


@pytest.mark.parametrize(
    ("network", "decay", "line"),
    [
        (lambda: nn.Sequential(nn.Flatten(), nn.Linear(32, CLASSES), nn.Tanh()), 0.1, "outputs are those of its last"),
        (linear, 0.0, "needs a regulariser"),
    ],
)
def test_what_it_cannot_work_on_is_said(network: object, decay: float, line: str, suite: Suite) -> None:
    assert callable(network)
    data = random_examples(KEPT, torch.float64)
    recipe = Recipe(epochs=1, batch_size=8, lr=0.1, weight_decay=decay)
    split = Split(Examples(data.x[5:], data.y[5:]), Examples(data.x[:5], data.y[:5]), CLASSES, recipe, network)
    unlearn = METHODS["certified-removal"].unlearn
    assert unlearn
    with pytest.raises(MethodFailed, match=line):
        next(unlearn(ensemble_of([network().double()]), split, CertifiedRemoval(), Generators([0])))
