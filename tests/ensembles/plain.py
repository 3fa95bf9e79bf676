"""The plain PyTorch way, one model after the other, to hold the stack against; and networks to do it with."""

from collections.abc import Callable, Iterable, Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from expunge.ensembles import Ensemble, Origin
from expunge.ensembles.seeds import Generators
from expunge.ensembles.train import train
from expunge.suites import Examples, Recipe

SHAPE = (2, 4, 4)  # of the inputs of the networks below
CLASSES = 3


def convolutional() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1, groups=2),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(4, 6, 2, stride=2, bias=False),
        nn.BatchNorm2d(6),
        nn.GELU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(6, 8),
        nn.BatchNorm1d(8),
        nn.Tanh(),
        nn.Linear(8, 3, bias=False),
    )


class Attention(nn.Module):
    """A network that the stack has no rule for: it goes through vmap whole."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(8, 8)
        self.norm = nn.LayerNorm(8)
        self.query = nn.Linear(8, 8)
        self.head = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.norm(self.embed(x.flatten(2).unflatten(2, (2, 8)).flatten(1, 2)))
        weights = (self.query(tokens) @ tokens.transpose(1, 2)).softmax(-1)
        logits: Tensor = self.head((weights @ tokens).mean(1))
        return logits


class NormedAttention(nn.Module):
    """BatchNorm, with its running statistics, between convolution and torch's own attention, inside a forward."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(2, 8, 2, stride=2)
        self.batch_norm = nn.BatchNorm2d(8)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.layer_norm = nn.LayerNorm(8)
        self.head = nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.batch_norm(self.patches(x)).flatten(2).transpose(1, 2)
        attended, _ = self.attention(tokens, tokens, tokens)
        logits: Tensor = self.head(self.layer_norm(tokens + attended).mean(1))
        return logits


def mixed() -> nn.Module:
    """Layers with a rule around layers without one."""
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1, padding_mode="circular"),
        nn.GroupNorm(2, 4),
        nn.PReLU(),
        nn.BatchNorm2d(4, affine=False),
        nn.Flatten(),
        nn.Linear(64, 3),
    )


def ensemble_of(networks: Sequence[nn.Module]) -> Ensemble:
    origin = Origin("test", "0", "pretrained", None, tuple(range(len(networks))))
    return Ensemble.stack(networks, origin, SHAPE)


def random_examples(n: int, dtype: torch.dtype = torch.float64) -> Examples:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(n, *SHAPE, dtype=dtype, generator=generator)
    return Examples(x, torch.randint(CLASSES, (n,), generator=generator))


def trained(network: Callable[[], nn.Module], examples: Examples, models: int = 3) -> Ensemble:
    """Models that differ, with running statistics that are not those of a new network."""
    torch.manual_seed(0)
    ensemble = ensemble_of([network().double() for _ in range(models)])
    rows, recipe = torch.arange(len(examples)).expand(models, -1), Recipe(epochs=1, batch_size=4, lr=0.1)
    return train(ensemble, examples, rows, recipe, Generators(range(models)))


def one_by_one(network: nn.Module, batches: Iterable[tuple[Tensor, Tensor]], recipe: Recipe) -> nn.Module:
    """The plain PyTorch loop, on one model; ``batches`` are those of all epochs."""
    network.train()
    norms = [p for m in network.modules() if "Norm" in type(m).__name__ for p in m.parameters(recurse=False)]
    others = [p for p in network.parameters() if all(p is not each for each in norms)]
    groups = [
        {"params": others, "weight_decay": recipe.weight_decay},
        {"params": norms, "weight_decay": recipe.weight_decay if recipe.decay_norm else 0.0},
    ]
    optimizer = torch.optim.SGD([group for group in groups if group["params"]], lr=1.0, momentum=recipe.momentum)
    whole = list(batches)
    for step, (x, y) in enumerate(whole):
        for group in optimizer.param_groups:
            group["lr"] = recipe.lr_at(step, len(whole))
        optimizer.zero_grad()
        F.cross_entropy(network(x), y, label_smoothing=recipe.label_smoothing).backward()
        optimizer.step()
    return network


def batches_of(data: Examples, rows: Tensor, recipe: Recipe, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """What one model of this seed sees, example by example: shuffled every epoch, flipped, cropped."""
    chance, n = torch.Generator().manual_seed(seed), len(rows)
    for _ in range(recipe.epochs):
        order = rows[torch.randperm(n, generator=chance)]
        x = data.x[order]
        if recipe.augment != "none":
            flips = torch.randint(2, (n,), generator=chance)
            x = torch.stack([each.flip(-1) if flip else each for each, flip in zip(x, flips, strict=True)])
        if recipe.augment == "flip-crop":
            corners = torch.randint(9, (2 * n,), generator=chance).view(n, 2).tolist()
            height, width = x.shape[2:]
            padded = F.pad(x, (4, 4, 4, 4))
            x = torch.stack(
                [padded[i, :, down : down + height, right : right + width] for i, (down, right) in enumerate(corners)]
            )
        yield from zip(x.split(recipe.batch_size), data.y[order].split(recipe.batch_size), strict=True)
