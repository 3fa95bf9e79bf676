"""Devices: which one is taken, what lies there, what happens when its memory is full; on a GPU, that it computes the
same. Where there is no GPU, ``meta`` tensors, which have a device and a shape but no numbers, stand in for its."""

import gc
import weakref
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from expunge.ensembles import Ensemble
from expunge.ensembles.device import (
    DEVICE,
    chosen_device,
    exact_arithmetic,
    in_halves,
    resident,
    resident_data,
    resident_split,
)
from expunge.ensembles.seeds import Generators
from expunge.ensembles.train import measure, train
from expunge.errors import BadSetting
from expunge.methods import METHODS
from expunge.suites import Data, Examples, Recipe, Split
from expunge.suites.recipe import Augment
from tests.ensembles.plain import CLASSES, NormedAttention, convolutional, ensemble_of, random_examples

RECIPE = Recipe(epochs=2, batch_size=16, lr=0.1, weight_decay=5e-3, label_smoothing=0.1, decay_norm=False)
EXAMPLES, MODELS = 37, 4
META = torch.device("meta")
GPU = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU that torch can use")]


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


# Which device


@pytest.mark.usefixtures("two_gpus")
@pytest.mark.parametrize(
    ("wanted", "found"),
    [("auto", "cuda:0"), ("", "cuda:0"), ("cuda", "cuda:0"), ("cuda:1", "cuda:1"), ("cpu", "cpu")],
)
def test_where_there_are_gpus_one_is_taken_unless_told_otherwise(
    wanted: str, found: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(DEVICE, wanted)
    assert chosen_device() == torch.device(found)


@pytest.mark.usefixtures("no_gpu")
@pytest.mark.parametrize("wanted", ["auto", "", "cpu"])
def test_where_there_is_none_the_cpu_is(wanted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DEVICE, wanted)
    assert chosen_device() == torch.device("cpu")


@pytest.mark.usefixtures("no_gpu")
@pytest.mark.parametrize("wanted", ["cuda", "cuda:0"])
def test_a_gpu_that_is_not_there_is_refused(wanted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DEVICE, wanted)
    with pytest.raises(BadSetting, match=f"{DEVICE}={wanted}: .* torch finds 0; choose cpu, or auto"):
        chosen_device()


@pytest.mark.usefixtures("two_gpus")
def test_a_number_beyond_the_last_gpu_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DEVICE, "cuda:2")
    with pytest.raises(BadSetting, match="torch finds 2; choose cuda:0 to cuda:1, or auto"):
        chosen_device()


@pytest.mark.usefixtures("two_gpus")
@pytest.mark.parametrize("wanted", ["gpu", "CUDA", "cuda:", "cuda:-1", "cuda:x", "cpu:0", "tpu"])
def test_a_device_that_is_none_is_refused(wanted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DEVICE, wanted)
    with pytest.raises(BadSetting, match=f"expected cpu, cuda, cuda:N or auto, got '{wanted}'"):
        chosen_device()


# What lies there


def test_examples_are_copied_once_and_live_as_long_as_their_originals() -> None:
    before = random_examples(EXAMPLES)
    first = resident(before, META)
    assert first.x.device == META
    assert first.y.device == META
    assert resident(before, META) is first
    assert resident(before, torch.device("cpu")) is before
    assert resident(random_examples(EXAMPLES), META) is not first
    copy = weakref.ref(first)
    del first
    gc.collect()
    assert copy() is not None
    del before
    gc.collect()
    assert copy() is None


def test_on_the_cpu_data_is_what_it_was() -> None:
    data = Data(random_examples(5), random_examples(6), CLASSES)
    assert resident_data(data, torch.device("cpu")) is data


