"""How many examples a second one thread of this CPU trains, by network and precision: what docs/scale.md multiplies.

The loop is the one of `expunge build`, on synthetic examples of the right shape; a rate counts one example through one
model, forward and backward. Prints a table and one line of JSON. Run: python benchmarks/rates.py [--steps N]
"""

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Literal

import torch
from torch import nn

from expunge.ensembles import Ensemble, Origin
from expunge.ensembles.seeds import Generators
from expunge.ensembles.train import train
from expunge.jobs import one_thread
from expunge.suites import Examples, Recipe
from expunge.suites.networks import lenet, resnet9

Precision = Literal["float32", "bfloat16"]

RECIPE = Recipe(epochs=1, batch_size=64, lr=0.1)
CLASSES = 10


@dataclass(frozen=True)
class Case:
    """A network, the shape of its inputs, and how many models train together."""

    name: str
    network: Callable[[], nn.Module]
    shape: tuple[int, ...]
    models: int


CASES = (Case("LeNet", lenet, (1, 28, 28), 10), Case("ResNet-9", resnet9, (3, 32, 32), 1))


@dataclass(frozen=True)
class Rate:
    """Examples a second, forward and backward, times models."""

    network: str
    parameters: int
    precision: str
    models: int
    batch_size: int
    examples_per_second: float


def synthetic(n: int, shape: tuple[int, ...], classes: int = CLASSES) -> Examples:
    """Random inputs and labels: the time of a step does not depend on what they are."""
    chance = torch.Generator().manual_seed(0)
    return Examples(torch.randn(n, *shape, generator=chance), torch.randint(classes, (n,), generator=chance))


def stacked(network: Callable[[], nn.Module], models: int, shape: tuple[int, ...], device: torch.device) -> Ensemble:
    """Fresh models of no suite on ``device``."""
    origin = Origin("benchmark", "", "pretrained", None, tuple(range(models)))
    return Ensemble.stack([network() for _ in range(models)], origin, shape).to(device)


def step_seconds(ensemble: Ensemble, examples: Examples, recipe: Recipe, steps: int) -> float:
    """Seconds of one step of the training loop, out of an epoch of ``steps``, after two steps to warm up."""
    epoch, device = replace(recipe, epochs=1), ensemble.device
    rows = torch.arange(steps * recipe.batch_size).remainder(len(examples)).expand(len(ensemble), -1)
    generators = Generators(range(len(ensemble)), device)
    train(ensemble, examples, rows[:, : 2 * recipe.batch_size], epoch, generators)
    started = synchronised(device)
    train(ensemble, examples, rows, epoch, generators)
    return (synchronised(device) - started) / steps


def synchronised(device: torch.device) -> float:
    """The time now, all work of ``device`` done; in seconds."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def rate(case: Case, precision: Precision, steps: int) -> Rate:
    recipe = replace(RECIPE, precision=precision)
    ensemble = stacked(case.network, case.models, case.shape, torch.device("cpu"))
    examples = synthetic(steps * recipe.batch_size, case.shape)
    with one_thread():
        seconds = step_seconds(ensemble, examples, recipe, steps)
    parameters = sum(tensor.numel() for tensor in ensemble.parameters()) // case.models
    worth = case.models * recipe.batch_size / seconds
    return Rate(case.name, parameters, precision, case.models, recipe.batch_size, worth)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=4, help="steps timed for each row")
    steps = parser.parse_args().steps
    precisions: tuple[Precision, ...] = ("float32", "bfloat16")
    rates = [rate(case, precision, steps) for case in CASES for precision in precisions]
    print("| network | parameters | precision | models | batch | examples a second |")
    print("| --- | --- | --- | --- | --- | --- |")
    for each in rates:
        print(
            f"| {each.network} | {each.parameters:,} | {each.precision} | {each.models} | {each.batch_size} | "
            f"{each.examples_per_second:,.0f} |"
        )
    print(json.dumps([asdict(each) for each in rates]))


if __name__ == "__main__":
    main()
