"""Every certified method on logistic regression, ``tabular``, by 200 models: what is measured is under its claim."""

import pytest

from expunge.audits.certification import Certification, measure, tried_together
from expunge.methods.certified import CERTIFIED

HIDDEN = {"dp-sgd"}  # all of its noise is in training, whose first weights scatter more than ten examples move them


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Certification]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EXPUNGE_STORE", str(tmp_path_factory.mktemp("store")))
        patch.setenv("EXPUNGE_DEVICE", "cpu")
        return {method: measure(method, "tabular", "random-10", planted=True) for method in sorted(CERTIFIED)}


@pytest.mark.slow
def test_no_sound_claim_is_refuted(page: dict[str, Certification]) -> None:
    for found, tried in zip(page.values(), tried_together(list(page.values())), strict=True):
        for each in tried.values():
            assert each.word == "NOT REFUTED", (found.subject.method, each)
            assert each.value <= found.asked


@pytest.mark.slow
@pytest.mark.parametrize("method", sorted(CERTIFIED))
def test_no_check_finds_a_fault_and_every_planted_one_is_caught(method: str, page: dict[str, Certification]) -> None:
    assert not any(page[method].checks.values())
    assert not [each for each in page[method].planted if each.outcome in ("missed", "refused already")]
    forgotten = page[method].planted[0]
    assert forgotten.fault == "noise-forgotten"
    assert forgotten.outcome == ("cannot be shown" if method in HIDDEN else "caught")


@pytest.mark.slow
def test_each_fault_is_caught_of_some_method(page: dict[str, Certification]) -> None:
    caught = {each.fault for found in page.values() for each in found.planted if each.outcome == "caught"}
    assert len(caught) == 5
