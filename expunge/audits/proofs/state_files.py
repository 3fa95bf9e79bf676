"""States on their way to disk: a file at a time, beside the training, no more than two of them in memory."""

import json
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch

from expunge.audits.proofs.manifest import File
from expunge.audits.proofs.states import Layout, States, size_of
from expunge.files import Hashed, write_file

SHARD = 2 << 20  # bytes of states in a file, where one state is no larger
KINDS = {torch.float32: "F32", torch.int64: "I64"}


class Filling:
    """Room for the states of a file: as a whole, and row by row."""

    def __init__(self, whole: States) -> None:
        self.whole = whole
        parts = [each.split(1) for each in whole.named().values()]
        self.each = [States(*row) for row in zip(*parts, strict=True)]


class StateFiles:
    """Takes states one by one and writes them; hashes are taken beside the training too."""

    def __init__(self, folder: Path, layout: Layout) -> None:
        self._folder = folder
        self.rows = max(1, SHARD // size_of(layout))
        self.files: dict[str, File] = {}
        self.digests: list[bytes] = []  # of all states, once they are closed
        self.kept = 0
        self._states, self._other = (Filling(States.empty(self.rows, layout)) for _ in range(2))
        self._final = ""
        self._writer = ThreadPoolExecutor(1)
        self._writing: Future[tuple[list[bytes], str]] | None = None

    def room(self) -> States:
        """One row, for the next state."""
        return self._states.each[self.kept % self.rows]

    def keep(self) -> None:
        """The row that there was room for is filled."""
        self.kept += 1
        if self.kept % self.rows == 0:
            self._hand_over(self.rows)

    def close(self) -> str:
        """Write what is not written yet; the digest of the last model."""
        self._hand_over(self.kept % self.rows)
        self._collect()
        self._writer.shutdown()
        return self._final

    def _hand_over(self, rows: int) -> None:
        self._collect()
        if rows:
            name = f"states-{(self.kept - 1) // self.rows:05d}.safetensors"
            self._writing = self._writer.submit(self._write, self._states.whole.take(slice(0, rows)), name)
            self._states, self._other = self._other, self._states  # which is written already

    def _collect(self) -> None:
        if self._writing:
            digests, self._final = self._writing.result()
            self.digests += digests
        self._writing = None

    def _write(self, states: States, name: str) -> tuple[list[bytes], str]:
        """Write a file as safetensors does, without a copy; the digest of each state, and of the last model."""
        header: dict[str, object] = {}
        end = 0
        for key, each in states.named().items():
            start, end = end, end + each.nbytes
            header[key] = {"dtype": KINDS[each.dtype], "shape": list(each.shape), "data_offsets": [start, end]}
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        arrays = [each.numpy().data for each in states.named().values()]
        self.files[name] = write_parts(self._folder / name, [len(text).to_bytes(8, "little"), text, *arrays])
        return states.digests(), states.model_digest(len(states) - 1)


def write_parts(file: Path, parts: Sequence[Any]) -> File:
    """Write a file part by part; its size and hash."""

    def put(stream: Hashed) -> None:
        for part in parts:
            stream.write(part)

    size = sum(memoryview(part).nbytes for part in parts)
    return File(sha256=write_file(file, put), size=size)
