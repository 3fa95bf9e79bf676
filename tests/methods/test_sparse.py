"""Prune first, then unlearn: the law that every row of METHODS keeps the masks of sparse models."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from expunge.ensembles import Ensemble
from expunge.ensembles.prune import magnitude_masks
from expunge.ensembles.seeds import Generators
from expunge.errors import MethodFailed
from expunge.methods import METHODS, Method, configure, find_method, run_method
from expunge.methods.method import NoSettings
from expunge.methods.parts.layers import weighted
from expunge.methods.parts.masks import cut_weights
from expunge.methods.parts.per_sample import in_parts, per_sample_gradients
from expunge.methods.zoo.random_labels_proximal import shrink_change
from expunge.methods.zoo.rum import _unlearned
from expunge.methods.zoo.salun import salient_weights
from expunge.suites import ForgetSet, Split, Suite
from expunge.suites.pruning import Pruning
from tests.methods.cases import CASES, TRAINING, has_epochs

PRUNED = [name for name in TRAINING if not CASES[name].votes]  # votes of new networks have masks of their own


@pytest.fixture
def sparse(ensemble: Ensemble) -> Ensemble:
    """The three models of the laws, half of their convolutions pruned: on more, untrained, Newton steps diverge."""
    return ensemble.obey(magnitude_masks(ensemble, Pruning("omp", 0.5)))


def masked(ensemble: Ensemble, masks: dict[str, Tensor]) -> Tensor:
    return torch.cat([ensemble.state()[name][~mask] for name, mask in masks.items()])


@pytest.mark.parametrize("name", PRUNED)
def test_it_keeps_every_mask_and_still_moves_every_model(
    name: str,
    sparse: Ensemble,
    laboratory: tuple[Suite, ForgetSet],
) -> None:
    (suite, forget), method = laboratory, METHODS[name]
    epochs = {"epochs": 2} if has_epochs(name) else {}
    before = {name: tensor.clone() for name, tensor in sparse.state().items()}
    steps = list(run_method(name, method, configure(name, method, epochs), sparse, suite, forget))
    assert steps
    for step in steps:
        assert step.ensemble.masks.keys() == sparse.masks.keys()
        assert all(torch.equal(step.ensemble.masks[key], mask) for key, mask in sparse.masks.items())
        assert (masked(step.ensemble, sparse.masks) == 0).all()
    after = steps[-1].ensemble.state()
    for row in range(len(sparse)):
        assert any(not torch.equal(after[key][row], before[key][row]) for key, _ in sparse.network.named_parameters())


def noisy(ensemble: Ensemble, split: Split, _: NoSettings, rng: Generators) -> Iterator[Ensemble]:
    """Add noise everywhere, look at the retained examples, and yield a stack that knows of no masks."""
    student = ensemble.copy()
    with torch.no_grad():
        for parameter in student.parameters():
            parameter.add_(rng.normal(*parameter.shape[1:]))
        student(split.retain.x)
        assert (masked(student, ensemble.masks) == 0).all(), "masks are obeyed before every forward pass"
        for parameter in student.parameters():
            parameter.add_(1)
    yield Ensemble.stack(list(student), ensemble.origin, ensemble.sample_shape).eval()


def test_noise_is_undone_and_a_stack_without_masks_gets_them(sparse: Ensemble, small: Suite) -> None:
    row = Method(unlearn=noisy, summary="noise")
    [step] = run_method("noisy", row, NoSettings(), sparse, small, small.forget_sets["random-20"])
    assert (masked(step.ensemble, sparse.masks) == 0).all()
    assert all(torch.equal(step.ensemble.masks[key], mask) for key, mask in sparse.masks.items())
    kept = [step.ensemble.state()[name][mask] for name, mask in sparse.masks.items()]
    assert (torch.cat(kept) != 0).all()


def test_models_of_another_architecture_are_a_failed_row(sparse: Ensemble, small: Suite) -> None:
    def other(ensemble: Ensemble, split: Split, _: NoSettings, rng: Generators) -> Iterator[Ensemble]:
        networks: list[nn.Module] = [nn.Sequential(nn.Flatten(), nn.Linear(64, 10)) for _ in range(len(ensemble))]
        yield Ensemble.stack(networks, ensemble.origin, ensemble.sample_shape)

    row = Method(unlearn=other, summary="another network")
    with pytest.raises(MethodFailed, match="returned models that cannot be kept sparse: expected masks of bool"):
        list(run_method("other", row, NoSettings(), sparse, small, small.forget_sets["random-20"]))


OWN = """
import copy
import torch

def adam(model, retain, forget, seed):
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01, weight_decay=0.1)
    x, y = retain.tensors
    before = [p.clone() for p in model.parameters()]
    for _ in range(2):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
    kept = [(b == 0) == (p == 0) for b, p in zip(before, model.parameters()) if b.ndim == 4]
    assert all(each.all() for each in kept), "the masks were not kept in the model itself"
    return model

