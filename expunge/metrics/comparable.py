"""Whether two matrices of margins can be compared; what is wrong is told in one line."""

from numpy import ndarray

from expunge.ensembles.margins import require_finite
from expunge.errors import BadMargins, MismatchedEnsembles


def require_comparable(unlearned: ndarray, oracle: ndarray) -> None:
    """Refuse margins that cannot be compared: no matrix, no model, other examples, or not finite."""
    require_same_examples(unlearned, oracle)
    require_finite(unlearned, "unlearned")
    require_finite(oracle, "oracle")


def require_same_examples(unlearned: ndarray, oracle: ndarray) -> None:
    """Refuse what is no matrix of at least one model, and two matrices of different examples."""
    for values, what in ((unlearned, "unlearned"), (oracle, "oracle")):
        require_matrix(values, what)
    if unlearned.shape[1] != oracle.shape[1]:
        raise MismatchedEnsembles(
            f"expected margins of the same examples, got {unlearned.shape[1]} unlearned and {oracle.shape[1]} oracle; "
            "select the same columns of both"
        )


def require_matrix(values: object, what: str) -> None:
    """Refuse what is no array of real numbers, models by examples, of at least one model."""
    if not isinstance(values, ndarray):
        raise BadMargins(
            f"{what}: expected a NumPy array (models, examples), got {type(values).__name__}; give "
            "np.asarray(margins), of a tensor margins.detach().cpu().numpy()"
        )
    if values.ndim != 2 or len(values) == 0:
        raise BadMargins(f"{what}: expected (models, examples) of 1 model or more, got shape {values.shape}")
    if values.dtype.kind not in "fiub":
        raise BadMargins(f"{what}: expected margins that are real numbers, got {values.dtype}")