class OneDevice(TorchDispatchMode):
    """Refuses every operation on tensors of two devices; a number that is asked for, here or on the CPU, is 0.

    A number in a tensor of no dimensions may stand on the CPU, as it may beside a GPU.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch has no annotation of it

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        tensors = [each for each in tree_leaves((args, kwargs)) if isinstance(each, Tensor) and each.ndim]
        devices = {each.device.type for each in tensors}
        copies = func in (torch.ops.aten._to_copy.default, torch.ops.aten.copy_.default)
        if len(devices) > 1 and not copies:
            raise AssertionError(f"{func} was given tensors of {sorted(devices)}")
        if func is torch.ops.aten._to_copy.default and (kwargs or {}).get("device") == torch.device("cpu"):
            return torch.zeros(args[0].shape, dtype=args[0].dtype)
        if func is torch.ops.aten._local_scalar_dense.default:
            return 0
        return func(*args, **(kwargs or {}))


def meta_generators() -> Generators:
    """Generators that draw where the ensemble is; ``meta`` has none of its own."""
    generators = Generators(range(MODELS))
    generators.device = META
    return generators


def test_the_mode_sees_what_it_is_about() -> None:
    with OneDevice(), pytest.raises(AssertionError, match="given tensors of"):
        torch.zeros(3)[torch.zeros(2, dtype=torch.int64, device=META)]


@pytest.mark.parametrize("augment", ["none", "flip", "flip-crop"])
@pytest.mark.parametrize("network", [convolutional, NormedAttention])
@pytest.mark.filterwarnings("ignore:There is a performance drop")
def test_training_and_measuring_mix_no_devices(network: Callable[[], nn.Module], augment: Augment) -> None:
    data, rows = random_examples(EXAMPLES, torch.float32), torch.arange(EXAMPLES).expand(MODELS, -1)
    ensemble = ensemble_of([network() for _ in range(MODELS)]).to(META)
    recipe = replace(RECIPE, augment=augment)
    with OneDevice():
        train(ensemble, data, rows, recipe, meta_generators())
        values, correct = measure(ensemble, Data(data, data, CLASSES), batch_size=10)
    assert ensemble.device == META
    assert values.shape == correct.shape == (MODELS, 2 * EXAMPLES)
    assert values.device == correct.device == torch.device("cpu")


BY_VALUES = {"amun", "lotus"}  # what they do next depends on values, of which this device has none


@pytest.mark.parametrize(
    "name", sorted(name for name, row in METHODS.items() if row.unlearn and not row.prepare and name not in BY_VALUES)
)
def test_methods_run_where_the_ensemble_and_the_split_are(name: str) -> None:
    unlearn = METHODS[name].unlearn
    assert unlearn is not None
    data = random_examples(EXAMPLES, torch.float32)
    parts = Examples(data.x[:30], data.y[:30]), Examples(data.x[30:], data.y[30:])
    split = resident_split(Split(*parts, CLASSES, Recipe(epochs=1, batch_size=16, lr=0.1), convolutional), META)
    ensemble = ensemble_of([convolutional() for _ in range(MODELS)]).to(META)
    with OneDevice():
        students = list(unlearn(ensemble, split, METHODS[name].config(), meta_generators()))
    assert students
    assert all(student.device == META for student in students)


# Memory


class Crowded(nn.Module):
    """Raises what a GPU raises when more than ``room`` models run at once."""

    def __init__(self, network: nn.Module, room: int) -> None:
        super().__init__()
        self.network, self.room = network, room
        self.crowd = 0

    def forward(self, x: Tensor) -> Tensor:
        if self.crowd > self.room:
            raise torch.OutOfMemoryError(f"CUDA out of memory with {self.crowd} models")
        logits: Tensor = self.network(x)
        return logits


def crowded(models: Sequence[int], room: int) -> Ensemble:
    networks: list[nn.Module] = []
    for model in models:
        torch.manual_seed(model)
        networks.append(Crowded(convolutional().double(), room))
    ensemble = ensemble_of(networks)
    assert isinstance(ensemble.network, Crowded)
    ensemble.network.crowd = len(models)
    return ensemble


def margins_in_halves(room: int, said: list[str]) -> Tensor:
    data = random_examples(EXAMPLES)

    def work(models: Sequence[int]) -> Tensor:
        rows = torch.arange(EXAMPLES).expand(len(models), -1)
        ensemble = train(crowded(models, room), data, rows, replace(RECIPE, epochs=1), Generators(models))
        return measure(ensemble, Data(data, data, CLASSES))[0]

    return torch.cat(in_halves(work, range(7), said.append))


@cache
def margins_at_once() -> Tensor:
    return margins_in_halves(7, [])


@pytest.mark.parametrize(("room", "sizes"), [(6, [3]), (3, [3]), (2, [3, 1]), (1, [3, 1])])
def test_a_chunk_that_does_not_fit_is_halved_and_nothing_is_lost(room: int, sizes: list[int]) -> None:
    said: list[str] = []
    found = margins_in_halves(room, said)
    assert [int(line.rpartition(" ")[2]) for line in said] == sizes
    assert said[0] == "out of GPU memory with 7 models at once: going on with 3"
    torch.testing.assert_close(found, margins_at_once(), rtol=0, atol=1e-10)


def test_a_chunk_that_fits_is_not_halved() -> None:
    said: list[str] = []
    margins_in_halves(7, said)
    assert said == []


def test_a_model_that_does_not_fit_alone_is_told_of_in_one_line() -> None:
    with pytest.raises(BadSetting, match="model 0 alone does not fit into the GPU's memory") as caught:
        margins_in_halves(0, [])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("words", ["cuDNN error: CUDNN_STATUS_ALLOC_FAILED", "CUDA error: out of memory"])
def test_libraries_that_say_it_in_their_own_words_are_understood(words: str) -> None:
    def work(models: Sequence[int]) -> list[int]:
        if len(models) > 2:
            raise RuntimeError(words)
        return list(models)

    assert in_halves(work, range(5), lambda _: None) == [[0, 1], [2, 3], [4]]


def test_other_errors_are_not_about_memory() -> None:
    def work(models: Sequence[int]) -> None:
        raise RuntimeError("size mismatch")

    with pytest.raises(RuntimeError, match="size mismatch"):
        in_halves(work, range(5), pytest.fail)


def test_settings_of_the_arithmetic_are_as_before_afterwards() -> None:
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    before = cudnn.allow_tf32, cudnn.deterministic, cudnn.benchmark, matmul.allow_tf32
    with exact_arithmetic():
        assert (cudnn.allow_tf32, cudnn.deterministic, cudnn.benchmark, matmul.allow_tf32) == (
            False,
            True,
            False,
            False,
        )
    assert (cudnn.allow_tf32, cudnn.deterministic, cudnn.benchmark, matmul.allow_tf32) == before


@pytest.mark.skipif(not hasattr(torch.backends.cudnn, "conv"), reason="a torch with the older settings alone")
def test_settings_made_by_their_newer_names_are_understood() -> None:
    cudnn: Any = torch.backends.cudnn  # whose annotations are of before
    places = cudnn.conv, torch.backends.cuda.matmul
    before = [place.fp32_precision for place in places]
    try:
        for place in places:
            place.fp32_precision = "tf32"
        with exact_arithmetic():
            assert [place.fp32_precision for place in places] == ["ieee", "ieee"]
        assert [place.fp32_precision for place in places] == ["tf32", "tf32"]
    finally:
        for place, value in zip(places, before, strict=True):
            place.fp32_precision = value


# On a GPU


class CpuChance(Generators):
    """Chance drawn on the CPU, then moved: so that both devices see the same batches."""

    def permutation(self, n: int) -> Tensor:
        return torch.stack([torch.randperm(n, generator=each) for each in self._each]).to("cuda")

    def integers(self, high: int, n: int) -> Tensor:
        return torch.stack([torch.randint(high, (n,), generator=each) for each in self._each]).to("cuda")


def both(network: Callable[[], nn.Module], recipe: Recipe, dtype: torch.dtype) -> tuple[Ensemble, Ensemble]:
    """The same models trained on the CPU and on the GPU, with the same chance."""
    torch.manual_seed(0)
    networks = [network().to(dtype) for _ in range(MODELS)]
    data, rows = random_examples(EXAMPLES, dtype), torch.arange(EXAMPLES).expand(MODELS, -1)
    on_cpu = train(ensemble_of(networks), data, rows, recipe, Generators(range(MODELS)))
    on_gpu = train(ensemble_of(networks).to("cuda"), data, rows, recipe, CpuChance(range(MODELS)))
    assert on_gpu.device.type == "cuda"
    return on_cpu, on_gpu


class TestOnAGpu:
    pytestmark = GPU

    @pytest.mark.parametrize("augment", ["none", "flip-crop"])
    @pytest.mark.parametrize("network", [convolutional, NormedAttention])
    @pytest.mark.filterwarnings("ignore:There is a performance drop")
    def test_training_and_margins_are_those_of_the_cpu(
        self, network: Callable[[], nn.Module], augment: Augment
    ) -> None:
        """To 1e-8 in float64: sums are taken in another order, and two epochs let that grow."""
        on_cpu, on_gpu = both(network, replace(RECIPE, augment=augment), torch.float64)
        for key, tensor in on_cpu.state().items():
            torch.testing.assert_close(on_gpu.state()[key].cpu(), tensor, rtol=0, atol=1e-8, msg=key)
        data = Data(random_examples(EXAMPLES), random_examples(5), CLASSES)
        (expected, right), (found, also_right) = measure(on_cpu, data), measure(on_gpu, data)
        assert found.device == torch.device("cpu")
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-7)
        assert torch.equal(right, also_right)

    def test_float32_is_float32_and_not_tf32(self) -> None:
        """TF32 keeps 10 bits of each factor: margins would differ in the third digit."""
        data = random_examples(EXAMPLES, torch.float32)
        ensemble = ensemble_of([convolutional() for _ in range(MODELS)]).eval()
        expected, _ = measure(ensemble, Data(data, data, CLASSES))
        found, _ = measure(ensemble.to("cuda"), Data(data, data, CLASSES))
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)

    def test_two_runs_give_the_same_bytes(self) -> None:
        runs = []
        for _ in range(2):
            torch.manual_seed(0)
            ensemble = ensemble_of([convolutional() for _ in range(MODELS)]).to("cuda")
            data, rows = random_examples(EXAMPLES, torch.float32), torch.arange(EXAMPLES).expand(MODELS, -1)
            recipe = replace(RECIPE, augment="flip-crop", precision="bfloat16")
            runs.append(train(ensemble, data, rows, recipe, Generators(range(MODELS), "cuda")).state())
        assert all(torch.equal(runs[0][key], runs[1][key]) for key in runs[0])

    def test_bfloat16_runs_and_keeps_weights_in_float32(self) -> None:
        on_cpu, on_gpu = both(convolutional, replace(RECIPE, precision="bfloat16"), torch.float32)
        for key, tensor in on_cpu.state().items():
            assert on_gpu.state()[key].dtype == tensor.dtype
            torch.testing.assert_close(on_gpu.state()[key].cpu(), tensor, rtol=0, atol=0.05, msg=key)

    def test_a_models_chance_does_not_depend_on_its_neighbours(self) -> None:
        together, alone = Generators(range(3), "cuda"), Generators([2], "cuda")
        for _ in range(2):
            assert torch.equal(together.permutation(50)[2], alone.permutation(50)[0])
            assert torch.equal(together.integers(9, 7)[2], alone.integers(9, 7)[0])

    def test_full_memory_is_met_with_half_the_models(self) -> None:
        """Half of what is free for each model: two do not fit, one does."""
        said: list[str] = []
        free, _ = torch.cuda.mem_get_info()

        def work(models: Sequence[int]) -> list[int]:
            held = [torch.empty(int(0.55 * free), dtype=torch.uint8, device="cuda") for _ in models]
            return [int(each.numel() > 0) for each in held]

        assert in_halves(work, range(2), said.append) == [[1], [1]]
        assert said == ["out of GPU memory with 2 models at once: going on with 1"]

    def test_the_cpu_is_taken_when_asked_for(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(DEVICE, "cpu")
        assert chosen_device() == torch.device("cpu")
        monkeypatch.delenv(DEVICE)
        assert chosen_device() == torch.device("cuda", 0)
