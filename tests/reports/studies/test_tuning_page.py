"""The page of the searches for settings: the shipped records, and what two studies of them found."""

from expunge.reports.studies.tuning import Again, Found, Served
from expunge.reports.studies.tuning_page import tuning_page

SEEDS = [Again("scrub", 0.15, 0.78, 0.76, 0.77), Again("dmm", 0.5, 0.38, 0.36, 0.375)]
SERVED = [
    Served("random", 3, 0.42, 0.37, nearer=1, before=1, behind=2),
    Served("neighbours", 3, 0.40, 0.37, nearer=2, before=0, behind=0),
]


def test_the_page_says_what_searches_cost_and_found_and_how_far_to_trust_them() -> None:
    page = tuning_page("digits", Found(SEEDS, SERVED))
    assert "| memorised | 57 |" in page
    assert "differs by 0.020 (median; at most 0.020); that of one recipe on two groups of 20 models by 0.008" in page
    assert "| random | 0.420 | 1 of 3 | 1 | 2 |" in page
    assert "The least mean is that of the settings for neighbours." in page
    assert "\\`" not in page  # names are code, not escaped


def test_a_suite_without_searches_says_so() -> None:
    assert "## tabular\n\nNo search for its settings is shipped.\n" in tuning_page("tabular", Found([], []))


def test_searches_on_other_suites_follow_with_how_far_they_went() -> None:
    studied, other = tuning_page("digits", Found(SEEDS, SERVED)).split("## fashion-mnist-10k")
    assert "20 trials a search that did not fail, 100 oracles; a trial might cost 100 % of a retraining." in studied
    assert "6 trials a search that did not fail, 50 oracles; a trial might cost 15 % of a retraining" in other
    assert "| kind | doing nothing | at 5 % | at 15 % |\n" in other  # no budget that nobody looked at


def test_what_was_not_studied_has_no_part_on_the_page() -> None:
    assert "Another seed" not in tuning_page("digits", Found([], []))
