"""The gap to the oracles against sparsity: writes results/sparsity/SUITE.json and the page results/sparsity.md.

Run: runs/sparsity.sh, or python runs/sparsity.py [SUITE ...]  (digits, fashion-mnist-10k; without a suite, only the
page is written again)
"""

import sys
from pathlib import Path

from expunge.errors import ExpungeError
from expunge.reports.studies.sparsity import study_sparsity
from expunge.terminal import ProgressLine

RESULTS = Path(__file__).parents[1] / "results"


def main() -> None:
    """Measure the suites that are named, then write the page."""
    try:
        with ProgressLine("sparsity") as watch:
            study_sparsity(sys.argv[1:], RESULTS, watch)
    except ExpungeError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
