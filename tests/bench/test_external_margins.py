"""Margins that were made elsewhere, as people have them: arrays, tensors, lists, files and folders of either."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from expunge.bench.external_margins import load_margins, score_margins
from expunge.ensembles import Plan, read_margins
from expunge.errors import BadMargins
from expunge.store import at_store
from expunge.suites import Suite


@pytest.fixture(scope="module")
def margins() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(3, 1797)).astype(np.float32)


def scores(suite: Suite, given: Any) -> list[Any]:
    return [each.value for each in score_margins(suite, "more", given) if each.subject.method == "yours"]


@pytest.fixture
def in_tiny_store(tiny_store: Path) -> Iterator[None]:
    with at_store(tiny_store):
        yield


def test_margins_are_scored_alike_in_whatever_they_come(tiny_suite: Suite, in_tiny_store: None, tmp_path: Path) -> None:
    suite = tiny_suite
    values = np.array(read_margins(Plan(suite, "pretrained"), 6, 3).values, np.float32)
    np.save(tmp_path / "m.npy", values)
    torch.save(torch.tensor(values), tmp_path / "m.pt")
    expected = scores(suite, values)
    tensor = torch.tensor(values, requires_grad=True)
    for given in (tensor, values.tolist(), values.astype(">f8"), str(tmp_path / "m.npy"), tmp_path / "m.pt"):
        assert scores(suite, given) == expected
    assert len(scores(suite, torch.tensor(values).half())) == len(expected)


def test_a_folder_may_hold_what_systems_leave(margins: np.ndarray, tmp_path: Path) -> None:
    for row, values in enumerate(margins):
        np.save(tmp_path / f"id_{row}.npy", values)
    for name in ("._id_0.npy", ".DS_Store", "Thumbs.db", "desktop.ini", ".npy"):
        (tmp_path / name).write_bytes(b"\x00\x05\x16\x07" + bytes(100))
    assert np.array_equal(load_margins(tmp_path), margins)


def test_a_folder_may_hold_tensors(margins: np.ndarray, tmp_path: Path) -> None:
    for row, values in enumerate(margins):
        torch.save(torch.tensor(values), tmp_path / f"id_{row}.pt")
    assert np.array_equal(load_margins(tmp_path), margins)
    (tmp_path / "id_3.npy").write_bytes(b"")
    with pytest.raises(BadMargins, match=r"expected files of one kind, got .npy and .pt"):
        load_margins(tmp_path)


def test_a_file_may_hold_a_tensor_for_each_model(margins: np.ndarray, tmp_path: Path) -> None:
    torch.save([torch.tensor(values) for values in margins], tmp_path / "m.pth")
    assert np.array_equal(load_margins(tmp_path / "m.pth"), margins)
    torch.save(torch.tensor(margins).bfloat16(), tmp_path / "b.pt")
    assert load_margins(tmp_path / "b.pt").shape == margins.shape


class Boom:
    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.place,)


def test_a_file_that_runs_code_is_refused(tmp_path: Path) -> None:
    torch.save(Boom(tmp_path / "boom"), tmp_path / "m.pt")
    with pytest.raises(BadMargins, match="reading it would run code"):
        load_margins(tmp_path / "m.pt")
    assert not (tmp_path / "boom").exists()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (torch.zeros(5), r"margins: expected shape \(models, 1797\)"),
        ([[1.0, 2.0], [3.0]], "margins: expected an array, with rows of one length"),
        ([["a"] * 1797] * 3, "margins: expected floating-point margins"),
        (None, "margins: expected an array, got NoneType"),
        (torch.zeros(3, 1797).to_sparse(), "expected a dense tensor, got a sparse one"),
    ],
)
def test_what_are_no_margins_is_one_line(given: Any, message: str, suite: Suite) -> None:
    with pytest.raises(BadMargins, match=message) as caught:
        score_margins(suite, "random-50", given)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["m.npy", "m.pt", "old.pt", "list.pt"])
def test_a_file_of_no_models_says_so(name: str, suite: Suite, tmp_path: Path) -> None:
    nothing = torch.zeros(0, suite.data.width)
    if name == "m.npy":
        np.save(tmp_path / name, nothing.numpy())
    else:
        held: object = [] if name == "list.pt" else nothing
        torch.save(held, tmp_path / name, _use_new_zipfile_serialization=name != "old.pt")
    with pytest.raises(BadMargins, match=rf"{name}: there are no models in it, expected at least 2$"):
        score_margins(suite, "random-50", tmp_path / name)


@pytest.mark.parametrize("first", [0, 6])
def test_pretrained_models_are_known_wherever_they_stand(
    first: int, tiny_suite: Suite, in_tiny_store: None, tmp_path: Path
) -> None:
    pretrained = np.array(read_margins(Plan(tiny_suite, "pretrained"), first, 6).values)
    assert reasons(tiny_suite, pretrained) == {
        "these are the margins of the suite's pretrained models, bit for bit: nothing was unlearned"
    }
    np.save(tmp_path / "m.npy", pretrained[::-1].astype(np.float64))
    assert reasons(tiny_suite, tmp_path / "m.npy") == reasons(tiny_suite, pretrained)
    pretrained[2:] += np.random.default_rng(0).normal(0, 0.3, pretrained[2:].shape).astype(np.float32)
    (told,) = reasons(tiny_suite, pretrained)
    assert "2 of 6 models have the margins of pretrained models of the suite, bit for bit" in told
    pretrained[:2] += np.float32(0.1)
    assert "bit for bit" not in "".join(reasons(tiny_suite, pretrained))


def reasons(suite: Suite, given: Any) -> set[str]:
    return {each.reason for each in score_margins(suite, "more", given) if each.subject.method == "yours"}


def test_a_file_of_other_things_is_one_line(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(2)}, tmp_path / "m.pt")
    with pytest.raises(BadMargins, match=r"expected a tensor .*, got a dictionary with a; save the margins alone"):
        load_margins(tmp_path / "m.pt")
    torch.save([torch.zeros(2), torch.zeros(3)], tmp_path / "m.pt")
    with pytest.raises(BadMargins, match=r"of one shape \(examples,\)"):
        load_margins(tmp_path / "m.pt")
    empty = tmp_path / "nothing"
    empty.mkdir()
    with pytest.raises(BadMargins, match=r"holds no \.npy and no \.pt"):
        load_margins(empty)
