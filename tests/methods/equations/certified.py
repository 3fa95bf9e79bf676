"""Certified methods: the step by hand, and noise of the standard deviation that the theorem asks for, drawn again."""

from collections.abc import Mapping

import torch
from torch import Tensor

from expunge.certificates.theorems.gaussian import sigma_analytic
from expunge.certificates.theorems.theorem import THEOREMS, Constant
from expunge.ensembles.plan import new_networks
from expunge.ensembles.seeds import Generators
from expunge.methods.parts.reset import new_seeds
from expunge.suites import Examples, Split
from tests.methods.equations.case import MEASURED, TAUGHT, Case, Counts, Settings
from tests.methods.equations.curvature import batches, curvature, series
from tests.methods.equations.toy import LR, SIX, W, cross_entropy_gradient, mean_gradient, require_steps, run_toy

DECAY = SIX.recipe.weight_decay
RADIUS = 1.625  # just above the norm of the weights, so that a step may leave the ball


def on_the_ball(w: Tensor, radius: float = RADIUS) -> Tensor:
    return w * min(1.0, radius / float(w.norm()))


def noisy(w: Tensor, sigma: float, draws: int = 0) -> list[Tensor]:
    """Both models with their noise, after so many orders of the three retained examples were drawn."""
    found = []
    for model in range(2):
        rng = Generators([model])
        for _ in range(draws):
            rng.permutation(3)
        found.append(w + sigma * rng.beside("release").normal(6, dtype=torch.float64).view(3, 2))
    return found


def newton(name: str) -> None:
    """Where the Hessian of a softmax is flat only the decay curves, so the bound is the diameter of the ball."""
    gradient = mean_gradient(W, SIX.retain) + DECAY * W
    plain = {"radius": RADIUS, "damping": 0.25}
    solved = torch.linalg.solve(curvature(SIX.retain) + (0.25 + DECAY) * torch.eye(6).double(), gradient.flatten())
    sigma = float(sigma_analytic(2 * RADIUS, 1.0, 1e-5))
    require_steps(run_toy(name, {**plain, "solver": "exact"}, SIX), noisy(on_the_ball(W - solved.view(3, 2)), sigma))
    step = series(gradient, 0.25 + DECAY, 9, 2.0, SIX.retain)
    left = float(sigma_analytic(2 * RADIUS, 1.0, 1e-5 - 1e-6))
    run = {**plain, "iterations": 9, "scale": 2.0, "tolerance": 1.0, "failure": 1e-6}
    require_steps(run_toy(name, run, SIX), noisy(on_the_ball(W - step), left, draws=9))


def drawn(model: int, name: str, *, times: int = 1, orders: int = 0) -> list[Tensor]:
    """Noise out of a stream beside a model's own, after so many orders of the three retained examples."""
    rng = Generators([model])
    for _ in range(orders):
        rng.permutation(3)
    beside = rng.beside(name)
    return [beside.normal(6, dtype=torch.float64).view(3, 2) for _ in range(times)]


def sigma_of(theorem: str, **values: float) -> float:
    """The noise of a theorem at the settings' own epsilon and delta; bounds are tested by themselves."""
    constants = {name: Constant(value, "proven", "by hand") for name, value in values.items()}
    return THEOREMS[theorem].sigma(constants, 1.0, 1e-5)


def output(name: str) -> None:
    sigma = float(sigma_analytic(2.0, 1.0, 1e-5))
    shown = noisy(on_the_ball(W, 1.0), sigma)
    require_steps(run_toy(name, {"radius": 1.0}, SIX), shown)
    repaired = [w - LR * mean_gradient(w, SIX.retain) for w in shown]
    require_steps(run_toy(name, {"radius": 1.0, "repair_epochs": 1, "repair_lr": LR}, SIX), repaired)


