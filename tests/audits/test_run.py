"""Audits of ensembles in hand, without a bench."""

import pytest

import expunge as xp
from expunge.audits.run import AuditedRow
from expunge.ensembles.plan import Plan
from expunge.ensembles.stored_margins import EnsembleMargins, read_margins
from expunge.errors import MismatchedEnsembles, UnknownName

SUITE = xp.load_suite("digits")
FORGET = SUITE.forget_sets["memorised-50"]


def margins(kind: str, first: int = 0) -> EnsembleMargins:
    return read_margins(Plan(SUITE, kind, FORGET if kind == "oracle" else None), first, 20)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def found() -> AuditedRow:
    return xp.audit(margins("pretrained"), margins("oracle"))


def test_what_was_not_unlearned_is_found(found: AuditedRow) -> None:
    assert found.verdict is not None
    assert found.verdict.outcome == "FAIL"
    assert found.verdict.subject.forget_set == "memorised-50"
    assert found.method == "identity"


def test_its_records_are_those_of_the_command(found: AuditedRow) -> None:
    (row,) = xp.run_audits("digits", "memorised-50", ["identity"], models=20)
    assert [score.value for score in row.scores] == [score.value for score in found.scores]


def test_audits_that_need_models_say_so_where_there_are_margins_alone() -> None:
    found = xp.audit(margins("pretrained"), margins("oracle"), audits=["linear-probe", "loss"])
    assert "makes no models, only margins" in found.lacking["linear-probe"]
    assert list(found.found) == ["loss"]


def test_oracles_and_unlearned_models_are_not_mistaken_for_each_other() -> None:
    with pytest.raises(MismatchedEnsembles, match="expected unlearned models, then oracles"):
        xp.audit(margins("oracle", 100), margins("oracle"))


def test_a_name_that_is_none_is_one_line() -> None:
    with pytest.raises(UnknownName, match="did you mean 'rmia'"):
        xp.audit(margins("pretrained"), margins("oracle"), audits=["rmai"])
