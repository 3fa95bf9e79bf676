"""Noisy fine-tuning with clipped gradients: what is kept is learned again under noise that hides where it began."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from expunge.certificates.theorems.theorem import THEOREMS, Claim, Constant
from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.seeds import Generators
from expunge.methods.method import Method
from expunge.methods.needs import RETAIN_DATA
from expunge.methods.parts.ball import project
from expunge.methods.parts.guarantee import Guarantee, always
from expunge.methods.parts.noisy_steps import add_noise, batch_gradient, clipped, move
from expunge.methods.parts.privacy import chosen, claims_alike
from expunge.methods.parts.repair import REPAIR_SEARCH, Repair, repaired
from expunge.methods.parts.walks import cycled, recipe_loss, require
from expunge.methods.spaces import Between, OneOf, Published
from expunge.suites.suite import Split

VARIANTS = {"paper": "gradient-clipping", "official": "gradient-clipping-official"}  # and their theorems


@dataclass(frozen=True, kw_only=True)
class NoisyFineTuningClipped(Repair):
    """``w <- (1 - lr decay) w - lr clip(g, clip) + N(0, sigma^2 I)``, ``steps`` times, from weights clipped to a ball.

    First ``w min(1, radius / ||w||)``. ``g`` is the gradient of the mean loss of a batch of retained examples, in
    evaluation mode, and ``clip(g, c) = g min(1, c / ||g||)``, all of a model's weights together. Sigma hides how far
    two models can be apart in the end, by privacy amplification by iteration. Then ``repair_epochs`` of fine-tuning.
    Variant ``official`` takes the published noise, which is unsound: without decay it is too small by the square root
    of 2, and it forgets that Renyi divergence grows with the order. Koloskova et al. 2025, arXiv:2506.06985.
    """

    radius: float = 10.0
    steps: int = 30
    lr: float = 0.1
    clip: float = 1.0
    decay: float = 0.0
    batch_size: int = 64
    variant: str = "paper"

    def __post_init__(self) -> None:
        super().__post_init__()
        for each in ("radius", "lr", "clip"):
            require(getattr(self, each) > 0, f"{each} must be above 0", getattr(self, each))
        require(self.steps >= 1, "steps must be at least 1", self.steps)
        require(self.batch_size >= 1, "batch_size must be at least 1", self.batch_size)
        require(0 <= self.decay * self.lr < 1, "lr times decay must lie in [0, 1)", self.decay * self.lr)
        require(self.variant in VARIANTS, f"variant must be one of {', '.join(VARIANTS)}", repr(self.variant))


def noisy_fine_tuning_clipped(
    ensemble: Ensemble, split: Split, cfg: NoisyFineTuningClipped, rng: Generators
) -> Iterator[Ensemble]:
    """Yield the ensemble once, after all steps."""
    yield from GUARANTEE.run(ensemble, split, cfg, rng)


def _constants(cfg: NoisyFineTuningClipped) -> dict[str, Constant]:
    return {
        "C0": chosen(cfg.radius, "the weights are clipped"),
        "gamma": chosen(cfg.clip, "the gradient of each step is clipped"),
        "eta": chosen(cfg.lr, "a setting"),
        "lambda": chosen(cfg.decay, "a setting"),
        "T": chosen(cfg.steps, "a setting"),
    }


def _update(ensemble: Ensemble, split: Split, cfg: NoisyFineTuningClipped, rng: Generators) -> Ensemble:
    """All steps but for the noise of the last."""
    sigma = THEOREMS[VARIANTS[cfg.variant]].sigma(_constants(cfg), cfg.epsilon, cfg.delta)
    student, noise, loss = project(ensemble.copy().eval(), cfg.radius), rng.beside("steps"), recipe_loss(split)
    for step, batch in enumerate(islice(cycled(split.retain, cfg.batch_size, rng), cfg.steps), 1):
        gradient = clipped(batch_gradient(student, batch, loss), cfg.clip)
        move(student, -cfg.lr * gradient.double(), keep=1 - cfg.lr * cfg.decay)
        if step < cfg.steps:
            add_noise(student, sigma, noise)
    return student


def _claims(ensemble: Ensemble, split: Split, cfg: NoisyFineTuningClipped) -> tuple[Claim, ...]:
    return claims_alike(VARIANTS[cfg.variant], _constants(cfg), ensemble, cfg, radius=cfg.radius)


GUARANTEE = Guarantee(
    theorem=VARIANTS["paper"],
    update=_update,
    claims=_claims,
    finish=repaired,
    held=always(
        {
            "clipped weights": "the weights are clipped before anything else is done",
            "retained data only": "each batch is drawn from what is kept",
            "clipped steps": "the gradient of each step is clipped",
            "plain steps": "each step is the clipped gradient times lr, and the decay",
        }
    ),
)

METHOD = Method(
    unlearn=noisy_fine_tuning_clipped,
    config=NoisyFineTuningClipped,
    summary="certified: clip the weights, then fine-tune on what is kept with clipped gradients and noise",
    cite=("koloskova2025",),
    needs=(RETAIN_DATA,),
    search={
        "radius": Between(0.1, 100.0, log=True),
        "steps": Between(1, 200, log=True, whole=True),
        "lr": Between(1e-3, 1.0, log=True),
        "clip": Between(0.1, 10.0, log=True),
        "decay": Between(0.0, 1.0),
        "batch_size": OneOf((16, 32, 64)),
        **REPAIR_SEARCH,
    },
    published=(
        Published(
            "the example of the authors' code, 10 % of CIFAR-10: weights clipped to 30; only that is known here",
            {"radius": 30.0},
        ),
    ),
    deviations="The authors' noise is half the variance that their own accountant asks for where there is no weight "
    "decay, and their conversion takes the Renyi divergence as the same at every order: it is the variant official, "
    "whose claims are marked unsound. Here the factor is 2, the order stays in, and the conversion is that of Canonne "
    "et al. Gradients are taken in evaluation mode, so that running statistics stay.",
)
