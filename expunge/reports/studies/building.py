"""The ensembles that a study reads."""

from collections.abc import Sequence

from expunge.engine import Watch, default_workers, silent
from expunge.ensembles import Plan, build_all
from expunge.ensembles.stored_margins import find_ensemble


def build_lacking(wanted: Sequence[tuple[Plan, int]], watch: Watch = silent) -> None:
    """Train those of which neither what is shipped nor the user's store has so many models."""
    lacking = [(plan, models) for plan, models in wanted if find_ensemble(plan, models) is None]
    build_all(lacking, workers=default_workers(), watch=watch)
