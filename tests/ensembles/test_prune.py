"""Pruning: masks as one would find them by hand, kept through everything that is done to an ensemble."""

import copy
import itertools
import pickle
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from expunge.ensembles import Ensemble, Plan, build, pretrain
from expunge.ensembles.optimizers import Descent
from expunge.ensembles.origin import Kind
from expunge.ensembles.prune import (
    flow_masks,
    magnitude_masks,
    masks_of_zeros,
    sparsity_of,
    train_sparse,
)
from expunge.ensembles.seeds import Generators
from expunge.ensembles.train import train
from expunge.ensembles.whole_models import train_whole
from expunge.errors import BadSetting
from expunge.suites import Examples, Recipe, Suite
from expunge.suites.pruning import Pruning, prunable
from expunge.suites.target import cross_entropy
from tests.ensembles.plain import NormedAttention, convolutional, ensemble_of, mixed, random_examples

RECIPE = Recipe(epochs=3, batch_size=16, lr=0.1, weight_decay=5e-2)
EXAMPLES, MODELS = 37, 3
NETWORKS = [convolutional, NormedAttention, mixed]

pytestmark = pytest.mark.filterwarnings("ignore:There is a performance drop")


def fresh(network: Callable[[], nn.Module] = convolutional, models: int = MODELS) -> Ensemble:
    torch.manual_seed(0)
    return ensemble_of([network().double() for _ in range(models)])


def halved(ensemble: Ensemble) -> Ensemble:
    return ensemble.obey(magnitude_masks(ensemble, Pruning("omp", 0.5)))


@pytest.fixture
def data() -> Examples:
    return random_examples(EXAMPLES)


def rows(models: int = MODELS) -> Tensor:
    return torch.arange(EXAMPLES).expand(models, -1)


def pruned_weights(ensemble: Ensemble) -> Tensor:
    return torch.cat([ensemble.state()[name][~mask] for name, mask in ensemble.masks.items()])


def require_kept(ensemble: Ensemble) -> None:
    assert ensemble.masks
    assert (pruned_weights(ensemble) == 0).all()


@pytest.mark.parametrize("network", NETWORKS)
def test_magnitude_drops_the_smallest_weights_of_each_model_all_layers_together(
    network: Callable[[], nn.Module],
) -> None:
    ensemble = fresh(network)
    masks = magnitude_masks(ensemble, Pruning("omp", 0.7))
    for row, model in enumerate(ensemble):
        named = {name: model.get_parameter(name).detach().abs() for name in prunable(model)}
        sizes = sorted(value for weight in named.values() for value in weight.flatten().tolist())
        border = sizes[round(0.7 * len(sizes))]
        for name, weight in named.items():
            assert torch.equal(masks[name][row], weight >= border)


def test_synaptic_flow_of_two_layers_is_what_the_formula_gives() -> None:
    """Linear layers v and w: R = sum(|w| |v| 1), and a weight's score is the sum of all paths through it."""
    ensemble = fresh(lambda: nn.Sequential(nn.Flatten(), nn.Linear(32, 6), nn.ReLU(), nn.Linear(6, 4), nn.Linear(4, 3)))
    masks = flow_masks(ensemble, Pruning("synflow", 0.6))
    for row, model in enumerate(ensemble):
        v, w, head = (model.get_parameter(f"{place}.weight").detach().abs() for place in (1, 3, 4))
        a, b = torch.ones_like(v), torch.ones_like(w)
        for step in range(1, 101):
            last = head.sum(0)
            biases = model.get_parameter("1.bias").detach().abs()
            flows = [
                (a * v) * (last @ (b * w))[:, None],
                (b * w) * last[:, None] * ((a * v).sum(1) + biases)[None],
            ]
            flat = torch.cat([each.flatten() for each in flows])
            drop = flat.argsort(stable=True)[: round((1 - 0.4 ** (step / 100)) * flat.numel())]
            kept = torch.ones(flat.numel()).index_fill(0, drop, 0)
            a, b = kept[: v.numel()].view_as(v).double(), kept[v.numel() :].view_as(w).double()
        assert torch.equal(masks["1.weight"][row], a.bool())
        assert torch.equal(masks["3.weight"][row], b.bool())


def test_synaptic_flow_leaves_the_models_as_they_were() -> None:
    ensemble = fresh()
    before = {key: tensor.clone() for key, tensor in ensemble.state().items()}
    flow_masks(ensemble, Pruning("synflow", 0.5))
    assert all(torch.equal(tensor, before[key]) for key, tensor in ensemble.state().items())
    assert not ensemble.masks


