"""What the winners of the NeurIPS 2023 challenge, pruning first and NPO do beside their equations."""

from collections.abc import Iterable
from typing import Any

import pytest
import torch
from torch import nn

from expunge.ensembles import Ensemble, Origin
from expunge.ensembles.seeds import Generators
from expunge.errors import MethodFailed
from expunge.methods import METHODS, run_method
from expunge.methods.needs import CONVOLUTIONS, SEVERAL_LAYERS
from expunge.methods.zoo.cfw import class_weights
from expunge.methods.zoo.fcs import ContrastiveRounds, fcs
from expunge.suites import Examples, Split, Suite
from expunge.suites.recipe import Recipe
from tests.ensembles.plain import CLASSES, convolutional, ensemble_of, random_examples
from tests.methods.cases import ALONE
from tests.methods.equations.conv_toy import PLAIN, run_conv, starts

LAYERS = {CONVOLUTIONS, SEVERAL_LAYERS}  # which a bare linear network has not


def run(name: str, network: nn.Module, shape: tuple[int, ...], **settings: float) -> list[Ensemble]:
    """Two models of ``network`` after each epoch."""
    x = torch.randn(6, *shape, generator=torch.Generator().manual_seed(0))
    parts = Examples(x[:4], torch.tensor([0, 1, 2, 0])), Examples(x[4:], torch.tensor([1, 2]))
    origin, method = Origin("test", "0", "pretrained", None, (0, 1)), METHODS[name]
    assert method.unlearn is not None
    split = Split(*parts, 3, Recipe(epochs=1, batch_size=4, lr=0.1), lambda: network)
    ensemble = Ensemble.stack([network, network], origin, shape)
    return list(method.unlearn(ensemble, split, method.config(**settings), Generators(range(2))))


@pytest.mark.parametrize("name", [name for name, row in METHODS.items() if CONVOLUTIONS in row.needs])
def test_a_network_without_convolutions_fails_in_one_line(name: str) -> None:
    with pytest.raises(MethodFailed, match=r"^expected a network with a convolution, found none$"):
        run(name, nn.Sequential(nn.Linear(5, 3)), (5,))


def test_a_forget_set_of_more_batches_than_are_kept_is_contrasted_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def count(student: Ensemble, optimizer: object, loss: object, batches: Iterable[Any]) -> None:
        seen.append([len(batch[0][0][0]) if isinstance(batch[0], tuple) else len(batch[0][0]) for batch in batches])

    monkeypatch.setattr("expunge.methods.zoo.fcs.take_steps", count)
    data = random_examples(70, torch.float32)
    retain, forget = Examples(data.x[:20], data.y[:20]), Examples(data.x[20:], data.y[20:])
    split = Split(retain, forget, CLASSES, Recipe(epochs=1, batch_size=16, lr=0.1), convolutional)
    config = ContrastiveRounds(batch_size=16, forget_batch_size=16)
    list(fcs(ensemble_of([convolutional()]), split, config, Generators([0])))
    assert seen == [[16, 16, 16, 2], [16, 16, 16, 2], [16, 4]]  # towards uniform; contrast; retain


@pytest.mark.parametrize("name", [name for name in ALONE if not LAYERS.intersection(METHODS[name].needs)])
def test_a_bare_linear_network_is_enough(name: str) -> None:
    for network in (nn.Sequential(nn.Linear(5, 3)), nn.Linear(5, 3)):
        assert run(name, network, (5,))


def test_only_square_kernels_are_transposed_and_one_must_be_wider_than_1() -> None:
    layers = nn.Conv2d(1, 1, 1), nn.Conv2d(1, 1, (1, 3)), nn.Conv2d(1, 2, 2), nn.Flatten(), nn.Linear(8, 3)
    network = nn.Sequential(*layers)
    *_, last = run("ct", network, (1, 3, 5), lr=1e-30)
    for key, tensor in network.state_dict().items():
        expected = tensor.transpose(2, 3) if key == "2.weight" else tensor
        assert torch.allclose(last.state()[key], expected, atol=1e-9)
    with pytest.raises(MethodFailed, match="square kernel wider than 1 x 1"):
        run("ct", nn.Sequential(*layers[:2], nn.Flatten(), nn.Linear(9, 3)), (1, 3, 5))


