"""Who stands where on `fashion-mnist-10k`: writes results/ and what is made of it, one forget set after the other.

Needs Debian's package dataset-fashion-mnist, or EXPUNGE_DATA, or the hub. On 2 cores 25 minutes for what all forget
sets share, 6 for the oracles of each, an hour and a half to score all methods on one. It goes on where it stopped.
Run: python runs/fashion_mnist_10k.py [FORGET_SET ...] [-- METHOD ...]  (default: all forget sets, and
all methods but those that start from models of their own)
"""

import sys
from pathlib import Path

from expunge.errors import ExpungeError
from expunge.reports.studies.standings import study_standings
from expunge.suites import load_suite
from expunge.terminal import ProgressLine

ROOT, OUT = Path(__file__).parents[1], Path("out/fashion-mnist-10k")


def main() -> None:
    """One bench for each forget set, so that each is finished by itself."""
    given = sys.argv[1:]
    at = given.index("--") if "--" in given else len(given)
    try:
        with ProgressLine("fashion-mnist-10k") as watch:
            study_standings(load_suite("fashion-mnist-10k"), given[:at], given[at + 1 :], OUT, ROOT, watch)
    except ExpungeError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
