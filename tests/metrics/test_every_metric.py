"""Laws that hold for every row of METRICS."""

import inspect
import re

import pytest

from expunge.metrics import METRICS


@pytest.mark.parametrize("name", METRICS)
def test_its_row_says_what_its_numbers_are_and_where_they_come_from(name: str) -> None:
    metric = METRICS[name]
    for said in (metric.unit, metric.better, metric.oracle, metric.source, *metric.aggregates):
        assert said
        assert "..." not in said
    assert metric.aggregates
    assert (metric.scores is None) != (metric.compares is None)


@pytest.mark.parametrize("name", METRICS)
def test_its_formula_says_its_source(name: str) -> None:
    assert re.search(r"Source: (?!\.\.\.)\S", inspect.getdoc(METRICS[name].function) or "")
