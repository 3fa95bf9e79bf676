"""Keep the records of attacks in results/attacks, and write anew what is made of all records there: what the package
ships of them, and the tables of docs/threats.md.

Run: python runs/collect_attacks.py [OUT]  (OUT is the folder of runs/attacks.sh; without it, only the latter)
"""

import sys
from pathlib import Path

from expunge.errors import ExpungeError
from expunge.reports.threats.page import publish


def main() -> None:
    """The folder that is named, then the pages."""
    try:
        publish(Path(__file__).parents[1], *map(Path, sys.argv[1:2]))
    except ExpungeError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
