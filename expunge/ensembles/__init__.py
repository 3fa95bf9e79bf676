"""What one is compared with: stacked networks, the training loop, margins, pretrained models and oracles."""

from expunge.ensembles.builds import build, build_all, derive_forget_sets
from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.margins import check_margins
from expunge.ensembles.origin import Origin
from expunge.ensembles.plan import Plan
from expunge.ensembles.pretraining import pretrain, retrain
from expunge.ensembles.stored_margins import EnsembleMargins, read_margins, read_subsets

__all__ = [
    "Ensemble",
    "EnsembleMargins",
    "Origin",
    "Plan",
    "build",
    "build_all",
    "check_margins",
    "derive_forget_sets",
    "pretrain",
    "read_margins",
    "read_subsets",
    "retrain",
]
