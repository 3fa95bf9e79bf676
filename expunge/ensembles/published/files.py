"""Margins and indices in files that others made, model by model or stacked."""

import re
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray

from expunge.errors import StoreError
from expunge.number_files import read_array
from expunge.outside import cannot_read
from expunge.torch_files import read_tensors

NUMBER = r"0*\d{1,7}"  # of a model, in names of files: what is longer is none
SHOWN = 10  # so many missing models are named


def numbered(folder: Path, pattern: str, epoch: int, most: int, models: int | None = None) -> list[Path]:
    """Files of models 0, 1, 2, ... whose names match ``pattern``, with groups ``model`` and ``epoch``.

    Of all epochs only ``epoch`` is read. A gap in the numbers is refused, and so are more than ``most`` models, as many
    as the suite has; ``models`` takes the first so many.
    """
    try:
        names = sorted(each.name for each in folder.iterdir()) if folder.is_dir() else []
    except OSError as error:
        raise cannot_read(folder, error, StoreError) from None
    found = [match for match in map(re.compile(pattern).fullmatch, names) if match]
    files = {int(match["model"]): folder / match.string for match in found if int(match["epoch"]) == epoch}
    if not files:
        others = sorted({int(match["epoch"]) for match in found})
        told = f"epochs {', '.join(map(str, others[:SHOWN]))} only" if others else "none"
        raise StoreError(f"{folder}: expected one file a model, of epoch {epoch}, got {told}")
    if max(files) >= most and models is None:
        raise StoreError(f"{folder}: expected models 0 to {most - 1} at most, got {files[max(files)].name}")
    count = models or max(files) + 1
    missing = count - sum(number < count for number in files)
    if missing:
        first = list(islice((number for number in range(count) if number not in files), SHOWN))
        shown = ", ".join(map(str, first)) + (f" and {missing - SHOWN} more" if missing > SHOWN else "")
        few = f", or take the first {first[0]} models only" if first[0] else ""
        raise StoreError(f"{folder}: models {shown} of 0 to {count - 1} are missing; bring them{few}")
    return [files[number] for number in range(count)]


def read_vector(file: Path, length: int) -> Float[ndarray, " length"]:
    """Margins of one model from a ``.npy`` or ``.pt``, of this length, as float32."""
    values = _numbers(file) if file.suffix == ".pt" else read_array(file, StoreError, kinds="biufc", mapped=True)
    if values.shape != (length,) or not np.issubdtype(values.dtype, np.floating):
        raise StoreError(f"{file}: expected {length} floating-point margins, got {values.dtype} {values.shape}")
    return _float32(values)


def read_matrix(file: Path, width: int, most: int) -> Float[ndarray, "models width"]:
    """Stacked margins ``(models, width)`` from a ``.pt``, as float32; of at most so many models."""
    values = _numbers(file)
    if values.ndim != 2 or values.shape[1] != width or len(values) > most:
        raise StoreError(
            f"{file}: expected a stack of shape (models, {width}), {most} models at most, got {values.shape}"
        )
    return _float32(values)


def read_indices(file: Path, most: int) -> Int[ndarray, " indices"]:
    """A list of at most so many integers from a ``.npy``, in its order, as int64."""
    values = read_array(file, StoreError, mapped=True)
    if values.ndim != 1 or not np.issubdtype(values.dtype, np.integer) or values.size > most:
        raise StoreError(f"{file}: expected a list of indices, {most} at most, got {values.dtype} {values.shape}")
    return values.astype(np.int64)


def _numbers(file: Path) -> ndarray:
    """The floating-point numbers of the tensor in a ``.pt``, mapped where numpy has their type."""
    held = read_tensors(file, StoreError)
    if not isinstance(held, torch.Tensor) or not held.is_floating_point():
        raise StoreError(f"{file}: expected a tensor of floating-point margins, got {_kind(held)}")
    values: ndarray = (held.float() if held.dtype == torch.bfloat16 else held).numpy()
    return values


def _float32(values: ndarray) -> ndarray:
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and is refused with its model
        return values.astype(np.float32)


def _kind(held: object) -> str:
    return f"a tensor of {held.dtype}" if isinstance(held, torch.Tensor) else type(held).__name__
