"""The provider's side: a log of a training that becomes a bundle, which somebody else can replay.

A state is kept before the first step, after every ``every`` steps and after the last. States are written a file at a
time, beside the training, so that no more than two files of them are in memory.
"""

import contextlib
import hashlib
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Int
from numpy import ndarray
from torch import Tensor, nn

from expunge.audits.proofs.determinism import Draws, in_deterministic_mode
from expunge.audits.proofs.manifest import MANIFEST, Facts, Manifest, Order, Promise, layout_of
from expunge.audits.proofs.order import padded
from expunge.audits.proofs.state_files import StateFiles, write_parts
from expunge.audits.proofs.states import Flattened, require_recordable
from expunge.audits.proofs.unfinished import Unfinished
from expunge.ensembles.device import device_name
from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.optimizers import Descent
from expunge.errors import BadSetting, NonDeterministic
from expunge.files import write_file
from expunge.records import hardware
from expunge.suites.recipe import Recipe

# The files of a bundle, and what is left of one that was being written.
PARTS = r"\.?(states-\d{5}\.safetensors|(batches|rates|leaves|chain)\.npy|manifest\.json)(\.\w+)?"


class Recorder:
    """Looks on while one model trains; :meth:`finish` leaves its bundle in ``folder``.

    A recording that was stopped can be begun anew in the same folder.

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
        self._unfinished = Unfinished.begin(folder, PARTS, "a bundle")
        self._folder, self._promise, self._leaves = folder, promise, leaves
        self._nonce, self._every, self._deterministic = nonce, every, True
        self._batches: list[ndarray] = []
        self._rates: list[float] = []

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
        self._states = StateFiles(self._folder, self._layout)
        self._flat = Flattened(self._network, optimizer, self._layout, rows=1)
        self._flat.write(self._states.room())
        if self._states.room().model_digest(0) != self._promise.first:
            raise BadSetting(
                "the first weights are not those that were promised; promise those that training starts from"
            )
        self._states.keep()

    def before(self, rows: Int[Tensor, "models batch"]) -> None:
        """The records of the next step."""
        self._deterministic = self._deterministic and in_deterministic_mode()
        self._batches.append(rows[0].cpu().numpy().astype(np.int32))

    def after(self) -> None:
        """Take note of the state after a step."""
        optimizer = self._optimizer
        rate = optimizer.lr if isinstance(optimizer, Descent) else optimizer.param_groups[0]["lr"]
        self._rates.append(float(rate))
        if len(self._rates) % self._every == 0:
            self._keep()

    def finish(self) -> Path:
        """Write what is not written yet, the manifest last; the folder of the bundle."""
        if not self._rates:
            raise BadSetting("nothing was recorded: expected at least one step")
        if len(self._rates) % self._every:
            self._keep()
        final = self._states.close()
        batches, links = padded(self._batches), self._chain()
        arrays = {"batches": batches, "rates": np.array(self._rates), "leaves": self._leaves}
        arrays["chain"] = np.frombuffer(b"".join(links), np.uint8).reshape(-1, 32)
        files = {f"{name}.npy": write_parts(self._folder / f"{name}.npy", [npy(each)]) for name, each in arrays.items()}
        drew = self._chance is not None and self._chance.passes > 0
        kind: Literal["drawn", "listed"] = "listed" if self._nonce is None else "drawn"
        manifest = Manifest(
            promise=self._promise,
            order=Order(kind=kind, nonce=self._nonce, commitment=commitment_to(batches)),
            steps=len(self._rates),
            batch=batches.shape[1],
            every=self._every,
            states=self._states.kept,
            rows=self._states.rows,
            layout=tuple(self._layout),
            chance=self._chance.seeds[0] if self._chance and drew else None,
            deterministic=self._deterministic,
            final=final,
            head=links[-1].hex(),
            facts=self._facts(),
            files={**self._states.files, **files},
        )
        write_file(self._folder / MANIFEST, manifest.text())
        self._unfinished.finish()
        return self._folder

    def _keep(self) -> None:
        """Keep the state as it is now."""
        self._flat.write(self._states.room())
        self._states.keep()

    def _chain(self) -> list[bytes]:
        """The links, from the first state to the last."""
        digests = self._states.digests
        links = [hashlib.sha256(self._promise.digest.encode() + digests[0]).digest()]
        for step, (batch, rate) in enumerate(zip(self._batches, self._rates, strict=True), 1):
            kept = step % self._every == 0 or step == len(self._rates)
            links.append(link(links[-1], batch, rate, digests[-(-step // self._every)] if kept else b""))
        return links

    def _facts(self) -> Facts:
        return Facts(
            device=device_name(self._device),
            threads=torch.get_num_threads(),
            torch=torch.__version__,
            hardware=hardware(),
        )


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
        self._recorder, self._begun = recorder, False

    @contextlib.contextmanager
    def on(self, rows: Sequence[int] | Tensor) -> Iterator[None]:
        """One step on the training records at ``rows``; what it draws by chance, as dropout does, nobody records."""
        self._recorder.before(torch.as_tensor(rows)[None])
        with contextlib.nullcontext() if self._begun else Draws() as drawn:
            yield
        if drawn and drawn.names:
            raise NonDeterministic(
                f"a step draws by chance, by {drawn.names[0]}, and in a loop of one's own nothing records that: it "
                "cannot be done again; leave dropout out, or train by expunge.ensembles.train"
            )
        self._begun = True
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
