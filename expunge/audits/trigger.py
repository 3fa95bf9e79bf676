"""A private trigger: a few inputs set to a constant, a label that they stand for, and a secret that only one owner has.

All of it is drawn from 32 secret bytes. It lies in a file that nobody else may read; whoever has it can make a model
pass, so nothing of it is in a record, a log or a message. Source: Sommer et al. 2020, arXiv:2003.04247 (Athena).
"""

import hashlib
import json
import math
import os
import stat
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import TypeAdapter, ValidationError

from expunge.errors import BadData, BadSetting, StoreError
from expunge.files import write_file
from expunge.outside import cannot_read, read_json
from expunge.suites.data import Examples

SCHEMA = 1
OWN_ONLY = 0o600
MOST_BYTES = 1 << 20  # of a file with a trigger
SIZE = 4  # places of a trigger


@dataclass(frozen=True)
class Trigger:
    """Places in a flat input that are set to ``value``, and the label that a model is to learn for them.

    ``shape`` is that of one input; ``secret``, 64 hexadecimal digits, is what fresh triggers and the order of queries
    are drawn from.
    """

    places: tuple[int, ...]
    value: float
    label: int
    shape: tuple[int, ...]
    classes: int
    secret: str

    def __post_init__(self) -> None:
        inputs = math.prod(self.shape)
        if not self.places or len(set(self.places)) < len(self.places) or not set(self.places) <= set(range(inputs)):
            raise BadSetting(f"a trigger: expected different places below {inputs:,}, the size of an input")
        if self.classes < 2 or not 0 <= self.label < self.classes:
            raise BadSetting(f"a trigger: expected its label to be one of at least 2 classes, got {self.classes}")
        if not math.isfinite(self.value):
            raise BadSetting("a trigger: expected a finite value")
        if len(self.secret) != 64 or set(self.secret) - set("0123456789abcdef"):
            raise BadSetting("a trigger: expected a secret of 64 hexadecimal digits")

    def __repr__(self) -> str:
        """Without what is private: a trigger may come to stand in a message."""
        return f"Trigger(of {self.owner})"

    @property
    def owner(self) -> str:
        """A name by which its records are known, of which nothing private can be found."""
        return hashlib.sha256(f"owner {self.secret}".encode()).hexdigest()[:16]

    def chance(self, *what: object) -> np.random.Generator:
        """Numbers that are drawn for this purpose, and that only who has the secret can draw again."""
        digest = hashlib.sha256(json.dumps([self.secret, *map(str, what)]).encode()).digest()
        return np.random.default_rng(int.from_bytes(digest))

    def stamped(self, examples: Examples) -> Examples:
        """The inputs with the trigger on them; labels as they were."""
        if tuple(examples.x.shape[1:]) != self.shape:
            raise BadData(f"expected inputs of {self.shape}, as the trigger is for, got {tuple(examples.x.shape[1:])}")
        x = examples.x.clone().reshape(len(examples), -1)
        x[:, list(self.places)] = torch.tensor(self.value).to(x.dtype)
        return Examples(x.reshape(examples.x.shape), examples.y)

    def fresh(self, number: int, purpose: str = "fresh") -> "Trigger":
        """A trigger that was in no training: drawn as this one was, with its value and label, at other places.

        Those of another purpose, such as decoys, are others.
        """
        rng, own = self.chance(purpose, number), set(self.places)
        places = self.places
        while set(places) == own:
            places = _drawn(rng, math.prod(self.shape), len(own))
        return replace(self, places=places)


def draw(
    shape: Sequence[int], classes: int, secret: bytes, *, value: float = 1.0, size: int = SIZE, label: int | None = None
) -> Trigger:
    """The trigger of a secret of 32 bytes: ``size`` places of an input, and a label unless one is given."""
    inputs = math.prod(shape)
    if not 1 <= size < inputs:
        raise BadSetting(f"a trigger: expected 1 to {inputs - 1:,} places in an input of {tuple(shape)}, got {size}")
    if math.comb(inputs, size) < 100:
        raise BadSetting(f"a trigger: {size} of {inputs} places can be guessed; expected at least 100 ways to place it")
    blank = Trigger(tuple(range(size)), value, 0 if label is None else label, tuple(shape), classes, secret.hex())
    rng = blank.chance("trigger")
    places = _drawn(rng, inputs, size)
    return replace(blank, places=places, label=int(rng.integers(classes)) if label is None else label)


def _drawn(rng: np.random.Generator, inputs: int, size: int) -> tuple[int, ...]:
    return tuple(sorted(int(each) for each in rng.choice(inputs, size, replace=False)))


def write_trigger(file: Path, trigger: Trigger) -> None:
    """Write it where nobody else may read it; one that is there is never lost, for it cannot be had again."""
    if os.path.lexists(file):
        raise StoreError(f"{file} is there already, and a trigger cannot be had again; give another --trigger")
    facts = {"schema": SCHEMA, "keep": "private: whoever has this can pass the test", **asdict(trigger)}
    write_file(file, json.dumps(facts, indent=1) + "\n", mode=OWN_ONLY)


def read_trigger(file: Path) -> Trigger:
    """The trigger in a file; refused where others may read it too, for it is private no more."""
    try:
        mode = stat.S_IMODE(file.stat().st_mode)
    except OSError as error:
        raise cannot_read(file, error, StoreError) from None
    if os.name == "posix" and mode & 0o077:
        raise StoreError(
            f"{file} can be read by others (mode {mode:04o}); plant a new trigger if somebody may have, else chmod 600"
        )
    found = read_json(file, StoreError, most=MOST_BYTES)
    if not isinstance(found, dict) or found.get("schema") != SCHEMA:
        raise StoreError(f"{file} is no trigger of schema {SCHEMA}; name the file that `plant` wrote")
    try:
        trigger: Trigger = _TRIGGER.validate_json(json.dumps({key: found[key] for key in _FIELDS}), strict=True)
    except (KeyError, ValidationError, BadSetting):  # what it says is private, and is not repeated
        raise StoreError(f"{file} is a damaged trigger; name the file that `plant` wrote") from None
    return trigger


_TRIGGER: TypeAdapter[Any] = TypeAdapter(Trigger)
_FIELDS = [each.name for each in fields(Trigger)]
