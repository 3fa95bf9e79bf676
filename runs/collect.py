"""Collect the records of benches in results/, and write anew what is made of all records there.

Run: python runs/collect.py [OUT ...]  (OUT is the --out folder of a bench; without it, only the latter)
"""

import sys
from pathlib import Path

from expunge.reports.leaderboard.records import collect, read_records
from expunge.reports.leaderboard.pages import front_block, read_page, results_page, with_block
from expunge.reports.leaderboard.results import SHIPPED, summarise, write_results

ROOT = Path(__file__).parents[1]
RESULTS, README = ROOT / "results", ROOT / "README.md"


def main(outs: list[str]) -> None:
    """The files of records; then results/README.md, the block in README.md, and what the package ships."""
    for out in map(Path, outs):
        collect(out, RESULTS)
    (RESULTS / "README.md").write_text(results_page(RESULTS))
    README.write_text(with_block(read_page(README), front_block(RESULTS)))
    write_results(SHIPPED, [each for scores in read_records(RESULTS).values() for each in summarise(scores)])


if __name__ == "__main__":
    main(sys.argv[1:])
