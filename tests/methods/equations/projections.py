"""Methods that project: weights away from inputs of the forget set, and steps across the slopes of what is to stay."""

import dataclasses
from collections.abc import Mapping

import torch
from torch import Tensor

from expunge.suites import Examples
from tests.methods.equations.case import MEASURED, TAUGHT, Case, Counts
from tests.methods.equations.conv_toy import FORGET, RETAIN, SPLIT, State, require_equal, run_conv, starts
from tests.methods.equations.teachers import STEEP
from tests.methods.equations.toy import (
    SIX,
    cross_entropy_gradient,
    exactly,
    mean_gradient,
    over,
    require_steps,
    run_toy,
)

KEPT, GONE = SIX.retain, SIX.forget


def layer_inputs(state: State, model: int, x: Tensor) -> dict[str, Tensor]:
    """What the kernels and the classifier of ``conv_toy`` are multiplied with, one input a row, cut out by hand."""
    found: dict[str, list[Tensor]] = {"0.weight": [], "2.weight": [], "4.weight": []}
    for picture in x:
        hidden = picture
        for key, size in (("0", 3), ("2", 2)):
            kernel, bias = state[f"{key}.weight"][model], state[f"{key}.bias"][model]
            width = hidden.shape[-1] - size + 1
            places = [(row, column) for row in range(width) for column in range(width)]
            cut = [hidden[:, row : row + size, column : column + size].flatten() for row, column in places]
            found[f"{key}.weight"] += cut
            out = torch.stack([kernel.flatten(1) @ each + bias for each in cut], dim=1)
            hidden = out.unflatten(1, (width, width))
            hidden = hidden.tanh() if key == "0" else hidden
        found["4.weight"].append(hidden.flatten())
    return {key: torch.stack(rows) for key, rows in found.items()}


def weighted_span(rows: Tensor, alpha: float) -> Tensor:
    """``U diag(alpha s / ((alpha - 1) s + 1)) U^T`` of the columns ``rows^T``."""
    u, sigma, _ = torch.linalg.svd(rows.T, full_matrices=False)
    s = sigma**2 / (sigma**2).sum()
    result: Tensor = u @ torch.diag(alpha * s / ((alpha - 1) * s + 1)) @ u.T
    return result


def check_gradient_free(name: str) -> None:
    """Of all layers at once, by the inputs that they had before; biases stay. Two convolutions and a linear layer."""
    before = starts()
    expected = {key: tensor.clone() for key, tensor in before.items()}
    for model in range(2):
        gone, kept = (layer_inputs(before, model, part.x) for part in (FORGET, RETAIN))
        for key, rows in gone.items():
            forget, retain = weighted_span(rows, 3.0), weighted_span(kept[key], 50.0)
            p = torch.eye(rows.shape[1], dtype=torch.float64) - forget + forget @ retain
            expected[key][model] = (before[key][model].flatten(1) @ p.T).view_as(expected[key][model])
    settings = {"alpha_forget": 3.0, "alpha_retain": 50.0, "retain_examples": 3}
    (found,) = exactly(1, run_conv(name, settings))
    require_equal(found, expected)


def check_esc(name: str) -> None:
    """The two strongest of eight directions go; one where the share is less; three examples have no more than three."""
    before = starts()
    for pruned, gone in ((0.3, 2), (0.01, 1), (0.9, 3)):
        expected = {key: tensor.clone() for key, tensor in before.items()}
        for model in range(2):
            u, _, _ = torch.linalg.svd(layer_inputs(before, model, FORGET.x)["4.weight"].T, full_matrices=False)
            for direction in u.T[:gone]:
                head = expected["4.weight"][model]
                expected["4.weight"][model] = head - torch.outer(head @ direction, direction)
        (found,) = exactly(1, run_conv(name, {"pruned": pruned}))
        require_equal(found, expected)


ESC_T = {"epochs": 3, "lr": 2.0, "threshold": 0.7, "batch_size": 64}


