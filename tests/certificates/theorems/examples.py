"""Constants for every theorem: numbers that are plain to see through, none of a network."""

from expunge.certificates.theorems.theorem import Constant

VALUES: dict[str, dict[str, float]] = {
    "newton": {"C": 10, "M": 0.0001, "lambda": 0.01, "lambda_min": 0.5},
    "newton-lissa": {
        **{"C": 10, "M": 0.001, "lambda": 2000, "lambda_min": 1500},
        **{"L": 0.1, "G": 0.01, "d": 1e5, "rho": 1e-6},
    },
    "certified-removal": {"beta": 0.02},
    "descent-to-delete": {"mu": 0.1, "L": 1, "G": 1, "n": 1000, "I": 20, "removed": 10},
    "descent-to-delete-hidden-state": {"mu": 0.1, "L": 1, "G": 1, "n": 1000, "I": 60, "removed": 10, "d": 100},
    "langevin": {"mu": 0.01, "L": 1, "G": 1, "eta": 1, "n": 1000, "removed": 1, "K": 10, "requests": 3},
    "rewind-to-delete": {"L": 1, "G": 1, "eta": 0.01, "n": 1000, "removed": 10, "T": 300, "K": 100},
    "gradient-clipping": {"C0": 30, "gamma": 10, "eta": 0.1, "lambda": 0.01, "T": 40},
    "gradient-clipping-official": {"C0": 30, "gamma": 10, "eta": 0.1, "lambda": 0, "T": 40},
    "model-clipping": {"C0": 3, "sigma0": 0, "C2": 0.5, "T": 50},
    "output-perturbation": {"C0": 30},
    "dp-sgd": {"q": 0.01, "T": 1000, "removed": 3},
}
EPSILONS = {"certified-removal": (0.05, 0.5, 1.0)}  # proven up to 1
DELTA = 1e-5


def constants(theorem: str, **other: float) -> dict[str, Constant]:
    """The constants of a theorem, these others in their place."""
    given = VALUES[theorem] | {name.rstrip("_"): value for name, value in other.items()}  # lambda_ is no keyword
    return {name: Constant(float(value), "assumed", "") for name, value in given.items()}


def epsilons(theorem: str) -> tuple[float, ...]:
    return EPSILONS.get(theorem, (0.05, 0.5, 1.0, 5.0, 30.0))