def gradient_clipping(name: str) -> None:
    """Two steps, of which the first gradient is longer than allowed; with decay, and the official noise without."""
    for decay, variant, theorem in (
        (0.5, "paper", "gradient-clipping"),
        (0.0, "official", "gradient-clipping-official"),
    ):
        sigma = sigma_of(theorem, **{"C0": 1.0, "gamma": 0.25, "eta": LR, "lambda": decay, "T": 2.0})
        found = []
        for model in range(2):
            w, noise = on_the_ball(W, 1.0), drawn(model, "steps") + drawn(model, "release", orders=2)
            for each in noise:
                gradient = mean_gradient(w, SIX.retain)
                w = (1 - LR * decay) * w - LR * gradient * min(1.0, 0.25 / float(gradient.norm())) + sigma * each
            found.append(w)
        settings = {"radius": 1.0, "steps": 2, "lr": LR, "clip": 0.25, "decay": decay, "variant": variant}
        require_steps(run_toy(name, settings, SIX), found)


def model_clipping(name: str) -> None:
    """Two steps, before the first of which there is noise of its own."""
    sigma = sigma_of("model-clipping", C0=1.0, sigma0=0.5, C2=0.25, T=2.0)
    found = []
    for model in range(2):
        first, second = drawn(model, "steps", times=2)
        w = on_the_ball(W, 1.0) + 0.5 * first
        for noise in (second, drawn(model, "release", orders=2)[0]):
            w = on_the_ball(w - LR * mean_gradient(w, SIX.retain), 0.25) + sigma * noise
        found.append(w)
    settings = {"radius": 1.0, "step_radius": 0.25, "first_noise": 0.5, "steps": 2, "lr": LR}
    require_steps(run_toy(name, settings, SIX), found)


def removal(name: str) -> None:
    """One step, and a second one towards where the retained gradient is what that of all was: sums over three."""
    goal = 3 * (mean_gradient(W, SIX.retain) + mean_gradient(W, SIX.forget)) + 6 * DECAY * W
    w, steps = W, []
    for _ in range(2):
        inverse = torch.linalg.inv(3 * curvature(SIX.retain, w) + 3 * DECAY * torch.eye(6).double())
        missing = goal - 3 * mean_gradient(w, SIX.retain) - 3 * DECAY * w
        w = w + (inverse @ missing.flatten()).view(3, 2)
        steps.append(w)
    first, second = (run_toy(name, {"steps": count}, SIX) for count in (1, 2))
    require_steps([*first, *second], *steps)


def full_gradient(w: Tensor, examples: Examples) -> Tensor:
    return mean_gradient(w, examples) + DECAY * w


def descent(name: str) -> None:
    """Two steps of rate 2 / (L + mu); constants are given, for those that the inputs show are computed elsewhere."""
    w = W
    for _ in range(2):
        w = w - 2 / (5.0 + DECAY) * full_gradient(w, SIX.retain)
    constants = {"mu": DECAY, "L": 5.0, "G": 9.0, "n": 6.0, "I": 2.0, "removed": 3.0}
    given = {"steps": 2, "smoothness": 5.0, "gradient_norm": 9.0, "convexity": DECAY}
    sigma = sigma_of("descent-to-delete", **constants)
    require_steps(run_toy(name, given, SIX), noisy(w, sigma))
    filled = {**constants, "L": smoothness_of(SIX), "G": 2**0.5 * longest(SIX)}
    w = W - 2 / (filled["L"] + DECAY) * full_gradient(W, SIX.retain)
    require_steps(run_toy(name, {"steps": 1}, SIX), noisy(w, sigma_of("descent-to-delete", **{**filled, "I": 1.0})))


def longest(split: Split) -> float:
    return float(max(x.norm() for x in (*split.retain.x, *split.forget.x)))


def smoothness_of(split: Split) -> float:
    """Half of the largest eigenvalue of the second moment of all inputs, over those that are kept, and the decay."""
    x = torch.cat([split.retain.x, split.forget.x])
    return float(torch.linalg.eigvalsh(x.T @ x)[-1]) / (2 * len(split.retain)) + DECAY


