"""The whole idea of expunge in one file: has a model forgotten?

It needs torch, numpy and scikit-learn, and half a minute. Real handwritten digits, a small network, and fifty of its
training examples that somebody wants removed. We train three families of models, apply three ways of unlearning to the
first, and ask which comes out like the second:

- pretrained: trained on everything;
- oracles: never shown the fifty, the gold standard;
- held-out oracles: more of the same, to see how alike two perfect families look. That is the floor.

The library does this with one hundred models a family at once, tuned settings, error bars and alarms for cheats.
This is what it does. Run: python examples/tour.py
"""

import copy
from collections.abc import Callable

import numpy as np
import torch
from numpy import ndarray
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

MODELS = 20  # of each family; more make every number below surer
EPOCHS, BATCH, LR = 15, 64, 0.1
Rows = Tensor  # numbers of training examples


# --- 1. Data: 1,437 digits to train on, 360 to test on, and fifty to forget ------------------------


def digits() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Inputs and labels for training, then for testing: 8 x 8 pixels between 0 and 1, shuffled once."""
    x, y = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(x))
    inputs = torch.tensor(x[order] / 16, dtype=torch.float32)
    labels = torch.tensor(y[order])
    return inputs[360:], labels[360:], inputs[:360], labels[:360]


def hard_to_predict(x: Tensor, y: Tensor, count: int) -> Rows:
    """The examples that models get wrong unless they were trained on them: what they learn, they learn by heart.

    Twenty models see a random half each; an example is hard if those that did not see it are unsure of its label.
    """
    unseen = torch.zeros(len(x))
    times = torch.zeros(len(x))
    for seed in range(20):
        half = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))
        model = train(x, y, half[: len(x) // 2], seed=seed)
        rest = half[len(x) // 2 :]
        unseen[rest] += margins(model, x[rest], y[rest])
        times[rest] += 1
    return (unseen / times).argsort()[:count]


# --- 2. Models: one network, one recipe, and a seed of its own for each ----------------------------


def network() -> nn.Module:
    """Two layers; 9,000 weights."""
    return nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))


def train(x: Tensor, y: Tensor, rows: Rows, *, seed: int) -> nn.Module:
    """A new model that is shown ``rows`` and nothing else."""
    torch.manual_seed(seed)
    model = network()
    return descend(model, cross_entropy, x[rows], y[rows], epochs=EPOCHS, lr=LR, seed=seed)


def descend(
    model: nn.Module,
    loss: Callable[[Tensor, Tensor], Tensor],
    x: Tensor,
    y: Tensor,
    *,
    epochs: int,
    lr: float,
    seed: int,
) -> nn.Module:
    """Minibatch gradient descent with momentum, in an order that the seed decides."""
    order = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9, weight_decay=5e-4)
    for _ in range(epochs):
        for batch in torch.randperm(len(x), generator=order).split(BATCH):
            optimizer.zero_grad()
            loss(model(x[batch]), y[batch]).backward()
            optimizer.step()
    return model


# --- 3. Methods: from a trained model to one that should have forgotten ----------------------------


def do_nothing(model: nn.Module, x: Tensor, y: Tensor, forget: Rows, retain: Rows, seed: int) -> nn.Module:
    """What every method has to beat."""
    return model


def fine_tune(model: nn.Module, x: Tensor, y: Tensor, forget: Rows, retain: Rows, seed: int) -> nn.Module:
    """Two more epochs on what is kept, in the hope that the rest fades."""
    return descend(model, cross_entropy, x[retain], y[retain], epochs=2, lr=0.05, seed=seed)


def gradient_ascent(model: nn.Module, x: Tensor, y: Tensor, forget: Rows, retain: Rows, seed: int) -> nn.Module:
    """Learn the opposite: climb the loss of what is to be forgotten (Golatkar et al. 2020, arXiv:1911.04933)."""
    return descend(model, lambda z, y: -cross_entropy(z, y), x[forget], y[forget], epochs=3, lr=0.02, seed=seed)


def second_choice(model: nn.Module, x: Tensor, y: Tensor, forget: Rows, retain: Rows, seed: int) -> nn.Module:
    """Teach it its own second choice for what is to be forgotten, beside as many examples that are kept.

    After Boundary Shrink (Chen et al. 2023, arXiv:2303.11570).
    """
    with torch.no_grad():
        others = model(x[forget]).scatter(1, y[forget][:, None], -torch.inf).argmax(1)
    some = retain[torch.randperm(len(retain), generator=torch.Generator().manual_seed(seed))[: 4 * len(forget)]]
    inputs, labels = torch.cat([x[forget], x[some]]), torch.cat([others, y[some]])
    return descend(model, cross_entropy, inputs, labels, epochs=4, lr=0.02, seed=seed)


# --- 4. The measure: how far apart are two families of models, example by example? -----------------


@torch.no_grad()
def margins(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """How sure a model is of each label: its logit less the log-sum-exp of the others, the log-odds of being right."""
    z = model(x)
    own = z.gather(1, y[:, None])[:, 0]
    others = z.scatter(1, y[:, None], -torch.inf)
    return own - others.logsumexp(1)


def family_margins(models: list[nn.Module], x: Tensor, y: Tensor) -> ndarray:
    """Margins of a family, ``(models, examples)``."""
    return torch.stack([margins(model, x, y) for model in models]).numpy()


def distance(ours: ndarray, oracles: ndarray) -> float:
    """Wasserstein-1 between two families' margins in standard deviations of the oracles, mean over the examples.

    Of two families of one size that is the mean difference of the sorted margins. 0 would be identical families.
    """
    far = abs(np.sort(ours, axis=0) - np.sort(oracles, axis=0)).mean(axis=0)
    spread = oracles.std(axis=0, ddof=1)
    return float((far / np.maximum(spread, np.median(spread) / 10)).mean())


# --- 5. The verdict --------------------------------------------------------------------------------


def main() -> None:
    """Print for each method how much of the gap it closes, and what damage it does."""
    x, y, test_x, test_y = digits()
    forget = hard_to_predict(x, y, 50)
    kept = torch.ones(len(x), dtype=torch.bool)
    kept[forget] = False
    retain = kept.nonzero()[:, 0]
    everything = torch.arange(len(x))

    print(f"training {3 * MODELS} models")
    pretrained = [train(x, y, everything, seed=seed) for seed in range(MODELS)]
    oracles = [train(x, y, retain, seed=1000 + seed) for seed in range(MODELS)]
    held_out = [train(x, y, retain, seed=2000 + seed) for seed in range(MODELS)]

    reference = family_margins(oracles, x[forget], y[forget]), family_margins(oracles, test_x, test_y)

    def far(models: list[nn.Module]) -> tuple[float, float]:
        """Distance to the oracles on the examples to be forgotten, and on new ones."""
        ours = family_margins(models, x[forget], y[forget]), family_margins(models, test_x, test_y)
        return distance(ours[0], reference[0]), distance(ours[1], reference[1])

    floor, nothing = far(held_out), far(pretrained)
    print(f"{'':<16} {'forget':>8} {'test':>8} {'gap closed':>12}")
    print(f"{'oracle (floor)':<16} {floor[0]:8.2f} {floor[1]:8.2f} {'100 %':>12}")
    for method in (do_nothing, fine_tune, gradient_ascent, second_choice):
        after = [
            method(copy.deepcopy(model), x, y, forget, retain, seed).eval() for seed, model in enumerate(pretrained)
        ]
        on_forget, on_test = far(after)
        closed = (nothing[0] - on_forget) / (nothing[0] - floor[0])
        print(f"{method.__name__:<16} {on_forget:8.2f} {on_test:8.2f} {closed:>11.0%} ")
    print(
        "\nforget, test: distance to the oracles in their standard deviations. A method has forgotten when its row\n"
        "looks like the floor's on both: nearer on forget is forgetting, farther on test is damage."
    )


if __name__ == "__main__":
    main()
