"""The provider's side: a log of a training that becomes a bundle, which somebody else can replay.

A state is kept before the first step, after every ``every`` steps and after the last. States are written a file at a
time, beside the training, so that no more than two files of them are in memory.
"""

import contextlib
import hashlib
import io
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from numpy import ndarray
from torch import Tensor, nn

from expunge.audits.proofs.manifest import MANIFEST, Facts, File, Manifest, Order, Promise, layout_of
from expunge.audits.proofs.order import padded
from expunge.audits.proofs.states import Flattened, States, require_recordable, size_of
from expunge.ensembles.device import device_name
from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.train import Descent
from expunge.errors import BadSetting
from expunge.records import hardware
from expunge.store import Hashed, cannot_write, write_file
from expunge.suites.recipe import Recipe

SHARD = 2 << 20  # bytes of states in a file, where one state is no larger


class Recorder:
    """Looks on while one model trains; :meth:`finish` leaves its bundle in ``folder``.

    It is a log of :func:`expunge.ensembles.train.train`; for a loop of one's own see :func:`recording`.
    """

    def __init__(
        self,
        folder: Path,
        promise: Promise,
        leaves: ndarray,
        *,
        nonce: str | None,
        every: int = 1,
    ) -> None:
        if every < 1:
            raise BadSetting(f"every: expected a state after every 1 or more steps, got {every}")
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise cannot_write(folder, error) from None
        if any(folder.iterdir()):
            raise BadSetting(f"{folder} is not empty, and a bundle has its folder for itself; give another one")
        self._folder, self._promise, self._leaves = folder, promise, leaves
        self._nonce, self._every = nonce, every
        self._batches: list[ndarray] = []
        self._rates: list[float] = []
        self._links = [b""]
        self._files: dict[str, File] = {}
        self._kept = 0  # states in all
        self._writer = ThreadPoolExecutor(1)
        self._writing: Future[None] | None = None

    def begin(self, ensemble: Ensemble | nn.Module, optimizer: Descent | torch.optim.SGD) -> None:
        """Take note of where the training begins."""
        self._chance = ensemble.chance if isinstance(ensemble, Ensemble) else None
        self._network = ensemble.network if isinstance(ensemble, Ensemble) else ensemble
        if isinstance(ensemble, Ensemble) and len(ensemble) != 1:
            raise BadSetting(f"expected one model to record, got {len(ensemble)}; train one at a time")
        self._device = next(self._network.parameters()).device
        require_recordable(self._network)
        self._optimizer = optimizer
        self._layout = [
            each.model_copy(update={"shape": each.shape[1:]}) if self._chance else each
            for each in layout_of(self._network)
        ]
        self._rows = max(1, SHARD // size_of(self._layout))
        self._states = States.empty(self._rows, self._layout)
        self._flat = Flattened(self._network, optimizer, self._layout, rows=1)
        self._flat.write(self._states.take(slice(0, 1)))
        if self._states.model_digest(0) != self._promise.first:
            raise BadSetting(
                "the first weights are not those that were promised; promise those that training starts from"
            )
        self._links = [hashlib.sha256(self._promise.digest.encode() + self._keep()).digest()]

    def before(self, rows: Int[Tensor, "models batch"]) -> None:
        """The records of the next step."""
        self._batches.append(rows[0].cpu().numpy().astype(np.int32))

    def after(self) -> None:
        """Take note of the state after a step."""
        optimizer = self._optimizer
        rate = optimizer.lr if isinstance(optimizer, Descent) else optimizer.param_groups[0]["lr"]
        self._rates.append(float(rate))
        digest = b"" if len(self._rates) % self._every else self._keep()
        self._links.append(link(self._links[-1], self._batches[-1], self._rates[-1], digest))

    def finish(self) -> Path:
        """Write what is not written yet, the manifest last; the folder of the bundle."""
        steps = len(self._rates)
        if not steps:
            raise BadSetting("nothing was recorded: expected at least one step")
        if steps % self._every:
            self._links[-1] = link(self._links[-2], self._batches[-1], self._rates[-1], self._keep())
        final = self._states.model_digest((self._kept - 1) % self._rows) if self._kept % self._rows else self._final
        self._hand_over(self._kept % self._rows)
        self._hand_over(0)
        self._writer.shutdown()
        batches = padded(self._batches)
        arrays = {"batches": batches, "rates": np.array(self._rates), "leaves": self._leaves}
        arrays["chain"] = np.frombuffer(b"".join(self._links), np.uint8).reshape(-1, 32)
        for name, array in arrays.items():
            self._write(f"{name}.npy", [npy(array)])
        drew = self._chance is not None and self._chance.passes > 0
        manifest = Manifest(
            promise=self._promise,
            order=Order(
                kind="listed" if self._nonce is None else "drawn",
                nonce=self._nonce,
                commitment=commitment_to(batches),
            ),
            steps=steps,
            batch=batches.shape[1],
            every=self._every,
            states=self._kept,
            rows=self._rows,
            layout=tuple(self._layout),
            chance=self._chance.seeds[0] if self._chance and drew else None,
            final=final,
            head=self._links[-1].hex(),
            facts=Facts(
                device=device_name(self._device),
                threads=torch.get_num_threads(),
                torch=torch.__version__,
                hardware=hardware(),
            ),
            files=self._files,
        )
        write_file(self._folder / MANIFEST, manifest.text())
        return self._folder

    def _keep(self) -> bytes:
        """Keep the state as it is now; its digest."""
        row = self._kept % self._rows
        into = self._states.take(slice(row, row + 1))
        self._flat.write(into)
        digest = into.digest(0)
        self._kept += 1
        if row + 1 == self._rows:
            self._final = self._states.model_digest(row)
            self._hand_over(self._rows)
        return digest

    def _hand_over(self, rows: int) -> None:
        """Let the first ``rows`` states be written, once those before them are."""
        if self._writing:
            self._writing.result()
        self._writing = None
        if rows:
            shard = (self._kept - 1) // self._rows
            self._writing = self._writer.submit(self._write_states, self._states.take(slice(0, rows)), shard)
            self._states = States.empty(self._rows, self._layout)

    def _write_states(self, kept: States, shard: int) -> None:
        states = kept.named()
        kinds = {torch.float32: "F32", torch.int64: "I64"}
        header: dict[str, object] = {}
        end = 0
        for name, each in states.items():
            start, end = end, end + each.nbytes
            header[name] = {"dtype": kinds[each.dtype], "shape": list(each.shape), "data_offsets": [start, end]}
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        parts = [len(text).to_bytes(8, "little"), text, *(each.numpy().data for each in states.values())]  # not copied
        self._write(f"states-{shard:05d}.safetensors", parts)

    def _write(self, name: str, parts: Sequence[Any]) -> None:
        def put(stream: Hashed) -> None:
            for part in parts:
                stream.write(part)

        size = sum(memoryview(part).nbytes for part in parts)
        self._files[name] = File(sha256=write_file(self._folder / name, put), size=size)


@contextlib.contextmanager
def recording(recorder: Recorder, network: nn.Module, optimizer: torch.optim.SGD, recipe: Recipe) -> Iterator["Steps"]:
    """A loop of one's own, in which each step is said: the bundle is there when the loop is over.

    >>> with recording(recorder, network, optimizer, recipe) as steps:  # doctest: +SKIP
    ...     for rows in order:
    ...         with steps.on(rows):
    ...             optimizer.zero_grad()
    ...             F.cross_entropy(network(x[rows]), y[rows]).backward()
    ...             optimizer.step()
    """
    require_plain(optimizer, recipe)
    recorder.begin(network, optimizer)
    yield Steps(recorder)
    recorder.finish()


class Steps:
    """What a loop says of its steps."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    @contextlib.contextmanager
    def on(self, rows: Sequence[int] | Tensor) -> Iterator[None]:
        """One step on the training records at ``rows``."""
        self._recorder.before(torch.as_tensor(rows)[None])
        yield
        self._recorder.after()


def require_plain(optimizer: torch.optim.Optimizer, recipe: Recipe) -> None:
    """Refuse an optimizer whose steps nobody could replay by the suite's recipe."""
    if type(optimizer) is not torch.optim.SGD or len(optimizer.param_groups) != 1:
        raise BadSetting(f"expected torch.optim.SGD with one group of parameters, got {type(optimizer).__name__}")
    group = optimizer.param_groups[0]
    wanted = {
        "momentum": recipe.momentum,
        "weight_decay": recipe.weight_decay,
        "dampening": 0,
        "nesterov": False,
        "maximize": False,
    }
    for name, value in wanted.items():
        if group[name] != value:
            raise BadSetting(f"the optimizer: expected {name} {value} as the suite's recipe has it, got {group[name]}")


def link(before: bytes, batch: ndarray, rate: float, state: bytes) -> bytes:
    """The next link of the chain: the one before it, the records of the step, its rate, the state where one is kept."""
    told = np.float64(rate).tobytes() + len(batch).to_bytes(8, "little") + batch.astype("<i4").tobytes()
    return hashlib.sha256(before + told + state).digest()


def commitment_to(batches: ndarray) -> str:
    """What a provider is held to: the SHA-256 of all batches in their order."""
    return hashlib.sha256(np.ascontiguousarray(batches.astype("<i4")).tobytes()).hexdigest()


def npy(array: ndarray) -> bytes:
    """An array as the bytes of a ``.npy``."""
    stream = io.BytesIO()
    np.lib.format.write_array(stream, np.ascontiguousarray(array), version=(1, 0), allow_pickle=False)
    return stream.getvalue()
