"""The usability attack: writes results/usability/*.json and results/usability.md.

Without a name all runs are made, those on digits in half an hour on 2 cores, fashion-mnist-10k in one to two; it goes
on where it stopped. fashion-mnist-10k needs Debian's package dataset-fashion-mnist, or EXPUNGE_DATA, or the hub.
Run: python runs/usability.py [RUN ...]
"""

import sys
from pathlib import Path

from expunge.engine import default_workers
from expunge.errors import ExpungeError, lookup
from expunge.reports.studies.usability import RUNS, read_results, study_usability
from expunge.reports.studies.usability_page import usability_page
from expunge.terminal import ProgressLine

ROOT, OUT = Path(__file__).parents[1], Path("out/usability-study")


def main() -> None:
    """Each run leaves its findings; the page is made of those that are there."""
    names = sys.argv[1:] or list(RUNS)
    results = ROOT / "results"
    try:
        for name in names:
            lookup("run", name, RUNS)
        for name in names:
            with ProgressLine(name) as watch:
                study_usability(name, OUT, results / "usability", workers=default_workers(), watch=watch)
            (results / "usability.md").write_text(usability_page(read_results(results / "usability")), encoding="utf-8")
    except ExpungeError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
