"""Condensed examples in a file: what is read is what was written, or an error of one line."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy import ndarray

from expunge.attacks.condensing.condense import Condensed, condense, load_condensed
from expunge.errors import BadData, MismatchedEnsembles
from expunge.suites import Suite
from tests.attacks.condensing.small import config, pictures, table


@pytest.fixture(scope="module")
def small() -> Suite:
    return pictures()


@pytest.fixture(scope="module")
def condensed(small: Suite) -> Condensed:
    return condense(small, config(), [3])[0]


@pytest.fixture
def file(condensed: Condensed, tmp_path: Path) -> Path:
    condensed.save(tmp_path / "ibd.npz")
    return tmp_path / "ibd.npz"


def test_what_is_read_is_what_was_written(condensed: Condensed, small: Suite, file: Path) -> None:
    found = load_condensed(file, small)
    assert torch.equal(found.examples.x, condensed.examples.x)
    assert torch.equal(found.examples.y, condensed.examples.y)
    assert found.origin.tolist() == condensed.origin.tolist()
    for name in ("config", "seed", "suite", "suite_digest", "objective"):
        assert getattr(found, name) == getattr(condensed, name)


def test_the_same_examples_make_the_same_bytes(condensed: Condensed, file: Path, tmp_path: Path) -> None:
    condensed.save(tmp_path / "again.npz")
    assert (tmp_path / "again.npz").read_bytes() == file.read_bytes()


def edited(file: Path, change: Callable[[dict[str, ndarray]], None]) -> None:
    with np.load(file) as held:
        arrays = dict(held)
    change(arrays)
    np.savez(file, **arrays)


def brighter(arrays: dict[str, ndarray]) -> None:
    arrays["x"][0, 0, 0, 0] += 1e-3


def other_seed(arrays: dict[str, ndarray]) -> None:
    facts = {**json.loads(arrays["meta"].tobytes()), "seed": 4}
    arrays["meta"] = np.frombuffer(json.dumps(facts).encode(), np.uint8)


def no_labels(arrays: dict[str, ndarray]) -> None:
    del arrays["y"]


def pickled(arrays: dict[str, ndarray]) -> None:
    arrays["x"] = np.array([print], dtype=object)


@pytest.mark.parametrize("change", [brighter, other_seed, no_labels, pickled])
def test_a_changed_file_is_refused(small: Suite, file: Path, change: Callable[[dict[str, ndarray]], None]) -> None:
    edited(file, change)
    with pytest.raises(BadData, match=r"condense anew$"):
        load_condensed(file, small)


@pytest.mark.parametrize("share", [0.0, 0.5, 0.999])
def test_a_file_that_was_cut_off_is_refused(small: Suite, file: Path, share: float) -> None:
    content = file.read_bytes()
    file.write_bytes(content[: int(share * len(content))])
    with pytest.raises(BadData, match=r"damaged; condense anew$"):
        load_condensed(file, small)


def test_every_flipped_byte_is_refused_or_changes_nothing(condensed: Condensed, small: Suite, file: Path) -> None:
    content = bytearray(file.read_bytes())
    for place in range(0, len(content), 37):
        content[place] ^= 1
        file.write_bytes(content)
        content[place] ^= 1
        try:
            found = load_condensed(file, small)
        except BadData:
            continue
        assert torch.equal(found.examples.x, condensed.examples.x), place
        assert found.config == condensed.config, place


def test_a_file_that_is_not_there_is_named(small: Suite, tmp_path: Path) -> None:
    with pytest.raises(BadData, match=r"none.npz: no such file"):
        load_condensed(tmp_path / "none.npz", small)


def test_that_of_another_suite_is_refused_but_as_a_surrogate(condensed: Condensed, small: Suite, file: Path) -> None:
    other = replace(small, version=2)
    with pytest.raises(
        MismatchedEnsembles, match=r"condensed on suite small-pictures .* or say that it is a surrogate"
    ):
        load_condensed(file, other)
    assert torch.equal(load_condensed(file, other, surrogate=True).examples.x, condensed.examples.x)


def test_a_surrogate_must_have_the_shapes_of_the_suite(file: Path) -> None:
    with pytest.raises(BadData, match=r"expected examples of \(5,\) in 2 classes .* got \(1, 8, 8\) in 3"):
        load_condensed(file, table(), surrogate=True)