def test_one_shot_pruning_is_training_then_masking_then_training_again_from_the_rewound_weights(data: Examples) -> None:
    recipe = replace(RECIPE, prune="omp:0.6", rewind=1)
    found = train_sparse(fresh(), data, rows(), recipe, Generators(range(MODELS)))
    chance, dense = Generators(range(MODELS)), fresh()
    early: list[Ensemble] = []
    train(dense, data, rows(), recipe, chance, after=lambda epochs: early.append(dense.copy()))
    assert len(early) == 4
    expected = early[1].obey(magnitude_masks(dense, Pruning("omp", 0.6)))
    train(expected, data, rows(), recipe, chance, first=1)
    for key, tensor in expected.state().items():
        assert torch.equal(found.state()[key], tensor)
    assert sparsity_of(found).tolist() == pytest.approx([0.6] * MODELS, abs=0.01)
    assert not torch.equal(found.state()["0.weight"], dense.state()["0.weight"])


@pytest.mark.parametrize("prune", ["omp:0.5", "imp:0.5", "synflow:0.5"])
@pytest.mark.parametrize("network", NETWORKS)
def test_sparse_training_ends_sparse_and_what_was_kept_moved(
    network: Callable[[], nn.Module], prune: str, data: Examples
) -> None:
    start, recipe = fresh(network), replace(RECIPE, prune=prune)
    ensemble = train_sparse(start.copy(), data, rows(), recipe, Generators(range(MODELS)))
    require_kept(ensemble)
    total = sum(mask[0].numel() for mask in ensemble.masks.values())
    for row in range(MODELS):
        assert sum(int((~mask[row]).sum()) for mask in ensemble.masks.values()) == round(0.5 * total)
    for name, mask in ensemble.masks.items():
        assert (ensemble.state()[name] != start.state()[name])[mask].all()
    found = masks_of_zeros(ensemble, Pruning.parse(prune))
    assert all(torch.equal(found[name], mask) for name, mask in ensemble.masks.items())


def test_iterative_pruning_never_brings_a_weight_back(data: Examples) -> None:
    ensemble, seen = fresh(), list[dict[str, Tensor]]()
    original = ensemble.obey

    def watched(masks: dict[str, Tensor]) -> Ensemble:
        seen.append(masks)
        return original(masks)

    ensemble.obey = watched  # type: ignore[method-assign, assignment]
    train_sparse(ensemble, data, rows(), replace(RECIPE, prune="imp:0.5"), Generators(range(MODELS)))
    assert len(seen) == 4
    for before, after in itertools.pairwise(seen):
        assert all((after[name] <= before[name]).all() for name in before)


@pytest.mark.parametrize(
    "step",
    [
        lambda parameters: torch.optim.SGD(parameters, lr=0.1, momentum=0.9, weight_decay=0.1, nesterov=True),
        lambda parameters: torch.optim.Adam(parameters, lr=0.01, weight_decay=0.1),
        lambda parameters: torch.optim.AdamW(parameters, lr=0.01, weight_decay=0.1),
        lambda parameters: torch.optim.RMSprop(parameters, lr=0.01, momentum=0.9),
    ],
)
@pytest.mark.parametrize("network", NETWORKS)
def test_no_optimizer_revives_a_masked_weight(
    network: Callable[[], nn.Module], step: Callable[..., torch.optim.Optimizer], data: Examples
) -> None:
    ensemble = halved(fresh(network)).copy().train()
    before = {name: tensor.clone() for name, tensor in ensemble.state().items()}
    optimizer = step(ensemble.parameters())
    for _ in range(3):
        optimizer.zero_grad()
        cross_entropy(ensemble(data.x), data.y.expand(MODELS, -1)).sum().backward()
        optimizer.step()
        require_kept(ensemble)
    assert all((ensemble.state()[name] != before[name])[mask].all() for name, mask in ensemble.masks.items())


def test_weight_decay_and_momentum_of_training_revive_nothing(data: Examples) -> None:
    ensemble = halved(fresh())
    train(ensemble, data, rows(), RECIPE, Generators(range(MODELS)))
    require_kept(ensemble)


def test_the_optimizers_memory_from_before_the_mask_revives_nothing_in_the_next_forward_pass(data: Examples) -> None:
    ensemble = fresh().train()
    optimizer = Descent(ensemble, lr=0.1, momentum=0.9)
    for masked in (False, True, True):
        if masked and not ensemble.masks:
            halved(ensemble)
        optimizer.zero_grad()
        cross_entropy(ensemble(data.x), data.y.expand(MODELS, -1)).sum().backward()
        optimizer.step()
    assert not (pruned_weights(ensemble) == 0).all()
    ensemble(data.x)
    require_kept(ensemble)


@pytest.mark.parametrize(
    "way",
    [
        lambda e: e.copy(),
        lambda e: e.take([2, 0]),
        lambda e: copy.deepcopy(e),
        lambda e: pickle.loads(pickle.dumps(e)),
        lambda e: e.float().double(),
        lambda e: e.to("cpu").copy().train(),
        lambda e: Ensemble.from_state(e.network, e.state(), e.origin, e.sample_shape, e.masks),
    ],
)
def test_every_copy_keeps_the_masks_and_lets_no_gradient_through(
    way: Callable[[Ensemble], Ensemble], data: Examples
) -> None:
    ensemble = way(halved(fresh()))
    require_kept(ensemble)
    cross_entropy(ensemble(data.x), data.y.expand(len(ensemble), -1)).sum().backward()
    for name, mask in ensemble.masks.items():
        gradient = ensemble.network.get_parameter(name).grad
        assert gradient is not None
        assert torch.equal(gradient != 0, mask)


