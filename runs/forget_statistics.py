"""What BatchNorm's running statistics do by themselves: writes results/forget_statistics.md.

Run: python runs/forget_statistics.py  (four minutes on 2 cores, three more for oracles that no search has built)
"""

from pathlib import Path

from expunge.reports.studies.forget_statistics import study_forget_statistics
from expunge.terminal import ProgressLine

RESULTS = Path(__file__).parents[1] / "results"


def main() -> None:
    """Both tables."""
    with ProgressLine("forget statistics") as watch:
        study_forget_statistics(RESULTS / "forget_statistics.md", watch=watch)


if __name__ == "__main__":
    main()
