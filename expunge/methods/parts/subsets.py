"""What methods ask of a suite whose datamodels or memorisation they use: its models trained on halves."""

from typing import Any

from expunge.ensembles.stored_margins import read_subsets
from expunge.errors import StoreError
from expunge.suites.suite import ForgetSet, Suite


def require_subsets(suite: Suite, forget: ForgetSet, cfg: Any) -> None:
    """Raise StoreError where the models trained on halves are missing."""
    if not suite.subsets:
        raise StoreError(
            f"suite {suite.name!r} has no models trained on halves, which datamodels and memorisation need; "
            "give it subsets"
        )
    read_subsets(suite)
