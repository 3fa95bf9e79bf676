"""A bundle as it comes from a stranger: nothing in it is run or unpacked, and no more than a few states are in memory.

Every file must be named in the manifest, of the size and SHA-256 that it says there, and of the shape that the
verifier's own suite gives it.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int, UInt8
from numpy import ndarray
from safetensors import safe_open

from expunge.audits.proofs.manifest import MANIFEST, Manifest, Promise, layout_of, read_manifest
from expunge.audits.proofs.states import States, widths_of
from expunge.ensembles.plan import new_networks
from expunge.errors import BadProof
from expunge.files import sha256_of
from expunge.number_files import read_array, readable, tensor_shapes
from expunge.outside import cannot_read, first_line
from expunge.suites.suite import Suite

HOLDS = {
    "batches": "the records of every batch",
    "rates": "the learning rates",
    "leaves": "the hashes of all records",
    "chain": "the hash chain",
}
ROOM = 4  # times as many steps as the recipe has: beyond that a bundle is not looked at


@dataclass(frozen=True, eq=False)
class Bundle:
    """An opened bundle, whose files are what its manifest says."""

    folder: Path
    manifest: Manifest
    batches: Int[ndarray, "steps batch"]
    rates: Float[ndarray, " steps"]
    leaves: UInt8[ndarray, "records 32"]
    chain: UInt8[ndarray, "links 32"]

    def batch(self, step: int) -> Int[ndarray, " batch"]:
        """The records of a step."""
        row = self.batches[step]
        found: ndarray = row[row >= 0]
        return found

    def step_of(self, state: int) -> int:
        """After how many steps a state was kept."""
        return min(state * self.manifest.every, self.manifest.steps)

    def states(self, numbers: Sequence[int]) -> States:
        """These states, by their numbers."""
        found = States.empty(len(numbers), self.manifest.layout)
        wanted: dict[int, list[int]] = {}
        for row, number in enumerate(numbers):
            wanted.setdefault(number // self.manifest.rows, []).append(row)
        for shard, rows in wanted.items():
            places = [numbers[row] % self.manifest.rows for row in rows]
            file = self.folder / f"states-{shard:05d}.safetensors"
            with readable(file, "a .safetensors", BadProof), safe_open(file, framework="pt") as held:
                for name, into in found.named().items():
                    part = held.get_slice(name)[min(places) : max(places) + 1]
                    into[rows] = part[[place - min(places) for place in places]]
        return found


def open_bundle(folder: Path, suite: Suite) -> Bundle:
    """The bundle in ``folder``, of a model of ``suite``; :class:`~expunge.errors.BadProof` where it cannot be one."""
    _require_bundle(folder)
    manifest = read_manifest(folder)
    _require_fitting(folder, manifest, suite)
    for name in manifest.files:
        _require_file(folder, name, manifest)
    shapes = {
        "batches": (manifest.steps, manifest.batch),
        "rates": (manifest.steps,),
        "leaves": (manifest.promise.records, 32),
        "chain": (manifest.steps + 1, 32),
    }
    kinds = {"batches": np.int32, "rates": np.float64, "leaves": np.uint8, "chain": np.uint8}
    arrays = {name: _array(folder / f"{name}.npy", shapes[name], kinds[name]) for name in HOLDS}
    if not np.isfinite(arrays["rates"]).all():
        raise BadProof(f"{folder / 'rates.npy'}: expected finite learning rates")
    _require_states(folder, manifest)
    _require_records(folder, arrays["batches"], suite.data.sizes[0])
    return Bundle(folder, manifest, **arrays)


def _require_bundle(folder: Path) -> None:
    """Refuse what is no bundle at all, and say what one is."""
    file = folder / MANIFEST
    try:
        file.stat()
        return
    except FileNotFoundError:
        there = f"it has no {MANIFEST}, which is written last, when a recording is over"
        what = there if os.path.lexists(folder) else "there is no such folder"
    except NotADirectoryError:
        what = "it is a file, and nothing is unpacked here"
    except OSError as error:
        raise cannot_read(file, error, BadProof) from None
    raise BadProof(
        f"{folder} is no bundle: {what}; expected the folder that `expunge verify record SUITE --out FOLDER` leaves"
    )


def _require_fitting(folder: Path, manifest: Manifest, suite: Suite) -> None:
    """Refuse what no training of this suite can have left, before a file is looked at."""
    told = manifest.promise
    if told.suite_digest != suite.digest:
        raise BadProof(
            f"{folder}: a proof for suite {told.suite!r} ({told.suite_digest[:16]}), expected {suite.name!r} "
            f"({suite.digest}); verify it with the suite, and the version of it, that it was made of"
        )
    if told.records != suite.data.sizes[0]:
        raise BadProof(f"{folder}: a proof of {told.records:,} records, the suite trains on {suite.data.sizes[0]:,}")
    _require_some_to_remain(folder, told)
    own = layout_of(new_networks(suite.network, [0])[0])
    if manifest.layout != own:
        raise BadProof(f"{folder}: its states hold other tensors than the network of suite {suite.name!r}")
    most = ROOM * suite.recipe.epochs * suite.data.sizes[0]
    if manifest.steps > most or not 1 <= manifest.batch <= suite.data.sizes[0]:
        raise BadProof(
            f"{folder}: {manifest.steps:,} steps of up to {manifest.batch:,} records; expected 1 to "
            f"{suite.data.sizes[0]:,} records in at most {most:,} steps"
        )
    states = -(-manifest.steps // manifest.every) + 1
    shards = {f"states-{number:05d}.safetensors" for number in range(-(-states // manifest.rows))}
    if manifest.states != states or manifest.files.keys() != {*shards, *(f"{name}.npy" for name in HOLDS)}:
        raise BadProof(
            f"{folder}: expected {states:,} states of {manifest.steps:,} steps in {len(shards):,} files, and "
            f"{', '.join(HOLDS)}; the manifest names {manifest.states:,} states and {len(manifest.files):,} files"
        )


def _require_some_to_remain(folder: Path, told: Promise) -> None:
    """Refuse to hear of removed records that there are not, or of none that remain."""
    removed = np.array(told.removed, dtype=np.int64)
    if not len(removed):
        return
    if (np.diff(removed) <= 0).any() or removed[-1] >= told.records or len(removed) == told.records:
        raise BadProof(
            f"{folder}: its promise removes {len(removed):,} records, up to {removed.max():,}; expected rising numbers "
            f"of 0 to {told.records - 1:,}, and some to remain"
        )


def _require_file(folder: Path, name: str, manifest: Manifest) -> None:
    """Refuse a file that is a link, or has other bytes than the manifest says."""
    file, told = folder / name, manifest.files[name]
    if file.is_symlink():
        raise BadProof(f"{file} is a link to another place; a bundle holds its own files")
    try:
        size = file.stat().st_size
        found = sha256_of(file) if size == told.size else ""
    except FileNotFoundError:
        what = HOLDS.get(file.stem, "states: weights, buffers and momenta after some of the steps")
        raise BadProof(f"{file} is missing, in which {MANIFEST} has {what}; ask for the whole bundle") from None
    except OSError as error:
        raise cannot_read(file, error, BadProof) from None
    if size != told.size:
        raise BadProof(f"{file} has {size:,} bytes, {MANIFEST} says {told.size:,}; was it handed over whole?")
    if found != told.sha256:
        raise BadProof(f"{file} does not have the SHA-256 that {MANIFEST} says; it was changed after it was written")


def _array(file: Path, shape: tuple[int, ...], kind: Any) -> ndarray:
    found = read_array(file, BadProof, kinds=np.dtype(kind).kind, shape=shape, mapped=True)
    if found.dtype != kind:
        raise BadProof(f"{file}: expected {np.dtype(kind)}, got {found.dtype}")
    return found


def _require_states(folder: Path, manifest: Manifest) -> None:
    """Refuse files of states that are of other shapes than the states of this network."""
    widths = widths_of(manifest.layout)
    for shard, start in enumerate(range(0, manifest.states, manifest.rows)):
        file = folder / f"states-{shard:05d}.safetensors"
        rows = min(manifest.rows, manifest.states - start)
        expected = {
            "parameters": ((rows, widths["parameters"]), "F32"),
            "momenta": ((rows, widths["parameters"]), "F32"),
            "buffers": ((rows, widths["buffers"]), "F32"),
            "counters": ((rows, widths["counters"]), "I64"),
        }
        shapes = tensor_shapes(file, BadProof)
        lacking = sorted(expected.keys() - shapes.keys())
        if lacking:
            raise BadProof(f"{file} lacks {', '.join(lacking)}: a state is parameters, momenta, buffers and counters")
        if shapes.keys() != expected.keys() or any(shapes[name] != shape for name, (shape, _) in expected.items()):
            raise BadProof(f"{file}: expected {_told({n: s for n, (s, _) in expected.items()})}, got {_told(shapes)}")
        try:
            with safe_open(file, framework="pt") as held:
                kinds = {name: held.get_slice(name).get_dtype() for name in expected}
        except Exception as error:  # of a library in Rust, which has errors of its own
            raise BadProof(f"{file} is no .safetensors ({first_line(error)}); was it handed over whole?") from None
        if wrong := [name for name, (_, kind) in expected.items() if kinds[name] != kind]:
            raise BadProof(f"{file}: expected {wrong[0]} of {expected[wrong[0]][1]}, got {kinds[wrong[0]]}")


def _require_records(folder: Path, batches: Int[ndarray, "steps batch"], records: int) -> None:
    """Refuse batches that name records which there are not, or none."""
    for start in range(0, len(batches), 4096):
        part = batches[start : start + 4096]
        wrong = (part < -1) | (part >= records)
        ragged = (part[:, :-1] < 0) & (part[:, 1:] >= 0)  # what fills a batch up stands at its end
        for step in np.flatnonzero(wrong.any(1) | ragged.any(1) | (part[:, 0] < 0)):
            raise BadProof(
                f"{folder}: the batch of step {start + step + 1} holds records beyond 0 to {records - 1:,}, or none"
            )


def _told(shapes: dict[str, tuple[int, ...]]) -> str:
    return ", ".join(f"{name} {shape}" for name, shape in list(shapes.items())[:6])