def test_one_model_of_many_lets_no_gradient_through_either(data: Examples) -> None:
    ensemble = halved(fresh())
    model = ensemble[1]
    nn.functional.cross_entropy(model(data.x), data.y).backward()
    for name, mask in ensemble.masks.items():
        gradient = model.get_parameter(name).grad
        assert gradient is not None
        assert torch.equal(gradient != 0, mask[1])


def test_masks_follow_to_another_device_and_may_be_taken_off(data: Examples) -> None:
    ensemble = halved(fresh())
    assert all(mask.device.type == "meta" for mask in copy.deepcopy(ensemble).to("meta").masks.values())
    ensemble.obey({})
    cross_entropy(ensemble(data.x), data.y.expand(MODELS, -1)).sum().backward()
    gradient = ensemble.network.get_parameter("0.weight").grad
    assert gradient is not None
    assert (gradient != 0).all()


def test_masks_that_do_not_fit_are_refused() -> None:
    with pytest.raises(BadSetting, match=r"masks of bool .* got 'nothing': torch.bool of shape \(3, 2\)"):
        fresh().obey({"nothing": torch.ones(3, 2, dtype=torch.bool)})
    with pytest.raises(BadSetting, match=r"got '0.weight': torch.float64"):
        fresh().obey({"0.weight": fresh().state()["0.weight"]})


def test_a_layer_without_a_weight_is_told_of_in_one_line() -> None:
    ensemble = fresh()
    with torch.no_grad():
        ensemble.network.get_parameter("4.weight")[1:].mul_(1e-6)
    with pytest.raises(BadSetting, match=r"omp:0.8 leaves layer '4' of models \[1, 2\] no weight at all; lower"):
        magnitude_masks(ensemble, Pruning("omp", 0.8))


def test_models_that_are_not_as_sparse_as_they_should_be_are_not_taken_for_sparse() -> None:
    with pytest.raises(BadSetting, match=r"weights of 0 \(omp:0.6\) in each model, models \[0, 1, 2\] have fewer"):
        masks_of_zeros(halved(fresh()), Pruning("omp", 0.6))


@pytest.fixture(scope="module")
def sparse(suite: Suite) -> Suite:
    return replace(suite.pruned("omp:0.9"), chunk=2, models=4, recipe=replace(suite.recipe, epochs=2, prune="omp:0.9"))


def test_sparse_models_come_out_of_the_store_with_their_masks(sparse: Suite) -> None:
    ensemble = pretrain(sparse, 3)
    assert sparsity_of(ensemble).tolist() == pytest.approx([0.9] * 3, abs=1e-3)
    require_kept(ensemble)
    again = pretrain(sparse, 2, first=1)
    for name, mask in again.masks.items():
        assert torch.equal(mask, ensemble.masks[name][1:])
        assert not torch.equal(mask[0], mask[1])


@pytest.mark.parametrize("kind", ["sharded", "logged"])
def test_models_that_are_trained_in_a_way_of_their_own_are_not_made_sparse(kind: Kind, sparse: Suite) -> None:
    with pytest.raises(BadSetting, match=f"{kind} models, .* are trained dense only"):
        build(Plan(sparse, kind), 1)


def test_the_mask_of_an_oracle_does_not_depend_on_what_it_must_not_have_seen(sparse: Suite) -> None:
    """Other examples in the place of the forgotten ones: another pretrained mask, the same mask of every oracle."""
    forget = sparse.forget_sets["random-50"]
    train_set = sparse.data.train
    x = train_set.x.clone()
    x[torch.as_tensor(forget.indices)] = 1 - x[torch.as_tensor(forget.indices)]
    other = copy.copy(sparse.data)
    other._pair = (Examples(x, train_set.y), sparse.data.test)
    changed = replace(sparse, data=other)
    assert changed.digest == sparse.digest  # so that both have the same seeds: their data differ by no name here
    found: dict[tuple[bool, str], dict[str, Tensor]] = {}
    for each in (sparse, changed):
        for plan in (Plan(each, "oracle", forget), Plan(each, "pretrained")):
            models, _, _ = train_whole(plan, range(2), torch.device("cpu"))
            found[each is changed, plan.kind] = models.masks
    for name, mask in found[False, "oracle"].items():
        assert torch.equal(mask, found[True, "oracle"][name])
    other_masks = found[True, "pretrained"]
    assert not all(torch.equal(mask, other_masks[name]) for name, mask in found[False, "pretrained"].items())
