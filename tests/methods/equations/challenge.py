"""The winners of the NeurIPS 2023 challenge.

Where a method draws weights anew, it is run twice with the same seeds: at a learning rate of nothing, which shows what
was drawn, and at one that counts, which must be a step from there.
"""

import torch
from torch import Tensor, nn

from tests.methods.equations.case import ANSWERED, MEASURED, TAUGHT, WALK, Case, Counts
from tests.methods.equations.conv_toy import (
    FORGET,
    LR,
    PLAIN,
    RETAIN,
    STILL,
    Loss,
    changed,
    differ,
    fine_tuned,
    gradients,
    model_of,
    moved,
    require_equal,
    require_spread,
    retain_loss,
    run_conv,
    starts,
)
from tests.methods.equations.toy import exactly

MANY = 64  # models enough for a standard deviation
CONVS = ("0.weight", "2.weight")
FIRST = {"0.weight", "0.bias"}
LAST = {"4.weight", "4.bias"}


def fcs(name: str) -> None:
    """KL to uniform; then ``-log softmax`` of dot products, without gradient to the retained, and CE; twice."""
    t, lrs = 1.5, {"uniform_lr": 0.2, "forget_lr": 0.3, "lr": LR}
    steps = run_conv(name, {**PLAIN, **lrs, "temperature": t, "epochs": 2})
    state = starts()

    def flat(model: nn.Module) -> Tensor:
        p: Tensor = model(FORGET.x).softmax(-1)
        return -(p * 3).log().sum() / (3 * 3)  # of 3 examples and 3 classes

    def contrast(index: int) -> Loss:
        kept = model_of(state, index)(RETAIN.x).detach()

        def loss(model: nn.Module) -> Tensor:
            logits = model(FORGET.x)
            dots = torch.stack([torch.stack([each @ other for other in kept]) for each in logits]) / t
            return -(dots - dots.exp().sum(1, keepdim=True).log()).sum() / 9

        return loss

    state = moved(state, lambda _: flat, 0.2)
    assert len(steps) == 2
    for step in steps:
        state = moved(state, contrast, 0.3)
        state = fine_tuned(state)
        require_equal(step, state)


def msg(name: str) -> None:
    """The 3 in 10 weights of each convolution of least ``|grad(CE_r - CE_f)|`` are new; the others take a tenth."""

    def difference(model: nn.Module) -> Tensor:
        return retain_loss(model) - nn.functional.cross_entropy(model(FORGET.x), FORGET.y)

    before = starts(MANY)
    (drawn,) = exactly(1, run_conv(name, {**PLAIN, "lr": STILL, "reset": 0.3, "slow": 0.1}, MANY))
    assert changed(before, drawn) == set(CONVS)
    found = gradients(before, lambda _: difference)
    factors = {}
    for key, count, fan_out in (("0.weight", 5, 2 * 9), ("2.weight", 5, 2 * 4)):
        sizes = found[key].abs().flatten(1)
        new = (sizes <= sizes.sort(1).values[:, count - 1 : count]).view_as(found[key])
        assert torch.equal(new, differ(drawn[key], before[key]))
        require_spread(drawn[key][new], (2 / fan_out) ** 0.5)
        factors[key] = torch.where(new, 1.0, 0.1).double()
    (after,) = exactly(1, run_conv(name, {**PLAIN, "reset": 0.3, "slow": 0.1}, MANY))
    require_equal(after, fine_tuned(drawn, factors=factors))


def cfw(name: str) -> None:
    """Noise of 0.6 on the convolutions, CE in which a class weighs 3 / (2 n_y), noise of 0.05 before the last epoch."""
    settings = {"epochs": 2, "noise": 0.6, "last_noise": 0.05, "momentum": 0.0}

    def weighted(model: nn.Module) -> Tensor:
        log_p: Tensor = model(RETAIN.x).log_softmax(-1)
        return -(0.75 * log_p[0, 0] + 0.75 * log_p[1, 0] + 1.5 * log_p[2, 2]) / 3

    before = starts(MANY)
    for layers, keys in (("first", CONVS[:1]), ("all", CONVS)):
        drawn, later = exactly(2, run_conv(name, {**settings, "lr": STILL, "layers": layers}, MANY))
        assert changed(before, drawn) == changed(drawn, later) == set(keys)
        for key in keys:
            require_spread(drawn[key] - before[key], 0.6)
            require_spread(later[key] - drawn[key], 0.05)
        first, second = exactly(2, run_conv(name, {**settings, "lr": LR, "layers": layers}, MANY))
        require_equal(first, moved(drawn, lambda _: weighted))
        confused = {key: first[key] + later[key] - drawn[key] for key in first}
        require_equal(second, moved(confused, lambda _: weighted))


