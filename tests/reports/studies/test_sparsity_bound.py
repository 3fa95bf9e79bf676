"""The bound on unlearning error of the study of sparsity, on small suites."""

from expunge.reports.studies.sparsity import bound
from tests.tiny_suite import tiny


def test_a_suite_of_fewer_examples_than_are_looked_at_gives_all_it_has() -> None:
    suite = tiny()
    assert len(suite.data.train) < 512
    entry = bound(0.0, suite, 2)
    assert entry["models"] == 2
    assert all(len(value) == 3 for key, value in entry.items() if key not in ("sparsity", "row", "models"))