def check_esc_t(name: str) -> None:
    """A mask of the numbers of U goes up the loss of what is told right; in each epoch some are erased, not all."""
    before, labels = starts(), torch.tensor([1, 1, 2])  # of which in each epoch some are told right, not all
    split = dataclasses.replace(SPLIT, forget=Examples(FORGET.x, labels))
    expected = [{key: tensor.clone() for key, tensor in before.items()} for _ in range(3)]
    for model in range(2):
        z = layer_inputs(before, model, FORGET.x)["4.weight"]
        head, bias = before["4.weight"][model], before["4.bias"][model]
        u, _, _ = torch.linalg.svd(z.T, full_matrices=False)
        outside, mask = torch.eye(8, dtype=torch.float64) - u @ u.T, torch.ones_like(u)
        for after in expected:
            mask.requires_grad_()
            logits = (z @ outside + z @ (u * mask) @ (u * mask).T) @ head.T + bias
            right = logits.argmax(1) == labels
            assert right.any()
            assert not right.all()
            torch.nn.functional.cross_entropy(logits[right], labels[right]).backward()
            assert mask.grad is not None
            mask = (mask.detach() + ESC_T["lr"] * mask.grad).clamp(0, 1)
            hard = (mask > ESC_T["threshold"]).double()
            assert 0 < hard.mean() < 1
            after["4.weight"][model] = head @ (outside + (u * hard) @ (u * hard).T)
    for found, wanted in zip(exactly(3, run_conv(name, ESC_T, split=split)), expected, strict=True):
        require_equal(found, wanted)


RFE = {
    "epochs": 5, "forgetting_epochs": 3, "forget_lr": 0.05, "forget_batch_size": 64, "gamma": 0.8, "mu": 4.0,
    "cap": 1.0, "adjacent": 0.4, "alpha": 0.3, "lr": 0.2, "momentum": 0.5,
}  # fmt: skip


def check_rfe(name: str) -> None:
    """One of three retained examples is near; three steps by Adam, then two across both slopes."""
    distances = [min(float((STEEP @ (x - other)).norm()) for other in GONE.x) for x in KEPT.x]
    near = distances.index(min(distances))
    far = [row for row in range(3) if row != near]
    steps = climbed(far, RFE)
    steps += mended(steps[-1], near, far, RFE)
    require_steps(run_toy(name, RFE, SIX, STEEP), *steps)


def cross_entropies(w: Tensor) -> Tensor:
    """Of each example to forget."""
    pairs = zip(GONE.x, GONE.y.tolist(), strict=True)
    return torch.stack([-(w @ x).log_softmax(0)[y] for x, y in pairs])


def far_gradient(w: Tensor, far: list[int]) -> Tensor:
    return over(cross_entropy_gradient(w, KEPT.x[row], int(KEPT.y[row])) for row in far)


def climbed(far: list[int], cfg: Mapping[str, float]) -> list[Tensor]:
    """An augmented Lagrangian down by Adam: of three losses the one beyond the cap has no slope."""

    def pinned(w: Tensor) -> float:
        return sum(float(-(w @ KEPT.x[row]).log_softmax(0)[int(KEPT.y[row])]) for row in far) / len(far)

    w, multiplier, start, steps = STEEP, 0.0, pinned(STEEP), []
    mean, square = torch.zeros_like(w), torch.zeros_like(w)
    for number in range(1, 4):
        inside = cross_entropies(w) < cfg["cap"]
        assert inside.any()
        assert not inside.all()
        each = [cross_entropy_gradient(w, x, y) for x, y in zip(GONE.x, GONE.y.tolist(), strict=True)]
        gone = sum((one for one, counts in zip(each, inside.tolist(), strict=True) if counts), torch.zeros_like(w)) / 3
        excess = pinned(w) - start
        gradient = -cfg["gamma"] * gone + (multiplier + cfg["mu"] * excess) * far_gradient(w, far)
        multiplier += cfg["mu"] * excess
        mean, square = 0.9 * mean + 0.1 * gradient, 0.999 * square + 0.001 * gradient**2
        width = (square / (1 - 0.999**number)).sqrt() + 1e-8
        w = w - cfg["forget_lr"] * mean / (1 - 0.9**number) / width
        steps.append(w)
    assert multiplier != 0
    return steps


