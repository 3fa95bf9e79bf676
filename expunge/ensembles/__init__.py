"""What one is compared with: stacked networks, the training loop, margins, pretrained models and oracles."""

from expunge.ensembles.build import (
    Measured,
    Plan,
    build,
    derive_forget_sets,
    pretrain,
    read_measured,
    read_subsets,
    retrain,
)
from expunge.ensembles.ensemble import Ensemble, Origin
from expunge.ensembles.margins import check_margins, margins

__all__ = [
    "Ensemble",
    "Measured",
    "Origin",
    "Plan",
    "build",
    "check_margins",
    "derive_forget_sets",
    "margins",
    "pretrain",
    "read_measured",
    "read_subsets",
    "retrain",
]