def copied(model, retain, forget, seed):
    model = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1)
    return model
"""


@pytest.mark.parametrize("function", ["adam", "copied"])
def test_a_users_own_method_keeps_them_too(function: str, sparse: Ensemble, small: Suite, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(OWN)
    name = f"{tmp_path}/own.py:{function}"
    forget = small.forget_sets["random-20"]
    [step] = run_method(name, find_method(name), NoSettings(), sparse, small, forget)
    assert (masked(step.ensemble, sparse.masks) == 0).all()
    kept = torch.cat([step.ensemble.state()[key][mask] for key, mask in sparse.masks.items()])
    assert not torch.equal(kept, torch.cat([sparse.state()[key][mask] for key, mask in sparse.masks.items()]))


def test_gradients_of_single_examples_know_the_masks(sparse: Ensemble, small: Suite) -> None:
    """What is cut does not move, so it has no part in a curvature that is made of them."""
    rows = torch.arange(8).expand(len(sparse), -1)
    gradients = torch.cat(list(per_sample_gradients(sparse, small.data.train, rows)), dim=1)
    parts = zip(sparse.network.named_parameters(), in_parts(sparse, gradients.abs().sum(1)), strict=True)
    found = {name: part for (name, _), part in parts}
    assert all((found[name][~mask] == 0).all() for name, mask in sparse.masks.items())
    assert any((found[name][mask] != 0).any() for name, mask in sparse.masks.items())


def test_the_parts_of_rum_are_sparse_one_by_one(sparse: Ensemble, small: Suite) -> None:
    """Boundary expanding yields models that know of no masks; the next part must not train them dense."""
    split = small.split(small.forget_sets["random-20"])
    between = _unlearned(sparse.copy(), split, "boundary-expand", Generators(range(len(sparse))))
    assert between.masks.keys() == sparse.masks.keys()
    assert (masked(between, sparse.masks) == 0).all()


def test_a_share_of_the_weights_is_of_those_that_are_there(sparse: Ensemble, small: Suite) -> None:
    total = sum(parameter[0].numel() for parameter in sparse.parameters())
    there = total - sum(int((~mask[0]).sum()) for mask in sparse.masks.values())
    assert there < 0.8 * total
    chosen = salient_weights(sparse.copy(), small.split(small.forget_sets["random-20"]), 0.5, 64)
    assert all(not (chosen[name] & ~mask).any() for name, mask in sparse.masks.items())
    counts = sum(part.flatten(1).sum(1) for part in chosen.values())
    assert isinstance(counts, Tensor)
    assert counts.tolist() == [round(0.5 * there)] * len(sparse)
    student = sparse.copy()
    with torch.no_grad():
        for parameter in student.parameters():
            parameter.add_(torch.rand_like(parameter) + 0.1)
    student.obey(sparse.masks)
    shrink_change(student, sparse, 0.25)
    still = sum(
        (now == before).flatten(1).sum(1) for now, before in zip(student.parameters(), sparse.parameters(), strict=True)
    )
    assert isinstance(still, Tensor)
    assert still.tolist() == [total - there + round(0.25 * there)] * len(sparse)


def drawn_anew(name: str, sparse: Ensemble, small: Suite, **settings: object) -> dict[str, Tensor]:
    """Which weights a method without a walk worth the name has put elsewhere, by their keys."""
    method, split = METHODS[name], small.split(small.forget_sets["random-20"])
    assert method.unlearn
    config = configure(name, method, {"epochs": 1, "lr": 1e-12, "momentum": 0.0, **settings})
    *_, after = method.unlearn(sparse.copy(), split, config, Generators(range(len(sparse))))
    before = dict(sparse.network.named_parameters())
    return {key: (each - before[key]).abs() > 1e-6 for key, each in after.network.named_parameters()}


def test_msg_draws_a_share_of_each_convolution_anew_of_the_weights_that_are_there(
    sparse: Ensemble, small: Suite
) -> None:
    moved = drawn_anew("msg", sparse, small, reset=0.3)
    for key, mask in sparse.masks.items():
        assert not (moved[key] & ~mask).any()
        wanted = [round(0.3 * int(there)) for there in mask.flatten(1).sum(1)]
        assert moved[key].flatten(1).sum(1).tolist() == wanted
        assert min(wanted) > 0


def test_prmq_draws_a_share_of_all_weights_anew_of_those_that_are_there(sparse: Ensemble, small: Suite) -> None:
    moved = drawn_anew("prmq", sparse, small, prune=0.3, half=False)
    layers = {key: each for key, each in moved.items() if key.rpartition(".")[0] in weighted(sparse)}
    there = sum(each[0].numel() for each in layers.values()) - cut_weights(sparse)
    assert all(not (moved[key] & ~mask).any() for key, mask in sparse.masks.items())
    counts = sum(each.flatten(1).sum(1) for each in layers.values())
    assert isinstance(counts, Tensor)
    assert counts.tolist() == [round(0.3 * there)] * len(sparse)
