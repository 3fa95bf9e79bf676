"""Noisy fine-tuning with clipped models: at each step the weights are clipped to a small ball, and noise is added."""

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
from expunge.methods.parts.noisy_steps import add_noise, batch_gradient, move
from expunge.methods.parts.privacy import chosen, claims_alike
from expunge.methods.parts.repair import REPAIR_SEARCH, Repair, repaired
from expunge.methods.parts.walks import cycled, recipe_loss, require
from expunge.methods.spaces import Between, OneOf, Published
from expunge.suites.suite import Split

THEOREM = "model-clipping"


@dataclass(frozen=True, kw_only=True)
class ModelClipping(Repair):
    """``w <- clip(w - lr g, step_radius) + N(0, sigma^2 I)``, ``steps`` times, from ``clip(w, radius) + N(0, s^2 I)``.

    ``clip(w, c) = w min(1, c / ||w||)``, all of a model's weights together; ``g`` the gradient of the mean loss of a
    batch of retained examples, in evaluation mode; ``s`` is ``first_noise``, 0 for none. Each step makes two models
    alike with a chance that depends on ``step_radius`` and sigma alone; sigma is such that after all of them no more
    than delta is left at epsilon. Then ``repair_epochs`` of fine-tuning. Koloskova et al. 2025, arXiv:2506.06985.
    """

    radius: float = 10.0
    step_radius: float = 1.0
    first_noise: float = 0.0
    steps: int = 30
    lr: float = 0.1
    batch_size: int = 64

    def __post_init__(self) -> None:
        super().__post_init__()
        for each in ("radius", "step_radius", "lr"):
            require(getattr(self, each) > 0, f"{each} must be above 0", getattr(self, each))
        require(self.first_noise >= 0, "first_noise must be at least 0", self.first_noise)
        require(self.steps >= 1, "steps must be at least 1", self.steps)
        require(self.batch_size >= 1, "batch_size must be at least 1", self.batch_size)


def model_clipping(ensemble: Ensemble, split: Split, cfg: ModelClipping, rng: Generators) -> Iterator[Ensemble]:
    """Yield the ensemble once, after all steps."""
    yield from GUARANTEE.run(ensemble, split, cfg, rng)


def _constants(cfg: ModelClipping) -> dict[str, Constant]:
    return {
        "C0": chosen(cfg.radius, "the weights are clipped"),
        "sigma0": chosen(cfg.first_noise, "a setting"),
        "C2": chosen(cfg.step_radius, "the weights are clipped at each step"),
        "T": chosen(cfg.steps, "a setting"),
    }


def _update(ensemble: Ensemble, split: Split, cfg: ModelClipping, rng: Generators) -> Ensemble:
    """All steps but for the noise of the last."""
    sigma = THEOREMS[THEOREM].sigma(_constants(cfg), cfg.epsilon, cfg.delta)
    student, noise, loss = project(ensemble.copy().eval(), cfg.radius), rng.beside("steps"), recipe_loss(split)
    add_noise(student, cfg.first_noise, noise)
    for step, batch in enumerate(islice(cycled(split.retain, cfg.batch_size, rng), cfg.steps), 1):
        move(student, -cfg.lr * batch_gradient(student, batch, loss).double())
        project(student, cfg.step_radius)
        if step < cfg.steps:
            add_noise(student, sigma, noise)
    return student


def _claims(ensemble: Ensemble, split: Split, cfg: ModelClipping) -> tuple[Claim, ...]:
    return claims_alike(THEOREM, _constants(cfg), ensemble, cfg, radius=cfg.step_radius)


GUARANTEE = Guarantee(
    theorem=THEOREM,
    update=_update,
    claims=_claims,
    finish=repaired,
    held=always(
        {
            "clipped weights": "the weights are clipped before anything else is done",
            "retained data only": "each batch is drawn from what is kept",
        }
    ),
)

METHOD = Method(
    unlearn=model_clipping,
    config=ModelClipping,
    summary="certified: fine-tune on what is kept, the weights clipped to a small ball at each step, with noise",
    cite=("koloskova2025",),
    needs=(RETAIN_DATA,),
    search={
        "radius": Between(0.1, 100.0, log=True),
        "step_radius": Between(0.01, 10.0, log=True),
        "steps": Between(1, 200, log=True, whole=True),
        "lr": Between(1e-3, 1.0, log=True),
        "batch_size": OneOf((16, 32, 64)),
        **REPAIR_SEARCH,
    },
    published=(
        Published(
            "the example of the authors' code, 10 % of CIFAR-10: clipped to 30, then at each step to 0.5, rate 1e-3",
            {"radius": 30.0, "step_radius": 0.5, "lr": 0.001},
        ),
    ),
    deviations="The authors take the noise of a step as given, 0.5, and go on until their recursion says delta; here "
    "the number of steps is given, and the noise is what their recursion then asks for. Gradients are taken in "
    "evaluation mode, so that running statistics stay.",
)
