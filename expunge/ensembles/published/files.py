"""Reading files that others made: numbers only, never code; what is wrong with a file is told in one line."""

import pickle
import re
import warnings
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray

from expunge.errors import StoreError


def numbered(folder: Path, pattern: str, epoch: int, models: int | None = None) -> list[Path]:
    """Files of models 0, 1, 2, ... whose names match ``pattern``, with groups ``model`` and ``epoch``.

    Of all epochs only ``epoch`` is read. A gap in the numbers is refused; ``models`` takes the first so many.
    """
    names = sorted(each.name for each in folder.iterdir()) if folder.is_dir() else []
    found = [match for match in map(re.compile(pattern).fullmatch, names) if match]
    files = {int(match["model"]): folder / match.string for match in found if int(match["epoch"]) == epoch}
    if not files:
        others = sorted({int(match["epoch"]) for match in found})
        told = f"epochs {', '.join(map(str, others))} only" if others else "none"
        raise StoreError(f"{folder}: expected one file a model, of epoch {epoch}, got {told}")
    count = models or max(files) + 1
    missing = [number for number in range(count) if number not in files]
    if missing:
        shown = ", ".join(map(str, missing[:10])) + (f" and {len(missing) - 10} more" if len(missing) > 10 else "")
        few = f", or take the first {missing[0]} models only" if missing[0] else ""
        raise StoreError(f"{folder}: models {shown} of 0 to {count - 1} are missing; bring them{few}")
    return [files[number] for number in range(count)]


def read_vector(file: Path, length: int) -> Float[ndarray, " length"]:
    """Margins of one model from a ``.npy`` or ``.pt``, of this length, as float32."""
    values = read_stack(file) if file.suffix == ".pt" else _npy(file)
    if values.shape != (length,) or not np.issubdtype(values.dtype, np.floating):
        raise StoreError(f"{file}: expected {length} floating-point margins, got {values.dtype} {values.shape}")
    return _float32(values)


def read_matrix(file: Path, width: int) -> Float[ndarray, "models width"]:
    """Stacked margins ``(models, width)`` from a ``.pt``, as float32."""
    values = read_stack(file)
    if values.ndim != 2 or values.shape[1] != width:
        raise StoreError(f"{file}: expected a stack of shape (models, {width}), got {values.shape}")
    return _float32(values)


def read_indices(file: Path) -> Int[ndarray, " indices"]:
    """A list of integers from a ``.npy``, in its order, as int64."""
    values = _npy(file)
    if values.ndim != 1 or not np.issubdtype(values.dtype, np.integer):
        raise StoreError(f"{file}: expected a list of indices, got {values.dtype} {values.shape}")
    return values.astype(np.int64)


def read_stack(file: Path) -> ndarray:
    """The tensor in a ``.pt``; what wants to run code when it is read is refused, and nothing of it is run."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of pickles in other dialects, which are read or refused all the same
            held = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        if not _starts_as_pickle(file):
            raise StoreError(f"{file} is no .pt, by its first bytes; was it downloaded whole?") from None
        raise StoreError(
            f"{file} holds more than numbers: reading it would run code; refused, and nothing of it was run"
        ) from None
    except Exception as error:  # a damaged file makes torch raise anything
        raise StoreError(f"{file} is no .pt that can be read: {str(error).partition(chr(10))[0]}") from None
    if not isinstance(held, torch.Tensor) or not held.is_floating_point():
        raise StoreError(f"{file}: expected a tensor of floating-point margins, got {_kind(held)}")
    if held.layout != torch.strided or held.is_meta or held.is_nested:
        raise StoreError(f"{file}: expected a dense tensor of margins, got {held.layout}")
    values: ndarray = held.detach().float().numpy()
    return values


def _starts_as_pickle(file: Path) -> bool:
    """Whether the first bytes are those of a zip, as torch writes them, or of a binary pickle."""
    with file.open("rb") as stream:
        return stream.read(2) in (b"PK", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")


def _npy(file: Path) -> ndarray:
    try:
        with file.open("rb") as stream:  # numpy leaves a file open that is a broken zip
            values = np.load(stream, allow_pickle=False)
    except Exception as error:  # a damaged file makes numpy raise anything, and advise what must not be done
        raise StoreError(f"{file} is no .npy of numbers ({type(error).__name__}); was it downloaded whole?") from None
    if not isinstance(values, ndarray):
        raise StoreError(f"{file} is an .npz; expected a .npy")
    return values


def _float32(values: ndarray) -> ndarray:
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and is refused with its model
        return values.astype(np.float32)


def _kind(held: object) -> str:
    return f"a tensor of {held.dtype}" if isinstance(held, torch.Tensor) else type(held).__name__
