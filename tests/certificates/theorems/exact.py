"""What two distributions give away, computed exactly where it can be: what no theorem may claim less than."""

import numpy as np
from numpy import ndarray
from scipy.stats import norm

from expunge.certificates.theorems.gaussian import epsilon_of


def epsilon_of_gaussians(gap: float, deviation: float, delta: float) -> float:
    """Of two normals of one deviation whose means are ``gap`` apart."""
    return epsilon_of(gap / deviation, delta)


def delta_of_mixtures(one: ndarray, other: ndarray, means: ndarray, deviation: float, epsilon: float) -> float:
    """``sup over events of P - e^epsilon Q``, the larger way around; mixtures of normals with these weights."""
    x = np.linspace(means.min() - 12 * deviation, means.max() + 12 * deviation, 400_001)
    parts = norm.pdf(x[:, None], means, deviation)
    p, q = parts @ one, parts @ other
    step, grown = x[1] - x[0], np.exp(epsilon)
    return float(max(np.sum(np.maximum(p - grown * q, 0)), np.sum(np.maximum(q - grown * p, 0))) * step)