def test_balanced_classes_weigh_one_and_absent_ones_nothing_to_divide_by() -> None:
    assert torch.equal(class_weights(torch.tensor([0, 1, 2, 3]), 4), torch.ones(4))
    weights = class_weights(torch.tensor([0, 0, 0, 2]), 4)
    assert weights[[0, 2]].tolist() == pytest.approx([4 / 6, 2.0])
    assert weights.isfinite().all()


def test_each_convolution_loses_its_share_by_msg() -> None:
    (after,) = run_conv("msg", {**PLAIN, "lr": 1e-30, "reset": 0.5})
    for key, count in (("0.weight", 9), ("2.weight", 8)):
        new = (after[key] - starts()[key]).abs() > 1e-20
        assert new.flatten(1).sum(1).tolist() == [count, count]


@pytest.mark.parametrize("sparsity", [0.0, 0.3, 0.9])
def test_what_was_pruned_is_zero_after_every_epoch(sparsity: float, ensemble: Ensemble, small: Suite) -> None:
    method = METHODS["prune-first"]
    config = method.config(epochs=3, sparsity=sparsity, momentum=0.9)
    steps = list(run_method("prune-first", method, config, ensemble, small, small.forget_sets["random-20"]))
    zeros = []
    for step in steps:
        kernels = [tensor.flatten(1) for key, tensor in step.ensemble.state().items() if tensor.ndim == 5]
        zeros.append(torch.cat(kernels, dim=1) == 0)
        assert (zeros[-1].sum(1) == round(sparsity * zeros[-1].shape[1])).all()
        assert torch.equal(zeros[-1], zeros[0])
    assert sparsity == 0 or not torch.equal(zeros[0][0], zeros[0][1])  # each model has its own


def test_without_sparsity_pruning_first_is_fine_tuning() -> None:
    (pruned,), (tuned,) = run_conv("prune-first", {**PLAIN, "sparsity": 0.0}), run_conv("fine-tune", PLAIN)
    assert all(torch.equal(tensor, tuned[key]) for key, tensor in pruned.items())


def test_a_sparsity_that_empties_a_layer_names_it() -> None:
    small = nn.Conv2d(2, 2, 2)
    network = nn.Sequential(nn.Conv2d(1, 2, 2), small, nn.Flatten(), nn.Linear(18, 3))
    with torch.no_grad():
        small.weight.mul_(1e-3)
    with pytest.raises(MethodFailed, match=r"^sparsity 0\.8 leaves layer '1' without a weight; choose a lower one$"):
        run("prune-first", network, (1, 5, 5), sparsity=0.8)


def test_a_network_without_convolutions_is_pruned_in_its_linear_layers() -> None:
    *_, last = run("prune-first", nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 3)), (5,), sparsity=0.25)
    zeros = torch.cat([last.state()[key].flatten(1) for key in ("0.weight", "2.weight")], dim=1) == 0
    assert zeros.sum(1).tolist() == [8, 8]


def test_all_is_drawn_anew_where_all_is_pruned() -> None:
    (after,) = run_conv("prmq", {**PLAIN, "lr": 1e-30, "prune": 1.0, "half": False})
    for key, tensor in starts().items():
        assert ((after[key] - tensor).abs() > 1e-9).any()
        assert float(after[key].abs().max()) <= 8**-0.5


def test_prmq_walks_on_from_what_is_not_rounded() -> None:
    settings = {**PLAIN, "epochs": 2, "prune": 0.5}
    rounded, exact = (run_conv("prmq", {**settings, "half": half}) for half in (True, False))
    assert len(rounded) == 2
    for after, whole in zip(rounded, exact, strict=True):
        for key, tensor in whole.items():
            assert torch.equal(after[key], tensor.half().to(tensor.dtype)), key
            assert not torch.equal(after[key], tensor), key