def prmq(name: str) -> None:
    """60 in 100 of the smallest weights and biases are new; CE weighted by n_y^-0.1 plus MSE of entropies; rounded."""
    settings = {**PLAIN, "prune": 0.6, "half": False}
    before = starts(MANY)
    sizes = torch.cat([tensor.abs().flatten(1) for tensor in before.values()], dim=1)
    limit = sizes.sort(1).values[:, 38]  # round(0.6 * 65) = 39
    (drawn,) = exactly(1, run_conv(name, {**settings, "lr": STILL}, MANY))
    for key, fan_in in (("0.weight", 9), ("2.weight", 8), ("4.weight", 8), ("0.bias", 0), ("2.bias", 0), ("4.bias", 0)):
        new = before[key].abs() <= limit.view(-1, *[1] * (before[key].ndim - 1))
        assert not differ(drawn[key], before[key])[~new].any()
        if fan_in:
            assert float(drawn[key][new].abs().max()) <= fan_in**-0.5
            require_spread(drawn[key][new], (3 * fan_in) ** -0.5)
        else:
            assert not differ(drawn[key][new], torch.zeros(())).any()

    def loss(index: int) -> Loss:
        p0 = model_of(before, index)(RETAIN.x).softmax(-1).detach()
        entropy = -(p0 * p0.log()).sum(1)

        def of(model: nn.Module) -> Tensor:
            p: Tensor = model(RETAIN.x).softmax(-1)
            often = 2**-0.1
            labels = -(often * p[0, 0].log() + often * p[1, 0].log() + p[2, 2].log()) / (2 * often + 1)
            squares: Tensor = (-(p * p.log()).sum(1) - entropy) ** 2
            return labels + squares.sum() / 3

        return of

    (after,) = exactly(1, run_conv(name, settings, MANY))
    require_equal(after, moved(drawn, loss))
    (rounded,) = exactly(1, run_conv(name, {**settings, "half": True}, MANY))
    assert all(torch.equal(rounded[key], after[key].half().double()) for key in after)


def ct(name: str) -> None:
    """Kernels transposed once, then steps down the retain loss."""
    steps = run_conv(name, {**PLAIN, "epochs": 2})
    state = starts()
    for key in CONVS:
        state[key] = torch.einsum("moihw->moiwh", state[key])
    assert len(steps) == 2
    for step in steps:
        state = fine_tuned(state)
        require_equal(step, state)


def kde(name: str) -> None:
    """The first and the last layer new; a step down KL of tempered softmaxes; a step down CE + soft CE + KL."""
    t, before = 2.0, starts(MANY)
    settings = {**PLAIN, "temperature": t, "warmup": 1.0, "warmup_epochs": 1}
    (drawn,) = exactly(1, run_conv(name, {**settings, "lr": STILL, "warmup_lr": STILL}, MANY))
    assert changed(before, drawn) == FIRST | LAST
    for key, fan_in in (("0.weight", 9), ("0.bias", 9), ("4.weight", 8), ("4.bias", 8)):
        assert float(drawn[key].abs().max()) <= fan_in**-0.5
        require_spread(drawn[key], (3 * fan_in) ** -0.5)

    def taught(index: int) -> Tensor:
        logits: Tensor = model_of(before, index)(RETAIN.x).detach()
        return (logits / t).softmax(-1)

    def warm(index: int) -> Loss:
        p = taught(index)
        return lambda model: (p * (p.log() - (model(RETAIN.x) / t).log_softmax(-1))).sum() / 3

    def all_three(index: int) -> Loss:
        p = taught(index)
        return lambda model: (
            retain_loss(model) + warm(index)(model) - (p * (model(RETAIN.x) / t).log_softmax(-1)).sum() / 3
        )

    (warmed,) = exactly(1, run_conv(name, {**settings, "lr": STILL, "warmup_lr": 0.3}, MANY))
    require_equal(warmed, moved(drawn, warm, 0.3))
    (after,) = exactly(1, run_conv(name, {**settings, "warmup_lr": 0.3}, MANY))
    require_equal(after, moved(warmed, all_three))


