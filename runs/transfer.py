"""What is left of a representation after unlearning: writes results/sparsity/transfer.json; sparsity.py makes the page.

Run: python runs/transfer.py  (a few minutes on one core; goes on where it stopped)
"""

from pathlib import Path

from expunge.reports.studies.transfer import study_transfer
from expunge.terminal import ProgressLine

RESULTS = Path(__file__).parents[1] / "results"


def main() -> None:
    """Train, unlearn and probe what the store lacks."""
    with ProgressLine("transfer") as watch:
        study_transfer(RESULTS / "sparsity/transfer.json", watch=watch)


if __name__ == "__main__":
    main()