def mended(start: Tensor, near: int, far: list[int], cfg: Mapping[str, float]) -> list[Tensor]:
    """Down the near example's loss, across two slopes that are made orthogonal one after the other."""
    w, velocity, steps = start, torch.zeros_like(start), []
    then = cross_entropies(start).sort().values
    for _ in range(2):
        ranks = cross_entropies(w).argsort().argsort()
        apart = cross_entropies(w) - then[ranks]
        each = [cross_entropy_gradient(w, x, y) for x, y in zip(GONE.x, GONE.y.tolist(), strict=True)]
        relapse = (cfg["alpha"] - 1) * mean_gradient(w, GONE) + cfg["alpha"] * over(
            2 * distance * one for distance, one in zip(apart, each, strict=True)
        )
        stay = far_gradient(w, far)
        stay = stay - (stay * relapse).sum() / (relapse * relapse).sum() * relapse
        velocity = cfg["momentum"] * velocity + cross_entropy_gradient(w, KEPT.x[near], int(KEPT.y[near]))
        for spared in (relapse, stay):
            velocity = velocity - (velocity * spared).sum() / (spared * spared).sum() * spared
        assert float(velocity.norm()) > 1e-3
        w = w - cfg["lr"] * velocity
        steps.append(w)
    return steps


def entangled(n: Counts) -> float:
    """All forward; a pass over what is far with 16 to forget in each batch of 64; then steps over what is near."""
    near = round(0.1 * n.retain)
    far = n.retain - near
    climb = far + cycled(n.forget, batches(far))
    mend = near + batches(near) * (min(64, far) + min(64, n.forget) * 4 / 3)
    return (n.retain + n.forget) / 3 + climb + (n.epochs - 1) * mend


def batches(examples: int) -> int:
    """Of 64 each; a single example left over joins the batch before."""
    full, left = divmod(examples, 64)
    return full + (left > 1 or full == 0)


def cycled(forget: int, count: int) -> int:
    """Examples in so many batches of 16, pass after pass."""
    sizes = [16] * (forget // 16) + [forget % 16] * (forget % 16 > 1)
    return sum((sizes * count)[:count])


CASES = {
    "gradient-free": Case(  # forward only, and whole, past the rule of BatchNorm that the stack has
        check_gradient_free,
        lambda n: (n.forget + min(128, n.retain)) / 3,
        refused=[{"alpha_retain": 0.0}, {"alpha_forget": 0.0}, {"retain_examples": 0}],
        convolutions=True,
        moves_statistics=False,
        passes=frozenset(),
        smoothed=False,
    ),
    "esc": Case(
        check_esc,
        lambda n: n.forget / 3,
        refused=[{"pruned": 0.0}, {"pruned": 1.0}],
        beside={"pruned": {"pruned": 0.5}},
        convolutions=True,
        draws_chance=False,
        moves_statistics=False,
        passes=frozenset(),
        smoothed=False,
    ),
    "esc-t": Case(
        check_esc_t,
        lambda n: n.forget / 3 + n.epochs * n.forget,
        moving={"lr": 1000.0},
        refused=[{"epochs": 0}, {"lr": 0.0}, {"threshold": -0.1}, {"threshold": 1.0}, {"batch_size": 0}],
        convolutions=True,
        draws_chance=False,
        moves_statistics=False,
        passes=frozenset({MEASURED}),
    ),
    "rfe": Case(
        check_rfe,
        entangled,
        refused=[
            {"forgetting_epochs": 0}, {"forget_lr": 0.0}, {"forget_batch_size": 0}, {"gamma": 0.0}, {"mu": -1.0},
            {"cap": 0.0}, {"adjacent": 0.0}, {"adjacent": 1.0}, {"alpha": -0.1}, {"alpha": 1.1}, {"basis_batches": 0},
        ],
        moves_statistics=False,
        passes=frozenset({MEASURED, TAUGHT}),
        beside={"momentum": {"epochs": 3}, "alpha": {"epochs": 3}, "cap": {"cap": 1.0}},
    ),
}  # fmt: skip