def langevin(name: str) -> None:
    """Three steps: the weights are outside of the ball at first, and come out of it again by the noise."""
    constants = {"mu": DECAY, "L": 5.0, "G": 9.0, "eta": LR, "n": 3.0, "removed": 3.0, "K": 3.0, "requests": 2.0}
    sigma, found = sigma_of("langevin", **constants) * (2 * LR) ** 0.5, []
    for model in range(2):
        w, steps = on_the_ball(W, 1.0), drawn(model, "steps", times=2)
        for noise in steps:
            w = on_the_ball(w - LR * full_gradient(w, SIX.retain) + sigma * noise, 1.0)
        found.append(w - LR * full_gradient(w, SIX.retain) + sigma * drawn(model, "release")[0])
    given = {"smoothness": 5.0, "gradient_norm": 9.0, "convexity": DECAY, "radius": 1.0, "requests": 2}
    require_steps(run_toy(name, {**given, "steps": 3, "lr": LR}, SIX), found)


def rewind(name: str) -> None:
    """Two steps back by the gradient of all six, two fixed points each; then two steps by that of the three kept."""
    six = Examples(torch.cat([SIX.retain.x, SIX.forget.x]), torch.cat([SIX.retain.y, SIX.forget.y]))
    w = W
    for _ in range(2):
        end = w
        for _ in range(2):
            w = end + LR * full_gradient(w, six)
    for _ in range(2):
        w = w - LR * full_gradient(w, SIX.retain)
    constants = {"L": 5.0, "G": 9.0, "eta": LR, "n": 6.0, "removed": 3.0, "T": 4.0, "K": 2.0}
    given = {"smoothness": 5.0, "gradient_norm": 9.0, "lr": LR, "steps": 2, "training_steps": 4, "iterations": 2}
    require_steps(run_toy(name, given, SIX), noisy(w, sigma_of("rewind-to-delete", **constants)))


def private(name: str) -> None:
    """Two steps on all six from weights drawn as the network's own, the gradients of single examples clipped."""
    sigma = sigma_of("dp-sgd", q=1.0, T=2.0, removed=3.0) * 0.5
    found = []
    for model in range(2):
        rng = Generators([model])
        (first,) = new_networks(SIX.network, new_seeds(rng))
        w = first.state_dict()["0.weight"]
        for noise in rng.beside("noise").normal(2, 6, dtype=torch.float64)[0]:
            total = sum(clip(cross_entropy_gradient(w, x, int(y)), 0.5) for x, y in zip(*both(SIX), strict=True))
            w = w - LR * ((total + sigma * noise.view(3, 2)) / 6 + DECAY * w)
        found.append(w)
    require_steps(run_toy(name, {"passes": 2, "lr": LR, "clip": 0.5}, SIX), found)


def both(split: Split) -> tuple[Tensor, Tensor]:
    return torch.cat([split.retain.x, split.forget.x]), torch.cat([split.retain.y, split.forget.y])


def clip(gradient: Tensor, most: float) -> Tensor:
    return gradient * min(1.0, most / float(gradient.norm()))


def newton_passes(n: Counts) -> float:
    """The gradient; five products on the sample, four on a batch, and one on each of 24 further ones."""
    sample, further = 64 * (1 + 2 * 5), 3 * (batches(n, 25, 8) - 8)
    return n.retain + sample + 8 * (1 + 2 * 4) + further


CLOSED = frozenset({MEASURED})
REPAIRED: Mapping[str, Settings] = {"repair_lr": {"repair_epochs": 1}}

