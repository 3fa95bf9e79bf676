"""Keep a matrix of attacks: writes results/attacks/matrix.json and the page results/attacks/matrix.md.

Run: runs/attack_matrix.sh, or python runs/attack_matrix.py OUT  (OUT is the folder of an `expunge attack matrix`)
"""

import sys
from pathlib import Path

from expunge.errors import ExpungeError
from expunge.reports.attacks.matrix_results import keep_matrix

RESULTS = Path(__file__).parents[1] / "results/attacks"


def main() -> None:
    """The numbers and the page of the folder that is named."""
    if len(sys.argv) != 2:
        sys.exit("expected the folder of a matrix, as out/matrix")
    out = Path(sys.argv[1])
    try:
        for file in keep_matrix(out, RESULTS):
            print(file)
    except (ExpungeError, OSError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