def rni(name: str) -> None:
    """The last layer new; noise on 2 of 6 tensors; these and one more move in the first epoch, all in the second."""
    settings = {"epochs": 2, "momentum": 0.0, "fine_epochs": 1, "chosen": 0.5, "noisy": 0.7, "noise": 0.05}
    before = starts(MANY)
    still = {**settings, "lr": STILL, "fine_lr": STILL}
    new, _ = exactly(2, run_conv(name, {**still, "noise": 0.0}, MANY))
    assert changed(before, new) == LAST
    drawn, same = exactly(2, run_conv(name, still, MANY))
    require_equal(same, drawn)
    require_spread(new["4.weight"], 24**-0.5)
    noise = torch.cat([(drawn[key] - new[key]).flatten() for key in new])
    require_spread(noise[differ(noise, torch.zeros(()))], 0.05)
    first, second = exactly(2, run_conv(name, {**settings, "lr": LR, "fine_lr": 0.2}, MANY))
    noisy, free = (
        {key: differ(a[key], b[key]).flatten(1).any(1) for key in new} for a, b in ((drawn, new), (first, drawn))
    )
    assert (torch.stack(list(noisy.values())).sum(0) == 2).all()
    assert (torch.stack(list(free.values())).sum(0) == 3).all()
    assert all((free[key] | ~noisy[key]).all() for key in new)
    assert all(each.any() and not each.all() for each in free.values())  # each model draws its own
    factors = {key: each.double().view(-1, *[1] * (new[key].ndim - 1)) for key, each in free.items()}
    require_equal(first, fine_tuned(drawn, factors=factors))
    require_equal(second, fine_tuned(first, 0.2))


def tuned(n: Counts) -> float:
    """So many passes over what is kept."""
    return n.epochs * n.retain


def beside(n: Counts) -> int:
    """Retained examples in batches of 64 beside forgotten ones in batches of 64."""
    return min(n.retain, -(-n.forget // 64) * 64)


CASES = {
    "fcs": Case(
        fcs,
        lambda n: n.forget + n.epochs * (n.forget + beside(n) / 3 + n.retain),
        refused=[{"uniform_lr": 0.0}, {"forget_lr": 0.0}, {"temperature": 0.0}, {"forget_batch_size": 0}],
        convolutions=True,
        passes=frozenset({WALK, ANSWERED}),
    ),
    "msg": Case(
        msg,
        lambda n: 2 * n.forget + tuned(n),
        refused=[{"reset": 0.0}, {"reset": 1.5}, {"slow": -0.1}],
        convolutions=True,
        passes=frozenset({WALK, MEASURED}),
    ),
    "cfw": Case(
        cfw,
        tuned,
        refused=[{"noise": -1.0}, {"last_noise": -1.0}, {"layers": "second"}],
        convolutions=True,
        words={"layers": "all"},
    ),
    "prmq": Case(  # its teacher goes forward only
        prmq,
        lambda n: tuned(n) * 4 / 3,
        refused=[{"prune": 1.5}],
        convolutions=True,
        passes=frozenset({WALK, TAUGHT}),
    ),
    "ct": Case(ct, tuned, refused=[{"lr": 0.0}], convolutions=True),
    "kde": Case(  # a warm-up on a quarter
        kde,
        lambda n: (tuned(n) + round(n.retain / 4)) * 4 / 3,
        refused=[
            {"temperature": 0.0},
            {"warmup": 0.0},
            {"warmup": 1.5},
            {"warmup_epochs": 0},
            {"warmup_lr": 0.0},
        ],
        convolutions=True,
        passes=frozenset({WALK, TAUGHT}),
    ),
    "rni": Case(
        rni,
        tuned,
        refused=[
            {"fine_epochs": -1},
            {"fine_lr": 0.0},
            {"chosen": 0.0},
            {"noisy": 1.5},
            {"noise": -1.0},
        ],
        convolutions=True,
        beside={"chosen": {"chosen": 0.5}, "noisy": {"chosen": 1.0}},
    ),
}
