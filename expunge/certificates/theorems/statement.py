"""What a theorem of certified unlearning says: what it reads, what it stands on, its noise and its budget."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from expunge.certificates.theorems.gaussian import epsilon_of, require_target, sigma_analytic
from expunge.errors import BadConstant, BadSetting, FailureTooLikely
from expunge.verdicts import Standing

CONDITIONS = {
    "smooth": "the gradient of the loss is Lipschitz in the weights, by the constant that is stated",
    "smooth Hessian": "the Hessian of the loss is Lipschitz in the weights, by the constant that is stated",
    "strongly convex": "the loss is strongly convex in the weights, by the constant that is stated",
    "bounded gradients": "the gradient of the loss of each example is at most the norm that is stated",
    "linear model": "the outputs are linear in the weights, the loss is logistic, with an L2 penalty",
    "full batch": "each step sees the mean gradient of all the data",
    "plain steps": "a step is the gradient times the rate that is stated: no momentum, no schedule, no adaptive scale",
    "sampled batches": "each example is in a batch by chance, by itself, at the rate that is stated",
    "clipped by example": "the gradient of each example is clipped to the norm that is stated",
    "clipped steps": "the gradient of each step is clipped to the norm that is stated",
    "clipped weights": "the weights are clipped to the radius that is stated before unlearning",
    "projected": "all weights, those that are carried on too, are projected on the ball whose radius is stated",
    "converged": "training went on to the minimum, or for as long as its noise is remembered",
    "near the minimum": "training ended as near the minimum as the theorem asks",
    "exact Hessian": "the Hessian is inverted as it is",
    "sampled Hessian": "the inverse Hessian is by LiSSA, with as many steps as its lemma asks",
    "trained with noise": "training itself drew the noise that is stated",
    "objective perturbation": "training minimised the loss plus a random linear term of the scale that is stated",
    "kept checkpoint": "the weights of the step that training goes back to were kept as they were",
    "retained data only": "unlearning reads none of the examples that are forgotten",
    "no buffers": "all that the model holds are weights that the theorem speaks of: no running statistics",
    "no chance": "the network draws nothing by chance, as dropout does",
}

Values = Mapping[str, float]
Shift = Callable[[Values], float]


@dataclass(frozen=True)
class Constant:
    """A number that a theorem reads, whether it was assumed, estimated or proven, and why it has that value."""

    value: float
    standing: Standing
    why: str


@dataclass(frozen=True)
class Needed:
    """A constant that a theorem reads: its name, what it is, and what it can be."""

    name: str
    what: str
    least: float = 0.0
    above: float = -math.inf
    below: float = math.inf
    most: float = math.inf

    def fault_of(self, value: float) -> str:
        """Why ``value`` cannot be this constant; "" where it can."""
        if not math.isfinite(value):
            return f"{value} is not finite"
        if value < self.least or value <= self.above or value >= self.below or value > self.most:
            limits = [f"from {self.least:g} on"] * (self.least > self.above) or [f"above {self.above:g}"]
            limits += [f"below {self.below:g}"] * math.isfinite(self.below)
            limits += [f"up to {self.most:g}"] * math.isfinite(self.most)
            return f"expected a number {' and '.join(limits)}, got {value:g}"
        return ""


@dataclass(frozen=True)
class Calibration:
    """The two directions of a theorem: (values, epsilon, delta) -> sigma, and (values, sigma, delta) -> epsilon."""

    sigma: Callable[[Values, float, float], float]
    epsilon: Callable[[Values, float, float], float]


@dataclass(frozen=True, kw_only=True)
class Theorem:
    """A row of THEOREMS: what it reads, what it stands on, and how noise and epsilon follow from each other.

    ``conditions`` are keys of CONDITIONS. ``formula_of`` gives the distance of weights that the theorem bounds, None
    where it bounds none; ``diameter_of`` that of the ball that all weights are on; the noise hides the smaller one.
    ``spread_of`` gives the standard deviation of the noise that stays in each released weight, at least, of sigma.
    ``sequential`` says what is proven of later requests. ``once``: only one model is ever released, and a claim speaks
    of all requests so far. ``unsound`` says why what it claims is not to be believed.
    """

    name: str
    source: str
    reads: tuple[Needed, ...]
    conditions: tuple[str, ...]
    calibration: Calibration
    formula_of: Shift | None = None
    diameter_of: Shift | None = None
    spread_of: Callable[[Values, float], float] | None = None
    sequential: str
    once: bool = False
    unsound: str = ""

    def sigma(self, constants: Mapping[str, Constant], epsilon: float, delta: float) -> float:
        """The noise that (epsilon, delta) asks for; ``delta`` holds the chance that the theorem fails, too."""
        require_target(epsilon, delta)
        return self.calibration.sigma(self.values(constants), epsilon, delta)

    def epsilon(self, constants: Mapping[str, Constant], sigma: float, delta: float) -> float:
        """The epsilon that noise of ``sigma`` buys at ``delta``; infinite where it buys none."""
        if not 0 <= sigma < math.inf:
            raise BadSetting(f"expected a sigma from 0 on and finite, got {sigma:g}")
        require_target(1.0, delta)
        return self.calibration.epsilon(self.values(constants), sigma, delta)

    def shift(self, constants: Mapping[str, Constant]) -> float | None:
        """The distance of weights that the noise hides: the smaller of :meth:`formula` and :meth:`diameter`."""
        known = [each for each in (self.formula(constants), self.diameter(constants)) if each is not None]
        return min(known) if self.formula_of else None

    def formula(self, constants: Mapping[str, Constant]) -> float | None:
        """The distance of weights that the theorem itself bounds."""
        return self.formula_of(self.values(constants)) if self.formula_of else None

    def diameter(self, constants: Mapping[str, Constant]) -> float | None:
        """The diameter of the ball that all weights are on: what is known without any theorem."""
        return self.diameter_of(self.values(constants)) if self.diameter_of else None

    def spread(self, constants: Mapping[str, Constant], sigma: float) -> float | None:
        """The standard deviation of the noise in each released weight, at least."""
        return self.spread_of(self.values(constants), sigma) if self.spread_of else None

    def values(self, constants: Mapping[str, Constant]) -> Values:
        """The numbers alone; :class:`~expunge.errors.BadConstant` where one lacks, is not known, or cannot be."""
        names = [each.name for each in self.reads]
        if set(constants) != set(names):
            raise BadConstant(
                f"{self.name} reads the constants {', '.join(names)}; got {', '.join(constants) or 'none'}"
            )
        for each in self.reads:
            if fault := each.fault_of(constants[each.name].value):
                raise BadConstant(f"{self.name}: {each.name}, {each.what}: {fault}")
        return {name: constants[name].value for name in names}


@dataclass(frozen=True, kw_only=True)
class Claim:
    """What is claimed of one model: by which theorem, from which constants, at which epsilon, delta and noise.

    ``delta`` is the whole one, with the chance that the theorem fails in it. ``shift`` is the distance of weights that
    the noise hides, None where the theorem has none; ``request`` counts the requests that were served, this one too.
    ``norm`` is the L2 norm of the weights before the last noise, and ``parameters`` how many they are.
    """

    theorem: str
    constants: Mapping[str, Constant]
    epsilon: float
    delta: float
    sigma: float
    shift: float | None
    parameters: int
    norm: float
    request: int = 1
    notes: tuple[str, ...] = ()


def analytic(shift: Shift) -> Calibration:
    """Gaussian noise on the released weights, calibrated to ``shift``; the theorem's rho is taken off delta."""

    def sigma(values: Values, epsilon: float, delta: float) -> float:
        return float(sigma_analytic(shift(values), epsilon, left_of(delta, values)))

    def epsilon(values: Values, sigma: float, delta: float) -> float:
        drift, left = shift(values), left_of(delta, values)
        if drift == 0:
            return 0.0
        return epsilon_of(drift / sigma, left) if sigma else math.inf

    return Calibration(sigma, epsilon)


def all_of_it(values: Values, sigma: float) -> float:
    """The spread of a theorem whose sigma is that of the noise on the released weights."""
    return sigma


def left_of(delta: float, values: Values) -> float:
    """What the theorem's own chance to fail, ``rho``, leaves of delta; FailureTooLikely where it leaves nothing."""
    rho = values.get("rho", 0.0)
    if rho >= delta:
        raise FailureTooLikely(
            f"the bound fails with probability rho {rho:g}, and delta is {delta:g}: rho must be below delta; "
            "take a smaller rho or a larger delta"
        )
    return delta - rho
