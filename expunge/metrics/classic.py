"""UA, RA and TA, the accuracies of the tables in most papers: one value per model, on forget, retain and test."""

from jaxtyping import Bool, Float
from numpy import ndarray

from expunge.metrics.accuracy import accuracy


def ua(correct: Bool[ndarray, "models examples"]) -> Float[ndarray, " models"]:
    """Unlearning accuracy: ``1 - accuracy`` on the forget set, of each model; 0 to 1.

    Neither high nor low is better: a method should get what the oracles get. Papers print it in per cent.

    Args:
        correct: whether each model's first choice is the label, of the forget examples; one row per model.

    Returns:
        One value per model.

    Source: Jia et al. 2023, arXiv:2304.04934.

    >>> import numpy as np
    >>> ua(np.array([[True, False, False, False], [True, True, True, True]]))
    array([0.75, 0.  ])
    """
    return 1 - accuracy(correct)


def ra(correct: Bool[ndarray, "models examples"]) -> Float[ndarray, " models"]:
    """Remaining accuracy: accuracy on the retained training examples, of each model; 0 to 1.

    A method should get what the oracles get, nearly always 1 or close to it.

    Args:
        correct: whether each model's first choice is the label, of the retained examples; one row per model.

    Returns:
        One value per model.

    Source: Jia et al. 2023, arXiv:2304.04934.

    >>> import numpy as np
    >>> ra(np.array([[True, True, True, False]]))
    array([0.75])
    """
    return accuracy(correct)


def ta(correct: Bool[ndarray, "models examples"]) -> Float[ndarray, " models"]:
    """Testing accuracy: accuracy on the test examples, of each model; 0 to 1.

    A method should get what the oracles get: being better than they is a gap too. On a class forget set papers leave
    the class out of the test examples; here they all count, so that a model that still knows the class has a gap.

    Args:
        correct: whether each model's first choice is the label, of the test examples; one row per model.

    Returns:
        One value per model.

    Source: Jia et al. 2023, arXiv:2304.04934.

    >>> import numpy as np
    >>> ta(np.array([[True, False]]))
    array([0.5])
    """
    return accuracy(correct)
