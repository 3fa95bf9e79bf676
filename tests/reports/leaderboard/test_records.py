"""The records of the project: what lies where the leaderboard looks is a bench's."""

from pathlib import Path

from expunge.suites import SUITES

RESULTS = Path(__file__).parents[3] / "results"


def test_only_records_of_benches_lie_where_the_leaderboard_looks() -> None:
    """Files of attacks in a folder of a folder were once taken for rows of a suite."""
    assert {file.parts[-3] for file in RESULTS.glob("*/*/*.json")} <= SUITES.keys()
