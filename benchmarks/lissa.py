"""The certified Newton step by LiSSA of 25 models: stacked, against one ordinary model after the other in plain torch.

On `digits`, a small convolutional network, and on `tabular-mlp`. The loop does the same work on as many examples, the
way it is published: every Hessian product from a loss of its own, differentiated twice, on a fresh batch; gradient of
all that is kept, power iteration for the scale, Lanczos on a sample, the residual. It is timed on fewer models and
scaled. Each side runs in processes of its own, in the surroundings it has in use: the stack in those of expunge's
workers, the loop in those of this command. Both have one thread, and take turns; processor time is what counts, so that
other work on the machine disturbs less.
Wanted: LiSSA at least 5 times faster on both; the whole step is shown beside it, much of which is one plain gradient of
all retained examples. Run: python benchmarks/lissa.py
"""

import itertools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import process_time

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from expunge.clusters import WORKER_ENVIRONMENT
from expunge.ensembles import Ensemble, pretrain
from expunge.ensembles.seeds import Generators
from expunge.methods.zoo.certified_newton import POWER_STEPS, ROOM, CertifiedNewton, by_lissa, measured, newton_step
from expunge.suites import Split, load_suite

SUITES, MODELS, LOOP_MODELS, ROUNDS, WANTED = ("digits", "tabular-mlp"), 25, 3, 3, 5.0
CONFIG = CertifiedNewton(tolerance=10.0)  # whatever is left, both sides do the same work
LISSA, WHOLE = "LiSSA", "the whole step"


def stacked(ensemble: Ensemble, split: Split) -> dict[str, Callable[[], object]]:
    """All models at once."""
    local, models = measured(ensemble, split, CONFIG), range(len(ensemble))

    def whole() -> object:
        return newton_step(ensemble, split, CONFIG, Generators(models), measured(ensemble, split, CONFIG))

    return {LISSA: lambda: by_lissa(ensemble.copy().eval(), split, CONFIG, Generators(models), local), WHOLE: whole}


@dataclass(frozen=True)
class One:
    """The same on one ordinary model; vectors are flat."""

    network: nn.Module
    split: Split

    def works(self) -> dict[str, Callable[[], object]]:
        gradient = self.gradient()
        return {LISSA: lambda: self.lissa(gradient), WHOLE: lambda: self.lissa(self.whole())}

    def lissa(self, g: Tensor) -> Tensor:
        """As ``by_lissa``: the scale by power iteration on a batch, the steps, the residual on the sample."""
        v, (x, y) = g, self.sample(CONFIG.batch_size)
        for _ in range(POWER_STEPS):
            v = self.product(x, y, v / v.norm())
        scale, u = CONFIG.damping + ROOM * v.norm(), g
        for _ in range(CONFIG.iterations):
            u = g + u - (self.product(*self.sample(CONFIG.batch_size), u) + CONFIG.damping * u) / scale
        found: Tensor = u / scale
        left = self.product(*self.sample(CONFIG.sample), found) + CONFIG.damping * found - g
        return found if left.isfinite().all() else g

    def whole(self) -> Tensor:
        """As ``measured``: the gradient, and Lanczos on the sample."""
        x, y = self.sample(CONFIG.sample)
        basis = [torch.randn_like(flat(self.own))]
        for _ in range(CONFIG.lanczos_steps):
            image = self.product(x, y, basis[-1] / basis[-1].norm())
            basis.append(image - sum((image @ each) / (each @ each) * each for each in basis))
        return self.gradient()

    def gradient(self) -> Tensor:
        parts = zip(self.split.retain.x.split(64), self.split.retain.y.split(64), strict=True)
        sums = [flat(torch.autograd.grad(self.loss(x, y) * len(y), self.own)) for x, y in parts]
        mean: Tensor = torch.stack(sums).sum(0) / len(self.split.retain)
        return mean + self.split.recipe.weight_decay * flat(self.own).detach()

    def product(self, x: Tensor, y: Tensor, v: Tensor) -> Tensor:
        first = torch.autograd.grad(self.loss(x, y), self.own, create_graph=True)
        return flat(torch.autograd.grad(flat(first) @ v, self.own)) + self.split.recipe.weight_decay * v

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
        started = process_time()
        work()
        found.append(process_time() - started)
    return min(found)


def side(name: str, suite_name: str) -> dict[str, float]:
    """Seconds for all models of one side, in this process."""
    torch.set_num_threads(1)
    suite = load_suite(suite_name)
    forget = suite.forget_sets["random-10"]
    split, ensemble = suite.split(forget), pretrain(suite, MODELS, first=100 if suite_name == "digits" else 0)
    if name == "stacked":
        return {work: seconds(run, 3) for work, run in stacked(ensemble, split).items()}
    found = dict.fromkeys((LISSA, WHOLE), 0.0)
    for network in itertools.islice(ensemble, LOOP_MODELS):
        for work, run in One(network.eval(), split).works().items():
            found[work] += seconds(run, 2) * MODELS / LOOP_MODELS
    return found


def apart(name: str, suite: str, store: str) -> dict[str, float]:
    """The same in a process of its own."""
    environment = {**os.environ, "EXPUNGE_STORE": store, **(WORKER_ENVIRONMENT if name == "stacked" else {})}
    command = [sys.executable, __file__, name, suite]
    printed = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True, text=True).stdout
    found: dict[str, float] = json.loads(printed)
    return found


def main() -> None:
    if len(sys.argv) > 1:
        print(json.dumps(side(*sys.argv[1:])))
        return
    ratios = []
    with tempfile.TemporaryDirectory() as store:
        for suite in SUITES:
            rounds = [(apart("stacked", suite, store), apart("loop", suite, store)) for _ in range(ROUNDS)]
            for work in (LISSA, WHOLE):
                together, single = (min(each[work] for each in some) for some in zip(*rounds, strict=True))
                print(
                    f"{suite}, {work}: {together:.2f} s stacked, {single:.2f} s one by one, "
                    f"{single / together:.1f} times"
                )
                if work == LISSA:
                    ratios.append(single / together)
    print(f"ratio={min(ratios):.2f}")
    sys.exit(min(ratios) < WANTED)


if __name__ == "__main__":
    main()
