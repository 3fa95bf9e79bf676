"""What to ask whoever made a row elsewhere, where its numbers look as if another network had made it."""

from collections.abc import Sequence

from expunge.bench.breakage import BREAKS, is_above
from expunge.records import Score
from expunge.reports.boards import boards


def question_of(scores: Sequence[Score], name: str) -> str:
    """Asked of the row ``name`` where it breaks the model, or lies far above identity on retain; else ""."""
    for board in boards(scores):
        for line in board.lines:
            nothing = board.identity.distance("retain") if board.identity else None
            far = is_above(line.row.distance("retain"), nothing, BREAKS)
            if line.row.method == name and (line.reading == "breaks the model" or far):
                first = scores[0].subject
                return (
                    f"{name} lies far from the oracles on what it should have kept: were its margins made by the "
                    f"network and the recipe of suite {first.suite!r}, starting from its pretrained models? Another "
                    "network reads so even when it is truly retrained; for models of your own, make a suite of your "
                    "own, with your network and recipe, and build its oracles (docs/suites.md)"
                )
    return ""
