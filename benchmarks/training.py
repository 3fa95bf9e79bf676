"""Training models of `digits`: stacked, as `expunge build` does it, against a plain PyTorch loop.

The loop trains one model after the other, same network, batches, epochs and schedule, with the better of 1 and 2
threads; it is timed on fewer models and scaled. The build is timed whole, its workers' start included.
Wanted: at least 2 times faster, at the same accuracy. With `lstm` the network reads the digits row by row; recurrent
layers run model by model within the stack, so there it is to be no slower than the loop.
Run: python benchmarks/training.py [lstm]
"""

import os
import sys
import tempfile
import time
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from expunge.engine import default_workers
from expunge.ensembles import Plan, build
from expunge.ensembles.seeds import seed_of
from expunge.suites import Suite, load_suite

LOOP_MODELS = 10


class Reader(nn.Module):
    """An LSTM over the rows of a picture, and a linear head on what it holds after the last."""

    def __init__(self) -> None:
        super().__init__()
        self.rows, self.head = nn.LSTM(8, 64, batch_first=True), nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        held, _ = self.rows(x.squeeze(1))
        logits: Tensor = self.head(held[:, -1])
        return logits


def loop(suite: Suite, models: int) -> float:
    """Train ``models`` models one by one; their mean test accuracy."""
    data, recipe, correct = suite.data, suite.recipe, 0.0
    for model in range(models):
        torch.manual_seed(seed_of("loop", model))
        network = suite.network()
        optimizer = torch.optim.SGD(
            network.parameters(), lr=recipe.lr, momentum=recipe.momentum, weight_decay=recipe.weight_decay
        )
        steps, step = recipe.epochs * -(-len(data.train) // recipe.batch_size), 0
        for _ in range(recipe.epochs):
            for rows in torch.randperm(len(data.train)).split(recipe.batch_size):
                optimizer.param_groups[0]["lr"] = recipe.lr_at(step, steps)
                step += 1
                optimizer.zero_grad()
                F.cross_entropy(network(data.train.x[rows]), data.train.y[rows]).backward()
                optimizer.step()
        network.eval()
        with torch.no_grad():
            correct += (network(data.test.x).argmax(1) == data.test.y).float().mean().item()
    return correct / models


def main() -> None:
    recurrent = sys.argv[1:] == ["lstm"]
    suite, models, wanted = load_suite("digits"), 25 if recurrent else 100, 1.0 if recurrent else 2.0
    if recurrent:
        suite = replace(suite, name="rows", network=Reader, architecture="", derive=None, subsets=0, published=False)
    rates = {}
    for threads in (1, 2):
        torch.set_num_threads(threads)
        loop(suite, 1)  # warm-up
        started = time.perf_counter()
        accuracy = loop(suite, LOOP_MODELS)
        rates[threads] = (time.perf_counter() - started) / LOOP_MODELS
        print(f"loop, {threads} threads: {rates[threads]:.3f} s/model, test accuracy {accuracy:.4f}")
    with tempfile.TemporaryDirectory() as store:
        os.environ["EXPUNGE_STORE"] = store
        started = time.perf_counter()
        artefact = build(Plan(suite, "pretrained"), models, workers=default_workers())
        seconds = time.perf_counter() - started
        correct = np.unpackbits(artefact.array("correct"), axis=1, count=suite.data.width)
        accuracy = correct[:, len(suite.data.train) :].mean()
    print(f"stacked, {default_workers()} workers: {seconds / models:.3f} s/model, test accuracy {accuracy:.4f}")
    ratio = min(rates.values()) * models / seconds
    print(f"ratio={ratio:.2f}")
    sys.exit(ratio < wanted)


if __name__ == "__main__":
    main()
