"""Collect the records of benches in results/, and write anew what is made of all records there: results/README.md, the
block in README.md, and what the package ships of them.

Run: python runs/collect.py [OUT ...]  (OUT is the --out folder of a bench; without it, only the latter)
"""

import sys
from pathlib import Path

from expunge.errors import ExpungeError
from expunge.reports.studies.standings import publish


def main() -> None:
    """The folders that are named, then the pages."""
    try:
        publish([Path(out) for out in sys.argv[1:]], Path(__file__).parents[1])
    except ExpungeError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
