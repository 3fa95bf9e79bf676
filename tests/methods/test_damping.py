"""Dampened weights and noise on weights: what their equations leave open."""

import dataclasses
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from expunge.ensembles import Ensemble, Origin, read_subsets
from expunge.ensembles.seeds import Generators
from expunge.errors import BadSetting, MethodFailed, StoreError
from expunge.fingerprint import code_digest
from expunge.methods import METHODS, configure
from expunge.methods.parts.per_sample import flat_weights, in_parts
from expunge.methods.spaces import Between
from expunge.methods.task import Task
from expunge.methods.zoo.assd import percentile
from expunge.methods.zoo.fisher_forgetting import fisher, official, whole_classes
from expunge.methods.zoo.neg_merge import consensus
from expunge.methods.zoo.rum import Rum, refined
from expunge.suites import Examples, ForgetSet, Split, Suite, load_suite
from expunge.tuning.tuning_sets import kinds_of, tuning_set
from tests.ensembles.plain import CLASSES, convolutional, ensemble_of, random_examples
from tests.methods.equations.damping import SPLIT_3, THREE
from tests.methods.equations.toy import FORGET, SPLIT, W, cross_entropy_gradient, run_toy


def test_two_weights_are_dampened_as_on_paper() -> None:
    """Two classes, logits 0 and w x: for the second class the gradient is (s(w x) - y) x, for the first minus that."""
    split = Split(
        Examples(torch.tensor([[1.0], [0.5]], dtype=torch.float64), torch.tensor([0, 0])),
        Examples(torch.tensor([[2.0]], dtype=torch.float64), torch.tensor([0])),
        2,
        SPLIT.recipe,
        SPLIT.network,
    )
    w = torch.tensor([[0.25], [0.75]], dtype=torch.float64)

    def squared(x: float) -> float:
        return (x / (1 + math.exp(-0.5 * x))) ** 2  # p of the second class, which is wrong, times x

    models, one = 8, {"retain_examples": 1}  # each model draws one of the two, which stands for both
    forget = squared(2.0)
    first, second = ((forget + 2 * squared(x)) / 3 for x in (1.0, 0.5))
    assert 1.5 < forget / first < forget / second < 3
    (found, *_) = run_toy("ssd", {"alpha": 1.5, "dampening": 1.0, **one}, split, w, models)
    factors = {round(float(each), 12) for each in found[:, 0, 0] / w[0]}
    assert factors == {round(first / forget, 12), round(second / forget, 12)}
    torch.testing.assert_close(found[:, 1] / w[1], found[:, 0] / w[0])
    (found, *_) = run_toy("ssd", {"alpha": 1.5, "dampening": 10.0, **one}, split, w, models)
    torch.testing.assert_close(found, w.expand(models, -1, -1))  # never made larger
    (found, *_) = run_toy("ssd", {"alpha": 3.0, "dampening": 1.0, **one}, split, w, models)
    torch.testing.assert_close(found, w.expand(models, -1, -1))  # below alpha, as F counts the forget set in


def test_with_batches_the_mean_gradient_is_squared_as_in_the_published_code() -> None:
    split = Split(FORGET, THREE, 3, SPLIT.recipe, SPLIT.network)
    gradients = torch.stack([cross_entropy_gradient(W, x, int(y)) for x, y in zip(THREE.x, THREE.y, strict=True)])
    forget = gradients.mean(0) ** 2
    everything = (3 * forget + cross_entropy_gradient(W, FORGET.x[0], 2) ** 2) / 4
    expected = torch.where(forget > everything, W * everything / forget, W)
    (found, *_) = run_toy("ssd", {"alpha": 1.0, "batch_size": 3}, split)
    torch.testing.assert_close(found, expected.expand(2, -1, -1))


def test_labels_do_not_matter_to_loss_free_dampening() -> None:
    wrong = Split(
        Examples(THREE.x, (THREE.y + 1) % 3), Examples(FORGET.x, (FORGET.y + 1) % 3), 3, SPLIT.recipe, SPLIT.network
    )
    for name in ("lfssd", "lfssd-det"):
        (right,), (other,) = (run_toy(name, {"alpha": 1.1}, split) for split in (SPLIT_3, wrong))
        assert torch.equal(right, other)
        assert not torch.equal(right[0], W)


