"""What one is compared with: stacked networks, the training loop, margins, pretrained models and oracles."""

from expunge.ensembles.build import build, build_all, derive_forget_sets
from expunge.ensembles.ensemble import Ensemble, Origin
from expunge.ensembles.margins import check_margins, margins
from expunge.ensembles.measured import Measured, read_measured, read_subsets
from expunge.ensembles.plan import Plan
from expunge.ensembles.weights import pretrain, retrain

__all__ = [
    "Ensemble",
    "Measured",
    "Origin",
    "Plan",
    "build",
    "build_all",
    "check_margins",
    "derive_forget_sets",
    "margins",
    "pretrain",
    "read_measured",
    "read_subsets",
    "retrain",
]
