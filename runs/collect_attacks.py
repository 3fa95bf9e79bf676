"""Keep the records of attacks in results/attacks, and write anew what is made of all records there: what the package
ships of them, the tables of docs/threats.md, and results/attacks/defences.md.

Run: python runs/collect_attacks.py [OUT] [--defended OUT]  (the folders of runs/attacks.sh and of
runs/attack_defences.sh; without them, only the latter)
"""

import argparse
from pathlib import Path

from expunge.errors import ExpungeError
from expunge.reports.threats.page import publish


def main() -> None:
    """The folders that are named, then the pages."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", nargs="?", type=Path)
    parser.add_argument("--defended", type=Path)
    given = parser.parse_args()
    try:
        publish(Path(__file__).parents[1], given.out, given.defended)
    except ExpungeError as error:
        parser.exit(1, f"{error}\n")


if __name__ == "__main__":
    main()
