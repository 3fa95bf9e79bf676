"""Records of owners in the training data: where they lie, who may ask for what, and when nothing has changed."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from expunge.attacks.injection import Contribution, Injection, inject
from expunge.ensembles import Plan, build
from expunge.errors import BadSetting, UnknownName
from expunge.suites import Examples, Suite

MARK = 7.0  # no digit has it


def marked(suite: Suite, labels: list[int], mark: float = MARK) -> Examples:
    return Examples(torch.full((len(labels), *suite.data.train.x.shape[1:]), mark), torch.tensor(labels))


def injected(suite: Suite, batching: str = "shuffled", **settings: object) -> Injection:
    controls = {"random": np.arange(10, 14)}
    contributions = [Contribution("anna", marked(suite, [0, 1])), Contribution("ben", marked(suite, [2, 3], 9.0))]
    return inject(suite, contributions, controls, batching=batching, models=2, **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("batching", ["shuffled", "dedicated"])
def test_owners_records_are_training_records_with_their_bytes_and_labels(tiny_suite: Suite, batching: str) -> None:
    found = injected(tiny_suite, batching)
    assert found.suite.data.sizes == tiny_suite.data.sizes
    for owner, mark in (("anna", MARK), ("ben", 9.0)):
        request = found.request(owner)
        assert request.honest(found.suite.data).all()
        assert (request.examples.x == mark).all()
        assert request.owner == owner
    assert found.suite.data.train.y[found.owners["ben"]].tolist() == [2, 3]
    assert int((found.suite.data.train.x == MARK).flatten(1).all(1).sum()) == 2


@pytest.mark.parametrize("batching", ["shuffled", "dedicated"])
def test_controls_are_the_records_that_were_named(tiny_suite: Suite, batching: str) -> None:
    found = injected(tiny_suite, batching)
    there = found.suite.data.train.x[found.controls["random"].indices]
    wanted = tiny_suite.data.train.x[10:14]
    assert sorted(each.numpy().tobytes() for each in there) == sorted(each.numpy().tobytes() for each in wanted)


@pytest.mark.parametrize("batching", ["shuffled", "dedicated"])
def test_all_other_records_are_as_they_were_and_classes_keep_their_sizes(tiny_suite: Suite, batching: str) -> None:
    found = injected(tiny_suite, batching)
    before = {each.numpy().tobytes() for each in tiny_suite.data.train.x}
    after = {each.numpy().tobytes() for each in found.suite.data.train.x}
    assert len(after - before) == 2  # one of anna's two alike, one of ben's
    assert len(before - after) == 4
    assert torch.equal(found.suite.data.train.y.bincount(), tiny_suite.data.train.y.bincount())


def test_in_dedicated_batches_each_contribution_and_control_is_batches_of_its_own(tiny_suite: Suite) -> None:
    found = injected(tiny_suite, "dedicated")
    size = found.suite.recipe.batch_size
    assert (size, found.suite.recipe.batches) == (2, "fixed")
    for places in (*found.owners.values(), found.controls["random"].indices):
        numbers, counts = np.unique(np.sort(places) // size, return_counts=True)
        assert (counts == size).all()
        assert len(numbers) == len(places) // size


def test_an_owner_who_asks_for_anothers_records_is_refused(tiny_suite: Suite) -> None:
    found = injected(tiny_suite)
    theirs = found.owners["ben"]
    with pytest.raises(BadSetting, match=rf"'anna' asks for .* record {theirs.min()}, which is of ben"):
        found.request("anna", np.sort(theirs))
    with pytest.raises(BadSetting, match="of somebody else"):
        found.request("anna", np.append(found.owners["anna"], 12))
    with pytest.raises(UnknownName, match="unknown owner 'ann'; did you mean 'anna'"):
        found.request("ann")


def test_only_those_who_ask_are_the_attack(tiny_suite: Suite) -> None:
    found = injected(tiny_suite, asking=1)
    assert found.attack.indices.tolist() == np.sort(found.owners["anna"]).tolist()
    assert len(injected(tiny_suite).attack) == 4


def test_without_contributions_it_is_the_suite_itself(tiny_suite: Suite) -> None:
    assert inject(tiny_suite, [], {}, models=2).suite is tiny_suite


def test_real_records_injected_in_their_own_places_change_no_model(tiny_suite: Suite) -> None:
    rows = np.array([3, 50, 77])
    same = Contribution("anna", tiny_suite.data.train.take(rows), rows)
    found = inject(tiny_suite, [same], {}, models=2)
    assert found.suite.digest == tiny_suite.digest
    assert found.attack.indices.tolist() == rows.tolist()
    plans = [Plan(each, "oracle", found.attack) for each in (found.suite, tiny_suite)]
    assert plans[0].key == plans[1].key  # so the attack's removal is that of its honest control, to the byte
    assert np.isfinite(build(plans[0], 2).array("margins")).all()


def test_a_record_of_another_class_may_not_stand_back(tiny_suite: Suite) -> None:
    label = int(tiny_suite.data.train.y[0])
    wrong = Contribution("anna", marked(tiny_suite, [(label + 1) % 10]), np.array([0]))
    with pytest.raises(BadSetting, match="a record of the same class stands back"):
        inject(tiny_suite, [wrong], {}, models=2)


def test_more_records_of_a_class_than_there_are_is_said(tiny_suite: Suite) -> None:
    many = Contribution("anna", marked(tiny_suite, [4] * 100))
    with pytest.raises(BadSetting, match="100 records of class 4, for which as many must stand back"):
        inject(tiny_suite, [many], {}, models=2)


def test_a_dedicated_batch_of_one_record_is_refused(tiny_suite: Suite) -> None:
    with pytest.raises(BadSetting, match="at least 2 records"):
        inject(tiny_suite, [Contribution("anna", marked(tiny_suite, [4]))], {}, batching="dedicated", models=2)


def test_its_digest_is_that_of_what_it_holds(tiny_suite: Suite) -> None:
    digests = {injected(tiny_suite, batching).suite.digest for batching in ("shuffled", "dedicated")}
    assert len(digests | {tiny_suite.digest}) == 3
    assert injected(tiny_suite).suite.digest in digests


def test_victims_may_be_another_network(tiny_suite: Suite) -> None:
    other = replace(tiny_suite.recipe)
    found = inject(
        tiny_suite, [], {}, network=lambda: torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10)), models=2
    )
    assert found.suite is not tiny_suite
    assert found.suite.recipe == other
