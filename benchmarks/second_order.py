"""Second-order unlearning of 25 models of the suite `digits`: stacked, against one ordinary model after the other in
plain PyTorch.

The loop does the same work on as many examples, the way it is published: every Hessian product from a loss of its own,
differentiated twice, every example's gradient from a backward pass of its own. It is timed on fewer models and scaled.
Each side runs in processes of its own, in the surroundings it has in use: the stack in those of expunge's workers, the
loop in those of this command. Both have one thread, and take turns; processor time is what counts, so that other work
on the machine disturbs less.
Wanted: the row second-order, by LiSSA, at least 5 times faster. Conjugate gradients and Woodbury's identity, two
solvers of the row influence, are shown beside it: much of their time is one plain gradient of all retained examples.
Run: python benchmarks/second_order.py
"""

import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from expunge.clusters import WORKER_ENVIRONMENT
from expunge.ensembles import Ensemble, pretrain
from expunge.ensembles.seeds import Generators
from expunge.methods.zoo.influence import Influence, influence
from expunge.methods.zoo.second_order import SecondOrder, second_order
from expunge.suites import Examples, Split, load_suite

MODELS, LOOP_MODELS, ROUNDS, WANTED = 25, 3, 3, 5.0
LISSA, CG, WOODBURY = SecondOrder(), Influence(solver="cg"), Influence(solver="woodbury")
NAMES = ("second-order, LiSSA", "influence, conjugate gradients", "influence, Woodbury")


def stacked(ensemble: Ensemble, split: Split) -> dict[str, Callable[[], object]]:
    """All models at once."""
    models = range(len(ensemble))
    works = (
        lambda: list(second_order(ensemble, split, LISSA, Generators(models))),
        lambda: list(influence(ensemble, split, CG, Generators(models))),
        lambda: list(influence(ensemble, split, WOODBURY, Generators(models))),
    )
    return dict(zip(NAMES, works, strict=True))


@dataclass(frozen=True)
class One:
    """The same on one ordinary model; vectors are flat."""

    network: nn.Module
    split: Split

    def works(self) -> dict[str, Callable[[], object]]:
        return dict(zip(NAMES, (self.lissa, self.conjugate_gradients, self.woodbury), strict=True))

    def lissa(self) -> Tensor:
        u = v = self.gradient(self.split.forget)
        for _ in range(LISSA.iterations):
            image = self.product(*self.sample(LISSA.batch_size), u)
            u = v + u - (image + LISSA.damping * u) / LISSA.scale
        return u / LISSA.scale

    def conjugate_gradients(self) -> Tensor:
        residual = direction = self.gradient(self.split.forget) - self.gradient(self.split.retain)
        solution, (x, y) = torch.zeros_like(residual), self.sample(CG.curvature_examples)
        for _ in range(CG.iterations):
            image = self.product(x, y, direction) + CG.damping * direction
            square = residual @ residual
            size = square / (direction @ image)
            solution, residual = solution + size * direction, residual - size * image
            direction = residual + (residual @ residual) / square * direction
        return solution

    def woodbury(self) -> Tensor:
        v = self.gradient(self.split.forget) - self.gradient(self.split.retain)
        x, y = self.sample(WOODBURY.curvature_examples)
        g = torch.stack([self.gradient(Examples(*each)) for each in zip(x.split(1), y.split(1), strict=True)])
        kernel = g @ g.T + len(g) * WOODBURY.damping * torch.eye(len(g))
        step: Tensor = (v - g.T @ torch.linalg.solve(kernel, g @ v)) / WOODBURY.damping
        return step

    def gradient(self, examples: Examples) -> Tensor:
        parts = zip(examples.x.split(64), examples.y.split(64), strict=True)
        sums = [flat(torch.autograd.grad(self.loss(x, y) * len(y), self.own)) for x, y in parts]
        return torch.stack(sums).sum(0)

    def product(self, x: Tensor, y: Tensor, v: Tensor) -> Tensor:
        first = torch.autograd.grad(self.loss(x, y), self.own, create_graph=True)
        return flat(torch.autograd.grad(flat(first) @ v, self.own))

    def loss(self, x: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(self.network(x), y)

    def sample(self, count: int) -> tuple[Tensor, Tensor]:
        rows = torch.randperm(len(self.split.retain))[:count]
        return self.split.retain.x[rows], self.split.retain.y[rows]

    @property
    def own(self) -> list[Tensor]:
        return list(self.network.parameters())


def flat(tensors: Sequence[Tensor]) -> Tensor:
    return torch.cat([each.flatten() for each in tensors])


def seconds(work: Callable[[], object], repeats: int) -> float:
    """The least processor time of several runs, after one to warm up."""
    work()
    found = []
    for _ in range(repeats):
        started = time.process_time()
        work()
        found.append(time.process_time() - started)
    return min(found)


def side(name: str) -> dict[str, float]:
    """Seconds for all models of one side, in this process."""
    torch.set_num_threads(1)
    suite = load_suite("digits")
    split, ensemble = suite.split(suite.forget_sets["random-50"]), pretrain(suite, MODELS, first=100)
    if name == "stacked":
        return {work: seconds(run, 3) for work, run in stacked(ensemble, split).items()}
    found = dict.fromkeys(NAMES, 0.0)
    for network in itertools.islice(ensemble, LOOP_MODELS):
        for work, run in One(network.eval(), split).works().items():
            found[work] += seconds(run, 2) * MODELS / LOOP_MODELS
    return found


def apart(name: str, store: str) -> dict[str, float]:
    """The same in a process of its own."""
    environment = {**os.environ, "EXPUNGE_STORE": store, **(WORKER_ENVIRONMENT if name == "stacked" else {})}
    command = [sys.executable, __file__, name]
    printed = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True, text=True).stdout
    found: dict[str, float] = json.loads(printed)
    return found


def main() -> None:
    if len(sys.argv) > 1:
        print(json.dumps(side(sys.argv[1])))
        return
    with tempfile.TemporaryDirectory() as store:
        rounds = [(apart("stacked", store), apart("loop", store)) for _ in range(ROUNDS)]
    for name in NAMES:
        together, single = (min(each[name] for each in some) for some in zip(*rounds, strict=True))
        print(f"{name}: {together:.2f} s stacked, {single:.2f} s one by one, {single / together:.1f} times")
    ratio = min(single[NAMES[0]] for _, single in rounds) / min(together[NAMES[0]] for together, _ in rounds)
    print(f"ratio={ratio:.2f}")
    sys.exit(ratio < WANTED)


if __name__ == "__main__":
    main()
