"""What gradients of single examples cost: their mean squares, and their clipped sum as DP-SGD takes it.

10 LeNets of 28 x 28 pictures, 500 examples, one thread. Layer by layer (`expunge.methods.parts.layer_gradients`),
against the same out of whole gradients of each example (`per_sample_gradients`), and against what one would do
otherwise: `torch.func.vmap` of `grad`, one model after the other. That all three agree is checked.
Wanted: 3 times faster than either. Run: python benchmarks/single_gradients.py
"""

import sys
import time
from collections.abc import Callable, Iterator
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from expunge.ensembles import Ensemble, Origin
from expunge.methods.parts.layer_gradients import Gradients, Whole, norms
from expunge.methods.parts.per_sample import each_gradient, in_order, per_sample_gradients
from expunge.suites import Examples
from expunge.suites.networks import lenet

MODELS, EXAMPLES, BLOCK, CLIP, ROUNDS, WANTED = 10, 500, 50, 1.0, 3, 3.0
Blocks = Iterator[list[Gradients]]
Tensors = dict[str, Tensor]
Way = Callable[[Ensemble, Examples], Blocks]
Result = Callable[[Blocks], Tensor]


def loss_of(network: nn.Module, buffers: Tensors, weights: Tensors, x: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(torch.func.functional_call(network, {**weights, **buffers}, x[None]), y[None])


def by_vmap(ensemble: Ensemble, examples: Examples) -> Iterator[Tensor]:
    """``(block, d)`` of one model after the other."""
    for network in ensemble:
        weights = {name: each.detach() for name, each in network.named_parameters()}
        gradient = torch.func.grad(partial(loss_of, network.eval(), dict(network.named_buffers())))
        single = torch.func.vmap(gradient, in_dims=(None, 0, 0))
        for x, y in zip(examples.x.split(BLOCK), examples.y.split(BLOCK), strict=True):
            yield torch.cat([each.flatten(1) for each in single(weights, x, y).values()], dim=1)


def one_after_the_other(ensemble: Ensemble, examples: Examples) -> Blocks:
    """The blocks of each model, in those of all models: none holds more than one."""
    found = list(by_vmap(ensemble, examples))
    parts = EXAMPLES // BLOCK
    return ([Whole(torch.stack(found[part::parts]))] for part in range(parts))


def whole(ensemble: Ensemble, examples: Examples) -> Blocks:
    return ([Whole(each)] for each in per_sample_gradients(ensemble, examples))


def by_layer(ensemble: Ensemble, examples: Examples) -> Blocks:
    return each_gradient(ensemble, examples, in_order(ensemble, examples))


def mean_squares(blocks: Blocks) -> Tensor:
    return torch.stack([torch.cat([each.summed(torch.square) for each in block], dim=1) for block in blocks]).sum(0)


def clipped_sum(blocks: Blocks) -> Tensor:
    found = []
    for block in blocks:
        scale = (CLIP / norms(block)).clamp_max(1)
        found.append(torch.cat([each.weighted(scale) for each in block], dim=1))
    return torch.stack(found).sum(0)


def best(way: Way, result: Result, ensemble: Ensemble, examples: Examples) -> tuple[float, Tensor]:
    """The least processor time of several runs, and what they give."""
    times = []
    for _ in range(ROUNDS):
        started = time.process_time()
        found = result(way(ensemble, examples))
        times.append(time.process_time() - started)
    return min(times), found


def main() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    origin = Origin("benchmark", "0", "pretrained", None, tuple(range(MODELS)))
    ensemble = Ensemble.stack([lenet() for _ in range(MODELS)], origin, (1, 28, 28)).eval()
    examples = Examples(torch.rand(EXAMPLES, 1, 28, 28), torch.randint(10, (EXAMPLES,)))
    ratios = []
    for result in (mean_squares, clipped_sum):
        ours, wanted = best(by_layer, result, ensemble, examples)
        others = {way: best(way, result, ensemble, examples) for way in (whole, one_after_the_other)}
        for way, (seconds, found) in {by_layer: (ours, wanted), **others}.items():
            torch.testing.assert_close(found.float(), wanted.float(), rtol=1e-3, atol=1e-3)
            each = seconds / MODELS / EXAMPLES * 1e6
            print(f"{result.__name__}, {way.__name__}: {seconds:.2f} s, {each:.0f} us an example and model")
        ratios.append(min(seconds for seconds, _ in others.values()) / ours)
    print(f"ratio={min(ratios):.2f}")
    sys.exit(min(ratios) < WANTED)


if __name__ == "__main__":
    main()
