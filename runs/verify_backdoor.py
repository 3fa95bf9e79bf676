"""Private triggers as proof of deletion: writes results/verification/backdoor.json, and backdoor.md beside it.

In rounds, each of one model of digits: by default 100 with decoys and as many without, ten minutes on 2 cores. It goes
on where it stopped.
Run: python runs/verify_backdoor.py [ROUNDS [FOLDER]]
"""

import sys
from pathlib import Path

from expunge.errors import ExpungeError
from expunge.reports.studies.verify_backdoor import Setup, study_backdoor
from expunge.reports.studies.verify_backdoor_page import write_study
from expunge.terminal import ProgressLine

RESULTS, OUT = Path(__file__).parents[1] / "results/verification", Path("out/verify-backdoor")


def main() -> None:
    """Make the rounds that lack, then figures and page."""
    try:
        rounds = int(sys.argv[1]) if len(sys.argv) > 1 else Setup.rounds
        setups = [Setup(rounds=rounds), Setup(rounds=rounds, decoys=0.0, strangers=0)]
        found = []
        for setup in setups:
            with ProgressLine(f"decoys {setup.decoys:g}") as watch:
                found.append(study_backdoor(OUT, setup, watch))
        write_study(Path(sys.argv[2]) if len(sys.argv) > 2 else RESULTS, setups, found)
    except ExpungeError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
