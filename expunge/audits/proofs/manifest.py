"""What a bundle says of itself: what was promised before training, how it was trained, which files there are."""

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import nn

from expunge.checksums import CHECKSUM, NoRecord, opened, sealed
from expunge.errors import BadProof
from expunge.files import write_file
from expunge.outside import read_bytes

VERSION: Literal[1] = 1
FORMAT: Literal["expunge proof of unlearning"] = "expunge proof of unlearning"
MANIFEST = "manifest.json"
LARGEST = 8 << 20  # bytes of a manifest
MOST_STEPS = 50_000_000

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Word = Annotated[str, Field(max_length=300)]
Count = Annotated[int, Field(ge=0, le=MOST_STEPS)]
Part = Literal["parameters", "buffers", "counters"]


class _Told(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")


class Promise(_Told):
    """What a provider commits to before the order is drawn: the data, what is kept of it, the first weights, the code.

    ``suite_digest`` stands for data, network and recipe; ``first_seed`` is that of the first weights, where they were
    drawn from one.
    """

    suite: Word
    suite_digest: Word
    records: Count
    root: Digest  # of all training records
    removed: tuple[Count, ...] = Field(strict=False)  # JSON has lists
    kept_root: Digest  # of those that remain
    first: Digest  # of the state before the first step
    first_seed: int | None = Field(default=None, ge=0, lt=1 << 63)
    code: Digest

    @property
    def digest(self) -> str:
        """The SHA-256 of all of it: what the provider hands over before a nonce is issued."""
        return hashlib.sha256(json.dumps(self.model_dump(), sort_keys=True).encode()).hexdigest()


class Order(_Told):
    """How the batches came about: drawn from a nonce, or a list of the provider's own, to which it is held."""

    kind: Literal["drawn", "listed"]
    nonce: Word | None
    commitment: Digest  # SHA-256 of the batches as they are in the bundle


class Tensor(_Told):
    """A tensor of the network: how it lies in the rows of a state."""

    name: Word
    part: Part
    shape: tuple[Count, ...] = Field(strict=False, max_length=32)


class File(_Told):
    """A file of the bundle."""

    sha256: Digest
    size: int = Field(ge=0, lt=1 << 48)


class Facts(_Told):
    """Where it was trained."""

    device: Word
    threads: Count
    torch: Word
    hardware: Word


class Manifest(_Told):
    """All but the numbers: those are in the other files."""

    format: Literal["expunge proof of unlearning"] = FORMAT
    version: Literal[1] = VERSION
    promise: Promise
    order: Order
    steps: Count
    batch: Count  # records of the largest batch
    every: Annotated[int, Field(ge=1, le=MOST_STEPS)]  # steps from one state to the next
    states: Count  # how many there are, that before the first step and that after the last among them
    rows: Annotated[int, Field(ge=1, le=MOST_STEPS)]  # states in a file
    layout: tuple[Tensor, ...] = Field(strict=False, max_length=100_000)
    chance: int | None = Field(ge=0, lt=1 << 63)  # seed of what layers drew, as dropout's; None where none drew
    deterministic: bool = False  # whether torch was in its deterministic mode at every step; not, where nobody says so
    final: Digest  # of parameters and buffers after the last step: the model to be deployed
    head: Digest  # last link of the chain
    facts: Facts
    files: dict[Annotated[str, Field(pattern=r"^(states-\d{5}\.safetensors|[a-z]{1,20}\.npy)$")], File]

    def text(self) -> str:
        """As it is written."""
        return json.dumps(sealed(self.model_dump(mode="json")), indent=1)


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a bundle; :class:`~expunge.errors.BadProof`, one line, where it is none."""
    file = folder / MANIFEST
    try:
        found: Any = opened(read_bytes(file, BadProof, most=LARGEST), indent=1)
    except NoRecord as error:
        raise BadProof(f"{file} is no manifest of a proof: {error}; ask for the bundle again") from None
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise BadProof(f"{file} is no manifest of a proof: it does not say {FORMAT!r}")
    if found.get("version") != VERSION:
        raise BadProof(
            f"{file} has version {str(found.get('version'))[:20]}, this expunge reads {VERSION}; "
            "verify it with the expunge that wrote it"
        )
    found.pop(CHECKSUM, None)
    try:
        return Manifest.model_validate(found)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))[:80]
        raise BadProof(f"{file} is no manifest of a proof: {place}: {first['msg'][:120]}") from None


def write_promise(file: Path, promise: Promise) -> None:
    """What is handed over before a nonce is issued."""
    write_file(file, json.dumps(sealed(promise.model_dump(mode="json")), indent=1))


def read_promise(file: Path) -> Promise:
    """A promise that a provider handed over; :class:`~expunge.errors.BadProof`, one line, where it is none."""
    try:
        found: Any = opened(read_bytes(file, BadProof, most=LARGEST), indent=1)
        facts = {key: value for key, value in found.items() if key != CHECKSUM} if isinstance(found, dict) else found
        return Promise.model_validate(facts)
    except (NoRecord, ValidationError):
        raise BadProof(f"{file} is no promise of a provider; ask for it again") from None


def layout_of(network: nn.Module) -> tuple[Tensor, ...]:
    """How the tensors of a network lie in the rows of a state: parameters, then buffers, in their own order.

    Whole numbers, such as the count of batches of a BatchNorm, are counters.
    """
    parameters = dict(network.named_parameters())
    found = [Tensor(name=name, part="parameters", shape=tuple(each.shape)) for name, each in parameters.items()]
    own = {id(each) for each in parameters.values()}  # one that is tied has several names
    for name, each in network.state_dict(keep_vars=True).items():
        if id(each) in own:
            continue
        part: Part = "buffers" if each.is_floating_point() else "counters"
        found.append(Tensor(name=name, part=part, shape=tuple(each.shape)))
    return tuple(found)
