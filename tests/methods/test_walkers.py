"""Methods that walk up and down losses: settings, and what holds beyond their equations on one example."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.nn.utils import parameters_to_vector

from expunge.ensembles import Ensemble
from expunge.ensembles.seeds import Generators
from expunge.methods import METHODS
from expunge.methods.parts.norms import l1_norm, l2_norm
from expunge.methods.parts.walks import PairedWalk, paired, training_loss
from expunge.methods.zoo.mu_mis import sensitivity_gap
from expunge.methods.zoo.random_labels_proximal import shrink_change
from expunge.methods.zoo.salun import salient_weights
from expunge.methods.zoo.uam import perturbed
from expunge.suites import Split, Suite
from tests.methods.equations import teachers
from tests.methods.equations.toy import SIX, require_steps, run_toy


@pytest.fixture
def split(small: Suite) -> Split:
    return small.split(small.forget_sets["random-20"])


def run(name: str, ensemble: Ensemble, split: Split, **settings: object) -> list[Ensemble]:
    method = METHODS[name]
    assert method.unlearn is not None
    return list(method.unlearn(ensemble, split, method.config(**settings), Generators(range(len(ensemble)))))


def test_neg_grad_plus_with_beta_1_is_fine_tuning_to_the_last_bit(ensemble: Ensemble, split: Split) -> None:
    settings = {"epochs": 2, "lr": 0.1}
    tuned = run("fine-tune", ensemble, split, **settings)
    without = run("neg-grad-plus", ensemble, split, **settings, beta=1.0, forget_statistics=False)
    counted = run("neg-grad-plus", ensemble, split, **settings, beta=1.0)
    buffers = dict(ensemble.network.named_buffers())
    for fine, still, other in zip(tuned, without, counted, strict=True):
        for key, tensor in fine.state().items():
            assert torch.equal(tensor, still.state()[key]), key
            assert torch.equal(tensor, other.state()[key]) == (key not in buffers), key  # forget batches show in these


def test_forget_batches_come_in_another_order_in_each_epoch_and_for_each_model(split: Split) -> None:
    config, rng = PairedWalk(epochs=2, lr=0.1, forget_batch_size=20), Generators([1, 2])
    first, second = (next(iter(epoch))[1][1] for epoch in paired(split, config, rng))
    assert not torch.equal(first, second)
    assert not torch.equal(first[0], first[1])


def test_generators_beside_others_draw_nothing_from_them_and_follow_from_where_they_stand() -> None:
    rng, alone = Generators([1, 2]), Generators([1, 2])
    forget, again, other = rng.beside("a"), rng.beside("a"), rng.beside("b")
    found = forget.permutation(50)
    assert torch.equal(found, again.permutation(50))
    assert not torch.equal(found, other.permutation(50))
    assert torch.equal(found[1], Generators([2]).beside("a").permutation(50)[0])
    assert torch.equal(rng.permutation(50), alone.permutation(50))
    assert not torch.equal(found, rng.beside("a").permutation(50))


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_salun_moves_the_salient_weights_and_leaves_the_others_to_the_last_bit(
    ensemble: Ensemble, split: Split, momentum: float
) -> None:
    masks = salient_weights(ensemble.copy(), split, 0.3, 64)
    share = torch.cat([mask.flatten(1) for mask in masks.values()], dim=1).double().mean(1)
    assert share == pytest.approx(0.3, abs=1e-3)
    *_, after = run("salun", ensemble, split, salient=0.3, epochs=2, momentum=momentum, lr=0.01)
    before, moved = ensemble.state(), 0
    for key, mask in masks.items():
        assert torch.equal(after.state()[key][~mask], before[key][~mask]), key
        moved += int((after.state()[key][mask] != before[key][mask]).sum())
    assert moved > 0.9 * sum(int(mask.sum()) for mask in masks.values())


def test_salient_weights_have_the_largest_gradients_of_all_layers_together(ensemble: Ensemble, split: Split) -> None:
    masks = salient_weights(ensemble.copy(), split, 0.3, 64)
    for row, model in enumerate(ensemble):
        loss = cross_entropy(model.eval()(split.forget.x), split.forget.y)
        named = dict(model.named_parameters())
        slopes = dict(zip(named, torch.autograd.grad(loss, list(named.values())), strict=True))
        chosen, others = (
            torch.cat([slopes[key][mask[row] == side].abs() for key, mask in masks.items()]) for side in (True, False)
        )
        assert chosen.min() >= 0.999 * others.max()
        assert len({round(float(mask[row].double().mean()), 2) for mask in masks.values()}) > 2  # unlike layer by layer


def test_norms_are_of_all_parameters_of_a_model(ensemble: Ensemble) -> None:
    for row, model in enumerate(ensemble):
        flat = parameters_to_vector(model.parameters()).detach()
        assert l1_norm(ensemble)[row].item() == pytest.approx(flat.abs().sum().item(), rel=1e-5)
        assert l2_norm(ensemble.parameters())[row].item() == pytest.approx(flat.norm().item(), rel=1e-5)


def test_uam_goes_the_distance_rho_along_one_slope_in_all_layers(ensemble: Ensemble, split: Split) -> None:
    forget = split.forget.x.expand(3, *split.forget.x.shape), split.forget.y.expand(3, -1)
    moved = perturbed(ensemble.eval(), training_loss(split)(ensemble, forget), 0.25)
    for row, model in enumerate(ensemble):
        loss = cross_entropy(model.eval()(split.forget.x), split.forget.y)
        slope = parameters_to_vector(torch.autograd.grad(loss, list(model.parameters())))
        before = parameters_to_vector(model.parameters())
        change = torch.cat([tensor[row].flatten() for tensor in moved.values()]) - before
        torch.testing.assert_close(change, 0.25 * slope / slope.norm(), rtol=1e-2, atol=1e-5)


def test_salient_weights_do_not_depend_on_the_size_of_batches(ensemble: Ensemble, split: Split) -> None:
    whole, parts = (salient_weights(ensemble.copy(), split, 0.5, size) for size in (64, 7))
    same = torch.cat([(mask == parts[key]).flatten() for key, mask in whole.items()])
    assert same.double().mean() > 0.999  # but for sums in another order


def test_salun_with_all_weights_is_successive_random_labels(ensemble: Ensemble, split: Split) -> None:
    settings = {"epochs": 1, "lr": 0.01}
    (masked,) = run("salun", ensemble, split, salient=1.0, **settings)
    (free,) = run("successive-random-labels", ensemble, split, **settings)
    assert all(torch.equal(tensor, masked.state()[key]) for key, tensor in free.state().items())


def test_l1_sparse_without_penalty_is_fine_tuning(ensemble: Ensemble, split: Split) -> None:
    sparse = run("l1-sparse", ensemble, split, epochs=2, lr=0.1, gamma=0.0)
    tuned = run("fine-tune", ensemble, split, epochs=2, lr=0.1)
    for first, second in zip(sparse, tuned, strict=True):
        assert all(torch.equal(tensor, second.state()[key]) for key, tensor in first.state().items())


def test_uam_without_a_perturbation_takes_the_steps_of_fine_tuning(ensemble: Ensemble, split: Split) -> None:
    still = run("uam", ensemble, split, epochs=2, lr=0.1, rho=0.0)
    tuned = run("fine-tune", ensemble, split, epochs=2, lr=0.1)
    for one, other in zip(still, tuned, strict=True):
        for key, parameter in other.network.named_parameters():
            assert torch.equal(one.state()[key], parameter), key


def test_a_repair_at_no_rate_moves_nothing_whatever_the_momentum() -> None:
    settings = {**teachers.PLAIN, **teachers.UNSIR, "momentum": 0.9, "repair": 1e-30}
    require_steps(run_toy("unsir", settings, SIX), teachers.unsir(repair=0.0))
    with pytest.raises(AssertionError):
        require_steps(run_toy("unsir", {**settings, "repair": 0.25}, SIX), teachers.unsir(repair=0.0))


def test_the_model_is_impaired_by_every_copy_of_the_noise() -> None:
    settings = {**teachers.PLAIN, **teachers.UNSIR, "copies": 3}
    require_steps(run_toy("unsir", settings, SIX), teachers.unsir(copies=3))


def test_a_proximal_pull_on_no_weights_is_successive_random_labels(ensemble: Ensemble, split: Split) -> None:
    settings = {"epochs": 1, "lr": 0.01}
    (pulled,) = run("random-labels-proximal", ensemble, split, quantile=0.0, **settings)
    (free,) = run("successive-random-labels", ensemble, split, **settings)
    assert all(torch.equal(tensor, pulled.state()[key]) for key, tensor in free.state().items())


def test_a_change_is_shrunk_at_each_models_own_quantile(ensemble: Ensemble) -> None:
    torch.manual_seed(0)
    moved = ensemble.copy()
    with torch.no_grad():
        for parameter in moved.parameters():
            parameter.add_(torch.arange(1.0, 4.0).view(3, *[1] * (parameter.ndim - 1)) * torch.randn_like(parameter))
    shrink_change(moved, ensemble, 0.4)
    for model in range(3):
        pairs = zip(moved[model].parameters(), ensemble[model].parameters(), strict=True)
        still = torch.cat([(now == before).flatten() for now, before in pairs])
        assert still.double().mean() == pytest.approx(0.4, abs=2e-3)


def test_a_change_is_shrunk_in_all_layers_by_one_threshold(ensemble: Ensemble) -> None:
    moved, names = ensemble.copy(), [name for name, _ in ensemble.named_parameters()]
    with torch.no_grad():
        for number, parameter in enumerate(moved.parameters()):
            parameter.add_(2.0**number)  # every layer as a whole
    count = sum(parameter[0].numel() for parameter in ensemble.parameters())
    first = sum(parameter[0].numel() for parameter in list(ensemble.parameters())[:3])
    shrink_change(moved, ensemble, first / count)  # so that the third layer's change is the threshold
    for number, (name, now, before) in enumerate(zip(names, moved.parameters(), ensemble.parameters(), strict=True)):
        expected = before + max(0.0, 2.0**number - 4.0)
        torch.testing.assert_close(now, expected, rtol=1e-4, atol=1e-4, msg=name)


@pytest.mark.parametrize(
    ("epochs", "without", "expected"),
    [
        (1, 0, [1.0]),
        (4, 0, [1.0, 0.75, 0.5, 0.25]),
        (4, 3, [1.0, 0.0, 0.0, 0.0]),
        (3, 3, [1.0, 1.0, 1.0]),  # constant
    ],
)
def test_the_penalty_of_l1_sparse_fades_epoch_by_epoch(epochs: int, without: int, expected: list[float]) -> None:
    cfg = METHODS["l1-sparse"].config(epochs=epochs, no_l1_epochs=without, gamma=1.0)
    assert [cfg.gamma_at(epoch) for epoch in range(epochs)] == expected


@pytest.mark.parametrize("name", ["random-labels", "successive-random-labels", "mu-mis"])
def test_other_labels_are_drawn_anew_in_each_epoch_and_for_each_model(
    name: str, ensemble: Ensemble, split: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Tensor] = []
    own: Callable[[Ensemble, Any], Tensor] = sensitivity_gap if name == "mu-mis" else training_loss(split)
    marks = torch.rand(64, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    keys = split.forget.x.flatten(1).double() @ marks  # tells examples apart

    def watched(student: Ensemble, batch: tuple[Tensor, ...]) -> Tensor:
        places = ((batch[0].flatten(2).double() @ marks)[..., None] - keys).abs() < 1e-12
        if places.any():
            assert (places.sum((0, 1)) == 3).all()  # every example to forget once, for each of three models
            seen.append(torch.stack([batch[-1][row][places[row].int().argmax(0)] for row in range(3)]))
        return own(student, batch)

    if name == "mu-mis":
        monkeypatch.setattr(f"{METHODS[name].module}.sensitivity_gap", watched)
    else:
        monkeypatch.setattr(f"{METHODS[name].module}.training_loss", lambda split: watched)
    run(name, ensemble, split, epochs=2, batch_size=256)
    first, second = seen
    assert not (torch.stack([first, second]) == split.forget.y).any()
    assert not torch.equal(first, second)
    assert not torch.equal(first[0], first[1])
