"""Whether a trigger still works after unlearning: writes results/sparsity/backdoor.json; sparsity.py makes the page.

Run: python runs/backdoor_cleansing.py  (a few minutes on one core; goes on where it stopped)
"""

from pathlib import Path

from expunge.reports.studies.backdoor_cleansing import study_cleansing
from expunge.terminal import ProgressLine

RESULTS = Path(__file__).parents[1] / "results"


def main() -> None:
    """Train, unlearn and attack what the store lacks."""
    with ProgressLine("backdoor") as watch:
        study_cleansing(RESULTS / "sparsity/backdoor.json", watch=watch)


if __name__ == "__main__":
    main()
