"""Which proofs of unlearning pass which verifier: writes results/verify_matrix.json and results/verify_matrix.md.

Run: python runs/verify_matrix.py [REPETITIONS] [FOLDER]  (20 repetitions: about half an hour on 2 cores; goes on where
it stopped)
"""

import sys
from pathlib import Path

from expunge.audits.proofs.matrix import REPETITIONS
from expunge.engine import default_workers
from expunge.errors import ExpungeError
from expunge.reports.proofs.matrix_page import write_matrix
from expunge.suites import load_suite
from expunge.terminal import ProgressLine

RESULTS = Path(__file__).parents[1] / "results"


def main() -> None:
    """Attack and verify what the store lacks, then write the page."""
    repetitions = int(sys.argv[1]) if len(sys.argv) > 1 else REPETITIONS
    folder = Path(sys.argv[2]) if len(sys.argv) > 2 else RESULTS
    suite = load_suite("digits")
    try:
        with ProgressLine("verify matrix") as watch:
            page = write_matrix(suite, suite.forget_set("random-10"), repetitions, folder, default_workers(), watch)
    except ExpungeError as error:
        sys.exit(str(error))
    print(page)


if __name__ == "__main__":
    main()