@pytest.mark.parametrize("name", ["ssd", "ssd-det"])
def test_a_search_reaches_the_largest_threshold_that_a_weight_of_digits_can_be_above(name: str) -> None:
    alpha = METHODS[name].search["alpha"]
    assert isinstance(alpha, Between)
    digits = load_suite("digits")
    for kind in kinds_of(digits):
        assert alpha.high > digits.data.sizes[0] / len(tuning_set(digits, kind)), kind


@pytest.mark.parametrize("percent", [0.0, 37.0, 95.3, 100.0])
def test_a_percentile_is_that_of_numpy_without_what_is_no_number(percent: float) -> None:
    rows = torch.rand(3, 17, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    rows[0, :5] = torch.nan
    rows[1, 3] = torch.nan
    found = percentile(rows, percent)
    torch.testing.assert_close(found, torch.tensor(np.nanpercentile(rows.numpy(), percent, axis=1))[:, None])


@pytest.mark.parametrize("forgotten", [1, 10])
def test_adaptive_dampening_hits_the_logarithm_of_the_share(forgotten: int) -> None:
    """1 % forgotten, ln 2 = 0.69 % of the weights; 10 %, ln 11 = 2.4 %."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(100, 500, dtype=torch.float64, generator=generator)
    y = torch.randint(2, (100,), generator=generator)
    w = torch.randn(2, 500, dtype=torch.float64, generator=generator)
    split = Split(
        Examples(x[forgotten:], y[forgotten:]), Examples(x[:forgotten], y[:forgotten]), 2, SPLIT.recipe, SPLIT.network
    )
    (found, *_) = run_toy("assd", {}, split, w, models=1)
    share = float((found[0] != w).double().mean())
    assert share == pytest.approx(math.log(1 + forgotten) / 100, abs=0.002)


@pytest.mark.parametrize("group", [1, 3])
def test_the_fisher_information_is_that_of_autograd_one_example_one_label_at_a_time(group: int) -> None:
    """With groups: of batch means, weighted by the mean probability of the batch, the last batch smaller."""
    torch.manual_seed(0)
    networks = [convolutional().double().eval() for _ in range(2)]
    examples = random_examples(7)
    split = Split(examples, examples, CLASSES, SPLIT.recipe, SPLIT.network)
    drawn = Generators(range(2)).permutation(7)
    found = fisher(ensemble_of(networks), split, drawn, group=group)
    for model, network in enumerate(networks):
        batches = drawn[model].split(group)
        expected = torch.zeros_like(found[model])
        for batch in batches:
            x = examples.x[batch.repeat(2)]  # twice: torch's BatchNorm may go backward wrongly on a batch of one
            for label in range(CLASSES):
                network.zero_grad()
                loss = F.cross_entropy(network(x), torch.full((len(x),), label))
                loss.backward()
                gradient = torch.cat([each.grad.flatten() for each in network.parameters() if each.grad is not None])
                expected += network(x).softmax(1)[:, label].mean().detach() * gradient**2 / len(batches)
        torch.testing.assert_close(found[model], expected, rtol=1e-9, atol=1e-14)


def test_the_official_noise_has_the_published_variances() -> None:
    """A 3 x 2 classifier, a 4 x 5 matrix and four biases; class 1 is forgotten whole."""
    hidden, last = nn.Linear(5, 4), nn.Linear(2, 3, bias=False)
    network = nn.ModuleDict({"hidden": hidden, "head": last}).double()
    ensemble = Ensemble.stack([network], Origin("test", "0", "pretrained", None, (0,)), (5,))
    names = [name for name, _ in ensemble.network.named_parameters()]
    sizes = {"hidden.weight": (4, 5), "hidden.bias": (4,), "head.weight": (3, 2)}
    information = {name: torch.full(sizes[name], 0.5, dtype=torch.float64) for name in names}
    information["hidden.weight"][0] = torch.tensor([0.0, 1.0, 1.0, 1.0, 1.0])
    information["hidden.bias"][1] = 0.0
    information["head.weight"][0] = torch.tensor([0.0, 0.5])
    flat = torch.cat([information[name].flatten() for name in names])[None]
    mean, variance = official(ensemble, flat, 0.1, torch.tensor([False, True, False]))
    means, variances = (
        {name: part[0] for name, part in zip(names, in_parts(ensemble, each), strict=True)} for each in (mean, variance)
    )
    weights = variances["hidden.weight"]
    torch.testing.assert_close(
        weights[0], torch.full((5,), 0.1 * (1000 + 4) / 5, dtype=torch.float64), rtol=1e-6, atol=0
    )
    torch.testing.assert_close(weights[1:], torch.full((3, 5), 0.2, dtype=torch.float64), rtol=1e-6, atol=0)
    torch.testing.assert_close(
        variances["hidden.bias"], torch.tensor([2.0, 1000.0, 2.0, 2.0]).double(), rtol=1e-6, atol=0
    )
    head = torch.tensor([[51.0, 51.0], [1e-3, 1e-3], [2.0, 2.0]]).double()
    torch.testing.assert_close(variances["head.weight"], head, rtol=1e-6, atol=0)
    assert (means["head.weight"][1] == 0).all()
    assert torch.equal(means["head.weight"][0], last.weight[0])
    assert torch.equal(means["hidden.weight"], hidden.weight)


def test_a_class_is_gone_when_it_is_forgotten_and_nowhere_kept() -> None:
    keep, drop = torch.tensor([0, 0, 3]), torch.tensor([1, 3, 1])
    split = Split(
        Examples(keep[:, None].double(), keep), Examples(drop[:, None].double(), drop), 5, SPLIT.recipe, SPLIT.network
    )
    assert whole_classes(split).tolist() == [False, True, False, False, False]


def test_the_official_variant_draws_around_zero_what_is_forgotten_whole() -> None:
    """Of SPLIT_3, class 2 is forgotten whole: in 500 models its row has mean 0 and variance 1e-3."""
    (found,) = run_toy("fisher-forgetting", {"variant": "official", "alpha": 1e-12}, SPLIT_3, models=500)
    assert (found[:, 2].mean(0).abs() < 0.006).all()
    assert float(found[:, 2].std()) == pytest.approx(1e-3**0.5, rel=0.1)
    torch.testing.assert_close(found[:, :2], W[:2].expand(500, -1, -1), rtol=0, atol=1e-3)


def test_a_task_vector_gone_forward_is_the_fine_tune(ensemble: Ensemble, suite: Suite, forget: ForgetSet) -> None:
    split = suite.split(forget)
    swapped = Split(split.forget, split.forget, split.classes, split.recipe, split.network)
    settings = {"epochs": 2, "lr": 0.01, "batch_size": 16}
    chance = [Generators(range(3)) for _ in range(2)]
    unlearn = [METHODS[name].unlearn for name in ("task-vector", "fine-tune")]
    assert unlearn[0]
    assert unlearn[1]
    there = unlearn[0](ensemble, split, METHODS["task-vector"].config(**settings, scale=-1.0), chance[0])
    tuned = unlearn[1](ensemble, swapped, METHODS["fine-tune"].config(**settings), chance[1])
    for found, expected in zip(there, tuned, strict=True):
        torch.testing.assert_close(flat_weights(found), flat_weights(expected), rtol=0, atol=1e-6)
        assert torch.equal(found.state()["1.running_mean"], ensemble.state()["1.running_mean"])


def test_the_consensus_of_fine_tunes_is_their_mean_where_all_signs_are_one() -> None:
    vectors = torch.tensor([[[1.0, -1.0, 1.0, 0.0, 0.0]], [[3.0, -2.0, -1.0, 0.0, 1.0]]])
    assert consensus(vectors).tolist() == [[2.0, -1.5, 0.0, 0.0, 0.0]]


def test_the_parts_of_rum_are_thirds_in_the_order_of_memorisation(suite: Suite, forget: ForgetSet) -> None:
    low, medium, high = refined(suite, forget, [0], Rum())
    assert [len(low), len(medium), len(high)] == [17, 17, 16]
    assert sorted(torch.cat([low, medium, high]).tolist()) == list(range(50))
    margins, masks = read_subsets(suite)
    own = []
    for row in forget.indices:  # mean margin of models that were trained on it, less that of the others
        with_it = masks[:, row]
        own.append(margins[with_it, row].mean(dtype=float) - margins[~with_it, row].mean(dtype=float))
    gains = np.array(own)
    assert gains[low].max() < gains[medium].min() < gains[medium].max() < gains[high].min()


def test_rum_leaves_out_a_part_that_is_empty() -> None:
    parts = [torch.tensor([0]), torch.tensor([1]), torch.tensor([], dtype=torch.int64)]
    split = Split(FORGET, Examples(THREE.x[:2], THREE.y[:2]), 3, SPLIT.recipe, SPLIT.network, extra=parts)
    (found,) = run_toy("rum", {}, split)
    (alone,) = run_toy("fine-tune", {}, split)
    torch.testing.assert_close(found, alone)


def test_the_parts_of_rum_take_the_epochs_and_rates_that_are_asked_for() -> None:
    """One part is left, so its method does what it does alone with these settings; 0 leaves it at its own."""
    nobody = torch.tensor([], dtype=torch.int64)
    split = Split(FORGET, Examples(THREE.x[:1], THREE.y[:1]), 3, SPLIT.recipe, SPLIT.network, extra=[nobody] * 3)
    for place, part in enumerate(("medium", "high"), 1):
        parts = [nobody, nobody, nobody]
        parts[place] = torch.tensor([0])
        asked = {"low": "identity", part: "fine-tune", f"{part}_epochs": 3, f"{part}_lr": 0.05}
        (found,) = run_toy("rum", asked, dataclasses.replace(split, extra=parts))
        *_, alone = run_toy("fine-tune", {"epochs": 3, "lr": 0.05}, split)
        torch.testing.assert_close(found, alone)
        assert not torch.allclose(found, run_toy("fine-tune", {}, split)[-1])


@pytest.mark.parametrize("wrong", [{"medium_epochs": -1}, {"high_lr": -0.1}])
def test_rum_refuses_epochs_and_rates_below_0(wrong: dict[str, float]) -> None:
    with pytest.raises(BadSetting, match=r"rum: .* or 0 for the method's own, got"):
        configure("rum", METHODS["rum"], wrong)


def test_rum_that_would_do_nothing_says_so() -> None:
    """One example is the least memorised third of a forget set of one, which the defaults leave alone."""
    parts = [torch.tensor([0]), *[torch.tensor([], dtype=torch.int64)] * 2]
    split = Split(FORGET, Examples(THREE.x[:1], THREE.y[:1]), 3, SPLIT.recipe, SPLIT.network, extra=parts)
    with pytest.raises(MethodFailed, match="1 examples make no part that is not left to identity"):
        run_toy("rum", {}, split)


def test_rum_says_what_makes_the_models_that_it_needs(suite: Suite) -> None:
    prepare = METHODS["rum"].prepare
    assert prepare
    assert prepare.require
    other = dataclasses.replace(suite, version=99)  # another digest: nothing of it is shipped
    with pytest.raises(StoreError, match=r"rebuild\(suite\)"):
        prepare.require(other, ForgetSet("mine", np.arange(5), ""), Rum())
    with pytest.raises(StoreError, match="has no models trained on halves"):
        prepare.require(dataclasses.replace(suite, subsets=0), suite.forget_sets["random-50"], Rum())


def test_a_result_of_rum_lies_elsewhere_when_the_code_of_an_inner_method_changes(
    suite: Suite, forget: ForgetSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = (Task(suite, forget, "rum", Rum(high=high), 0) for high in ("random-labels", "scrub"))
    before = one.key(range(25)), other.key(range(25))
    inner = METHODS["scrub"].module
    monkeypatch.setattr(
        "expunge.methods.task.code_digest", lambda *all_: "changed" if inner in all_ else code_digest(*all_)
    )
    assert one.key(range(25)) == before[0]
    assert other.key(range(25)) != before[1]


def test_a_method_that_reads_a_store_is_run_again_where_there_is_more_in_it(suite: Suite) -> None:
    """Of twice as many oracles others are held out, and matching must not know those that it is scored against."""
    more = dataclasses.replace(suite, models=2 * suite.models, subsets=2 * suite.subsets)

    def keys(name: str) -> set[str]:
        config = configure(name, METHODS[name], {})
        return {Task(each, each.forget_sets["random-50"], name, config, 0).key(range(25)) for each in (suite, more)}

    assert (len(keys("oracle-matching")), len(keys("rum")), len(keys("scrub"))) == (2, 2, 1)
