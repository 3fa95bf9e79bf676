"""Training `cifar10-resnet9` on a GPU: models an hour, stacked 1, 10, 50 and 100 at a time, in float32 and bfloat16.

The loop is the one of `expunge build`: an epoch of a few steps is timed and scaled to the recipe's, and measuring the
margins of all examples is added. With `--easydub PATH`, a checkout of EasyDUB-code, its own grouped trainer is timed
on the same examples in the same run: its training alone, without the margins that it takes after every epoch. Prints a
table for benchmarks/README.md. Without a GPU nothing is measured. Run: python benchmarks/gpu.py [--easydub PATH]
"""

import argparse
import contextlib
import gc
import importlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from types import ModuleType

import torch
from rates import Precision, stacked, step_seconds, synchronised, synthetic
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from expunge.ensembles.device import chosen_device, resident
from expunge.ensembles.train import measure
from expunge.errors import ExpungeError, MissingData
from expunge.suites import Data, Examples, Suite, load_suite

MODELS = (1, 10, 50, 100)
PRECISIONS: tuple[Precision, ...] = ("float32", "bfloat16")
MEASURED = 1024  # examples whose margins are timed
FEWEST = 4  # steps of an epoch: EasyDUB's schedule divides by zero in fewer


@dataclass(frozen=True)
class Work:
    """What is trained, for how long, and what one example costs forward and backward."""

    suite: Suite
    examples: Examples
    steps: int  # timed
    device: torch.device

    @property
    def recipe_steps(self) -> int:
        recipe = self.suite.recipe
        return recipe.epochs * -(-self.suite.data.sizes[0] // recipe.batch_size)

    @cached_property
    def flops(self) -> int:
        """Floating-point operations to train one model on one example: three times those of its forward pass."""
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            self.suite.network().eval()(self.examples.x[:1].float())
        return 3 * int(counter.get_total_flops())


@dataclass(frozen=True)
class Timing:
    """Seconds of one training step and of measuring all examples, and the peak of allocated memory in bytes."""

    step: float
    measuring: float
    memory: int


def ours(work: Work, models: int, precision: Precision) -> Timing:
    recipe = replace(work.suite.recipe, precision=precision)
    ensemble = stacked(work.suite.network, models, tuple(work.examples.x.shape[1:]), work.device)
    step = step_seconds(ensemble, work.examples, recipe, work.steps)
    some = Examples(work.examples.x[:MEASURED], work.examples.y[:MEASURED])
    data = Data(some, some, work.suite.data.classes)
    measure(ensemble, data)
    started = synchronised(work.device)
    measure(ensemble, data)
    seconds = synchronised(work.device) - started
    return Timing(step, seconds * work.suite.data.width / data.examples, _memory(work.device))


def theirs(work: Work, trainer: ModuleType, models: int) -> Timing:
    """EasyDUB's trainer as it stands; the time that it spends on margins is taken separately, and subtracted."""
    recipe, device = work.suite.recipe, work.device
    network: nn.Module = trainer.multi_resnet9(models, num_classes=work.suite.data.classes).to(device)
    here = resident(work.examples, device)
    n = work.steps * recipe.batch_size
    rows = torch.arange(n, device=device).remainder(len(here))
    whole, one = (here.x[rows], here.y[rows]), (here.x[:1], here.y[:1])
    warm = tuple(part[: FEWEST * recipe.batch_size] for part in whole)
    arguments = argparse.Namespace(batch_size=recipe.batch_size, lr=recipe.lr, epochs=1, peak_epoch=1, noise_std=0.0)

    def seconds(job: Callable[[], object]) -> float:
        started = synchronised(device)
        with contextlib.redirect_stdout(sys.stderr):  # it prints its epochs
            job()
        return synchronised(device) - started

    def epoch(retain: tuple[torch.Tensor, ...]) -> object:
        return trainer.train_and_eval(network, {"retain": retain, "forget": one, "val": one}, models, arguments, device)

    def margins() -> object:
        return trainer.compute_margins_multi(network, *whole, models, use_amp=torch.cuda.is_bf16_supported())

    epoch(warm)
    both, measuring = seconds(lambda: epoch(whole)), seconds(margins)
    scale = work.suite.data.width / n
    return Timing((both - measuring) / work.steps, measuring * scale, _memory(device))


def row(name: str, models: int, precision: str, work: Work, time: Callable[[], Timing], peak: float) -> str:
    """One line of the table; of what does not fit, too."""
    _free(work.device)
    try:
        timing = time()
    except torch.OutOfMemoryError:
        return f"| {name} | {models} | {precision} | out of memory | | | |"
    hours = (work.recipe_steps * timing.step + timing.measuring) / 3600
    share = models * work.suite.recipe.batch_size * work.flops / timing.step / peak
    return (
        f"| {name} | {models} | {precision} | {timing.step * 1e3:,.1f} | {models / hours:,.1f} | "
        f"{timing.memory / 1e9:,.1f} | {share:.1%} |"
    )


def peak_flops(device: torch.device, size: int = 8192) -> float:
    """Floating-point operations a second of a product of two bfloat16 matrices, the best of five."""
    matrix = torch.randn(size, size, device=device, dtype=torch.bfloat16)
    matrix @ matrix
    best = float("inf")
    for _ in range(5):
        started = synchronised(device)
        matrix @ matrix
        best = min(best, synchronised(device) - started)
    return 2 * size**3 / best


def table(work: Work, trainer: ModuleType | None, models: tuple[int, ...], peak: float) -> Iterator[str]:
    yield "| trainer | models | precision | ms a step | models an hour | GB | of the bf16 peak |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for count in models:
        for precision in PRECISIONS:
            yield row("expunge", count, precision, work, partial(ours, work, count, precision), peak)
        if trainer is not None:  # it takes bfloat16 wherever the GPU has it
            taken = "bfloat16" if torch.cuda.is_bf16_supported() else "float32"
            yield row("EasyDUB", count, taken, work, partial(theirs, work, trainer, count), peak)


def easydub(path: Path) -> ModuleType:
    """EasyDUB's trainer out of a checkout of its repository; it runs that code."""
    if not (path / "train_models.py").is_file():
        raise SystemExit(f"--easydub {path}: expected a checkout of EasyDUB-code with train_models.py in it")
    sys.path.insert(0, str(path.resolve()))
    try:
        return importlib.import_module("train_models")
    except ImportError as error:
        raise SystemExit(f"--easydub {path}: {error}; install what EasyDUB-code needs") from error


def examples_of(suite: Suite) -> tuple[Examples, str]:
    """The suite's training examples and what to call them; synthetic ones where it has none here."""
    try:
        return suite.data.train, "CIFAR-10"
    except MissingData:
        return synthetic(10_000, (3, 32, 32), suite.data.classes), "synthetic examples of CIFAR-10's shape"


def _free(device: torch.device) -> None:
    """Give back what the row before has left."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)


def _memory(device: torch.device) -> int:
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--easydub", type=Path, help="a checkout of EasyDUB-code, whose trainer is timed too")
    parser.add_argument("--steps", type=int, default=20, help="steps timed for each row")
    parser.add_argument("--models", type=int, nargs="+", default=MODELS, help="how many models are stacked")
    options = parser.parse_args()
    if options.steps < FEWEST or min(options.models) < 1:
        parser.error(f"expected --steps of at least {FEWEST} and --models of at least 1")
    device = chosen_device()
    if device.type != "cuda":
        print("no GPU here: nothing measured")
        return
    suite = load_suite("cifar10-resnet9")
    trainer = easydub(options.easydub) if options.easydub else None
    examples, name = examples_of(suite)
    peak = peak_flops(device)
    print(f"{torch.cuda.get_device_name(device)}, torch {torch.__version__}, {name}, {options.steps} steps a row;")
    print(f"the bf16 peak is that of a product of matrices of 8,192: {peak / 1e12:,.0f} TFLOP/s\n")
    for line in table(Work(suite, examples, options.steps, device), trainer, tuple(options.models), peak):
        print(line, flush=True)


if __name__ == "__main__":
    try:
        main()
    except ExpungeError as error:
        raise SystemExit(str(error)) from None