CASES = {
    "certified-newton": Case(
        newton,
        newton_passes,
        refused=[
            {"epsilon": 0.0},
            {"delta": 1.0},
            {"radius": 0.0},
            {"damping": -1.0},
            {"solver": "cg"},
            {"iterations": 0},
            {"repeats": 0},
            {"batch_size": 0},
            {"scale": -1.0},
            {"tolerance": 0.0},
            {"sample": 0},
            {"lanczos_steps": 0},
            {"gradient_lipschitz": -1.0},
            {"hessian_lipschitz": -1.0},
            {"failure": 1e-5},
        ],
        passes=CLOSED,
        moves_statistics=False,
        words={"solver": "exact", "scale": 50.0, "gradient_lipschitz": 10.0, "hessian_lipschitz": 1000.0},
        claimed=frozenset({"gradient_lipschitz", "hessian_lipschitz", "sample", "lanczos_steps"}),
        allowed=frozenset({"tolerance"}),
    ),
    "output-perturbation": Case(
        output,
        lambda n: 0.0,
        refused=[{"radius": 0.0}, {"repair_epochs": -1}, {"repair_lr": 0.0}],
        passes=frozenset(),
        moves_statistics=False,
        smoothed=False,
        beside=REPAIRED,
    ),
    "noisy-fine-tuning-clipped": Case(
        gradient_clipping,
        lambda n: batches(n, 30, 64),
        refused=[
            {"radius": 0.0},
            {"steps": 0},
            {"lr": 0.0},
            {"clip": 0.0},
            {"decay": -1.0},
            {"decay": 10.0},
            {"batch_size": 0},
            {"variant": "ours"},
        ],
        passes=CLOSED,
        moves_statistics=False,
        words={"variant": "official"},
        beside=REPAIRED,
    ),
    "model-clipping": Case(
        model_clipping,
        lambda n: batches(n, 30, 64),
        refused=[
            {"radius": 0.0},
            {"step_radius": 0.0},
            {"first_noise": -1.0},
            {"steps": 0},
            {"lr": 0.0},
            {"batch_size": 0},
        ],
        passes=CLOSED,
        moves_statistics=False,
        beside={**REPAIRED, "radius": {"steps": 1}, "first_noise": {"steps": 1}},  # later steps forget where they began
    ),
    "certified-removal": Case(  # features, forward, and two outputs that show that they are what the last layer gives
        removal,
        lambda n: (n.retain + n.forget + 2) / 3,
        refused=[{"residual": 0.0}, {"steps": 0}],
        draws_chance=False,
        moves_statistics=False,
        passes=frozenset({TAUGHT}),
        claimed=frozenset({"epsilon", "delta", "residual"}),
    ),
    "descent-to-delete": Case(
        descent,
        lambda n: 2 * n.retain,
        refused=[
            {"steps": 0},
            {"removed": -1},
            {"gradient_norm": -1.0},
            {"smoothness": -1.0},
            {"convexity": -1.0},
            {"variant": "kept"},
        ],
        passes=CLOSED,
        moves_statistics=False,
        words={"variant": "hidden-state", "removed": 50},
        beside={"variant": {"steps": 30, "convexity": 0.2}},
    ),
    "langevin-unlearning": Case(
        langevin,
        lambda n: 2 * n.retain,
        refused=[{"radius": 0.0}, {"steps": 0}, {"lr": 0.0}, {"requests": 0}, {"training_steps": 0}],
        passes=CLOSED,
        moves_statistics=False,
        words={"removed": 50},
        claimed=frozenset({"training_steps"}),
        allowed=frozenset({"smoothness"}),  # lr must be below 1 / smoothness
    ),
    "rewind-to-delete": Case(  # the gradient that the last check has taken is that of the first step
        rewind,
        lambda n: 2 * (n.retain + n.forget),
        refused=[
            {"steps": 0},
            {"steps": 51},
            {"lr": 0.0},
            {"iterations": 0},
            {"tolerance": 0.0},
        ],
        passes=CLOSED,
        moves_statistics=False,
        words={"removed": 50},
        allowed=frozenset({"tolerance"}),
    ),
    "dp-sgd": Case(  # a whole training on all
        private,
        lambda n: n.retraining_epochs * (n.retain + n.forget),
        refused=[{"passes": -1}, {"lr": 0.0}, {"clip": 0.0}, {"rate": 0.0}, {"rate": 1.5}],
        passes=CLOSED,
        words={"removed": 50},
    ),
}
