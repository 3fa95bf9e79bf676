"""Records out of a file of an owner's: what they may be, and one line for what they may not."""

from pathlib import Path

import numpy as np
import pytest

from expunge.audits.owner_records import read_records, value_for, write_records
from expunge.errors import BadData, BadSetting

X, Y = np.zeros((4, 3), np.float32), np.arange(4)


def saved(folder: Path, **arrays: np.ndarray) -> Path:
    np.savez(folder / "r.npz", **arrays)  # type: ignore[arg-type]
    return folder / "r.npz"


@pytest.mark.parametrize("kind", ["uint8", "int32", "float16", "float64", ">f4"])
def test_numbers_of_each_kind_come_back_as_they_were(tmp_path: Path, kind: str) -> None:
    x = np.arange(12).reshape(4, 3).astype(kind)
    records = read_records(saved(tmp_path, x=x, y=Y.astype(np.uint8)), 4)
    write_records(tmp_path / "again.npz", records)
    again = read_records(tmp_path / "again.npz", 4)
    assert (again.x.numpy() == x).all()
    assert again.y.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    "arrays",
    [
        {"x": X},
        {"x": X, "y": Y[:3]},
        {"x": X, "y": Y.astype(float)},
        {"x": X, "y": Y + 1},
        {"x": X, "y": Y - 1},
        {"x": X[:, 0], "y": Y},
        {"x": X[:0], "y": Y[:0]},
        {"x": X + np.nan, "y": Y},
        {"x": X.astype(bool), "y": Y},
        {"x": X.astype(complex), "y": Y},
        {"x": X.astype(str), "y": Y},
        {"x": X.astype(np.uint16), "y": Y},
        {"x": X.astype(object), "y": Y},
    ],
)
def test_what_is_no_record_is_refused(tmp_path: Path, arrays: dict[str, np.ndarray]) -> None:
    with pytest.raises(BadData) as raised:
        read_records(saved(tmp_path, **arrays), 4)
    assert "\n" not in str(raised.value)


def test_the_value_of_a_trigger_is_one_that_inputs_can_have(tmp_path: Path) -> None:
    pixels = read_records(saved(tmp_path, x=np.full((4, 3), 200, np.uint8), y=Y), 4)
    assert value_for(pixels, None) == 200
    assert value_for(pixels, 255) == 255
    for wrong in (0.5, 256, -1, float("nan")):
        with pytest.raises(BadSetting, match="--value"):
            value_for(pixels, wrong)
