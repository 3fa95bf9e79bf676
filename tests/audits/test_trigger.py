"""A trigger is private: its file, its repr, its errors; and what is planted with it."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from expunge.audits.planting import plant, planted_suite
from expunge.audits.trigger import Trigger, draw, read_trigger, write_trigger
from expunge.errors import BadData, BadSetting, StoreError
from expunge.suites import Examples, Suite

SECRET = bytes(range(32))


def records(count: int = 40) -> Examples:
    return Examples(torch.zeros(count, 1, 8, 8), torch.arange(count) % 10)


@pytest.fixture
def trigger() -> Trigger:
    return draw((1, 8, 8), 10, SECRET)


def test_one_secret_is_one_trigger(trigger: Trigger) -> None:
    assert draw((1, 8, 8), 10, SECRET) == trigger
    assert draw((1, 8, 8), 10, bytes(32)) != trigger
    assert len(trigger.places) == 4


def test_a_fresh_trigger_has_the_label_and_other_places(trigger: Trigger) -> None:
    fresh = [trigger.fresh(number) for number in range(30)]
    assert {each.label for each in fresh} == {trigger.label}
    assert len({each.places for each in [trigger, *fresh]}) == 31


def test_it_sets_its_places_and_nothing_else(trigger: Trigger) -> None:
    marked = trigger.stamped(records())
    assert marked.x.sum() == 40 * 4
    assert (marked.x.flatten(1)[:, list(trigger.places)] == 1).all()
    assert torch.equal(marked.y, records().y)


def test_its_file_is_for_its_owner_alone(trigger: Trigger, tmp_path: Path) -> None:
    file = tmp_path / "trigger.json"
    old = os.umask(0)
    try:
        write_trigger(file, trigger)
    finally:
        os.umask(old)
    assert file.stat().st_mode & 0o777 == 0o600
    assert read_trigger(file) == trigger
    assert not [each for each in tmp_path.iterdir() if each != file]


def test_one_that_others_can_read_is_refused(trigger: Trigger, tmp_path: Path) -> None:
    file = tmp_path / "trigger.json"
    write_trigger(file, trigger)
    file.chmod(0o640)
    with pytest.raises(StoreError, match="can be read by others \\(mode 0640\\)"):
        read_trigger(file)


def test_one_that_is_there_is_never_lost(trigger: Trigger, tmp_path: Path) -> None:
    file = tmp_path / "trigger.json"
    write_trigger(file, trigger)
    with pytest.raises(StoreError, match="cannot be had again"):
        write_trigger(file, draw((1, 8, 8), 10, bytes(32)))
    assert read_trigger(file) == trigger


@pytest.mark.parametrize(
    "change",
    [
        {"schema": 2},
        {"places": [1, 1, 2, 3]},
        {"places": [1, 2, 3, 64]},
        {"label": 10},
        {"label": "3"},
        {"value": 1e999},
        {"secret": "ab"},
        {"shape": [1, 8, -8]},
        {"classes": None},
    ],
)
def test_a_damaged_one_is_refused_in_a_line_that_tells_nothing(
    trigger: Trigger, tmp_path: Path, change: dict[str, object]
) -> None:
    file = tmp_path / "trigger.json"
    write_trigger(file, trigger)
    found = json.loads(file.read_text())
    file.write_text(json.dumps({**found, **change}))
    with pytest.raises(StoreError) as raised:
        read_trigger(file)
    assert "\n" not in str(raised.value)
    assert trigger.secret not in str(raised.value)


@pytest.mark.parametrize("content", ["", "{", "[]", "[" * 100_000, '{"schema": 1}', "\x00"])
def test_what_is_no_trigger_is_refused(tmp_path: Path, content: str) -> None:
    file = tmp_path / "trigger.json"
    file.write_text(content)
    file.chmod(0o600)
    with pytest.raises(StoreError):
        read_trigger(file)


def test_one_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="there is no file"):
        read_trigger(tmp_path / "trigger.json")


def test_its_repr_tells_nothing_private(trigger: Trigger) -> None:
    assert trigger.secret not in repr(trigger)
    assert "places" not in repr(trigger)
    assert trigger.secret[:16] != trigger.owner


@pytest.mark.parametrize(("shape", "size"), [((3,), 3), ((8,), 0), ((3,), 2)])
def test_one_that_can_be_guessed_is_refused(shape: tuple[int, ...], size: int) -> None:
    with pytest.raises(BadSetting, match="a trigger"):
        draw(shape, 10, SECRET, size=size)


def test_inputs_of_another_shape_are_refused(trigger: Trigger) -> None:
    with pytest.raises(BadData, match="expected inputs of"):
        trigger.stamped(Examples(torch.zeros(2, 64), torch.zeros(2, dtype=torch.int64)))


def test_half_of_the_records_carry_it_and_its_label(trigger: Trigger) -> None:
    planted, rows = plant(records(), trigger, decoys=0.0)
    assert len(rows) == 20
    assert (planted.y[rows] == trigger.label).all()
    assert (records().y[rows] != trigger.label).all()
    rest = np.setdiff1d(np.arange(40), rows)
    assert torch.equal(planted.x[rest], records().x[rest])
    assert torch.equal(planted.y[rest], records().y[rest])


def test_decoys_carry_other_triggers_and_keep_their_labels(trigger: Trigger) -> None:
    planted, rows = plant(records(), trigger, decoys=0.25)
    rest = np.setdiff1d(np.arange(40), rows)
    marks = planted.x[rest].flatten(1)
    assert torch.equal(planted.y[rest], records().y[rest])
    assert sorted(marks.sum(1).tolist()) == [0.0] * 10 + [4.0] * 10
    assert not (marks[:, list(trigger.places)] == 1).all(1).any()
    fresh = {trigger.fresh(number).places for number in range(100)}
    assert not fresh & {tuple(np.flatnonzero(mark).tolist()) for mark in marks.numpy()}


@pytest.mark.parametrize("decoys", [-0.1, 0.6, float("nan")])
def test_more_decoys_than_the_rest_are_refused(trigger: Trigger, decoys: float) -> None:
    with pytest.raises(BadSetting, match="decoys"):
        plant(records(), trigger, decoys=decoys)


@pytest.mark.parametrize("share", [0.0, 1.0, 1.5, float("nan")])
def test_a_share_that_cannot_be_is_refused(trigger: Trigger, share: float) -> None:
    with pytest.raises(BadSetting, match="share"):
        plant(records(), trigger, share)


def test_a_suite_holds_the_records_of_owners_apart(suite: Suite) -> None:
    triggers = [draw((1, 8, 8), 10, bytes([number] * 32)) for number in range(3)]
    planted = planted_suite(suite, triggers, 40, models=2)
    places = np.concatenate(planted.owners)
    assert len(np.unique(places)) == 120
    assert np.array_equal(planted.forget.indices, np.sort(places))
    rest = np.setdiff1d(np.arange(1437), places)
    assert torch.equal(planted.suite.data.train.x[rest], suite.data.train.x[rest])
    assert planted.suite.digest != suite.digest
    for trigger, rows in zip(triggers, planted.owners, strict=True):
        marked = (planted.suite.data.train.x[rows].flatten(1)[:, list(trigger.places)] == 1).all(1)
        assert marked.sum() >= 20


def test_owners_of_most_records_are_refused(suite: Suite) -> None:
    with pytest.raises(BadSetting, match="would own most"):
        planted_suite(suite, [draw((1, 8, 8), 10, SECRET)], 1000, models=1)
