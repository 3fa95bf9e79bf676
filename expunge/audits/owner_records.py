"""The records of a data owner in an ``.npz`` of ``x`` and ``y``: read with care, written for the owner alone."""

import io
from pathlib import Path

import numpy as np
import torch

from expunge.audits.trigger import OWN_ONLY
from expunge.errors import BadData, BadSetting
from expunge.files import write_file
from expunge.number_files import read_arrays
from expunge.suites.data import Examples, require_finite

_TYPES = ("uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64")  # that torch computes with


def read_records(file: Path, classes: int) -> Examples:
    """The records in a file: inputs of any shape, and whole numbers below ``classes`` as their labels."""
    arrays = read_arrays(file, ("x", "y"))
    x, y = (np.ascontiguousarray(arrays[name], arrays[name].dtype.newbyteorder("=")) for name in ("x", "y"))
    if x.dtype.name not in _TYPES or x.ndim < 2 or not x.size:
        raise BadData(f"{file}, x: expected numbers, a row or picture for each record, got {x.dtype} of {x.shape}")
    if y.dtype.kind not in "iu" or y.shape != x.shape[:1]:
        raise BadData(f"{file}, y: expected {len(x)} whole numbers, one label a record, got {y.dtype} of {y.shape}")
    wrong = y[(y < 0) | (y >= classes)]
    if len(wrong):
        raise BadData(f"{file}, y: expected labels from 0 to {classes - 1}, got {wrong[0]}")
    found = Examples(torch.from_numpy(x), torch.from_numpy(y.astype(np.int64)))
    require_finite(found.x, f"{file}, x")
    return found


def write_records(file: Path, records: Examples) -> None:
    """Write them where nobody else may read: whoever compares them with the owner's others finds the trigger."""
    if file.suffix != ".npz":
        raise BadSetting(f"{file}: expected a name that ends in .npz")

    stream = io.BytesIO()
    np.savez(stream, x=records.x.numpy(), y=records.y.numpy())
    write_file(file, stream.getvalue(), mode=OWN_ONLY)


def value_for(records: Examples, value: float | None) -> float:
    """What a trigger sets its places to: the largest number in the records, unless one is given that fits."""
    if value is None:
        return float(records.x.max())
    if not torch.tensor(value, dtype=torch.float64).to(records.x.dtype).double().isclose(torch.tensor(value).double()):
        raise BadSetting(f"--value {value}: expected a number that {records.x.dtype} can hold, as the records do")
    return value
