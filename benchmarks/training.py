"""Training 100 models of the suite `digits`: stacked, as `expunge build` does it, against a plain PyTorch loop.

The loop trains one model after the other, same network, batches, epochs and schedule, with the better of 1 and 2
threads; it is timed on fewer models and scaled. The build is timed whole, its workers' start included.
Wanted: at least 2 times faster, at the same accuracy. Run: python benchmarks/training.py
"""

import os
import sys
import tempfile
import time

import numpy as np
import torch
import torch.nn.functional as F

from expunge.engine import default_workers
from expunge.ensembles import Plan, build
from expunge.ensembles.seeds import seed_of
from expunge.suites import Suite, load_suite

MODELS, LOOP_MODELS, WANTED = 100, 10, 2.0


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
    suite, rates = load_suite("digits"), {}
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
        artefact = build(Plan(suite, "pretrained"), MODELS, workers=default_workers())
        seconds = time.perf_counter() - started
        correct = np.unpackbits(artefact.array("correct"), axis=1, count=suite.data.width)
        accuracy = correct[:, len(suite.data.train) :].mean()
    print(f"stacked, {default_workers()} workers: {seconds / MODELS:.3f} s/model, test accuracy {accuracy:.4f}")
    ratio = min(rates.values()) * MODELS / seconds
    print(f"ratio={ratio:.2f}")
    sys.exit(ratio < WANTED)


if __name__ == "__main__":
    main()
