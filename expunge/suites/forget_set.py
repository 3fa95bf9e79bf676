"""A forget set: which training examples are to be forgotten; and several of them by name."""

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Int
from numpy import ndarray

from expunge.errors import BadSetting, UnknownName, lookup, suggestion
from expunge.suites.indices import Chosen, as_indices, require_mask, require_once

GIVEN = "indices given by the user"
FORGET_KINDS = {
    "random": "drawn uniformly",
    "class": "every example of a class",
    "subclass": "one cluster of a class",
    "memorised": "examples that models know by heart",
    "influential": "examples that move what models say of others",
    "neighbours": "an odd example and those nearest to it",
}
LONGEST = 100  # letters of a name, which is that of a folder
SHOWN = 8  # so many forget sets are told in a line


@dataclass(frozen=True, eq=False, init=False)
class ForgetSet:
    """Sorted, unique indices into the training examples, and how they were chosen.

    Whole numbers of any type, lists, sets, ranges, columns of pandas and boolean masks are taken, and become int64.
    """

    name: str
    indices: Int[ndarray, " forget"]
    made: str
    kind: str  # one of FORGET_KINDS, which says what settings are right for it; "" where nobody has said it
    masked: int | None = field(init=False)  # how long the mask was that it was given as

    def __init__(self, name: str, indices: object, made: str = GIVEN, kind: str | None = "") -> None:
        if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9][\w.+-]*", name) or len(name) > LONGEST:
            long = isinstance(name, str) and len(name) > LONGEST
            shown = f"{name[:20]}..." if long else name
            more = f", at most {LONGEST} of them, got {len(name)}" if long else ""
            raise BadSetting(f"forget set {shown!r}: expected a name of letters, digits, '.', '_', '+' and '-'{more}")
        what = f"forget set {name!r}"
        if isinstance(indices, Chosen):
            made, kind = indices.made if made == GIVEN and indices.made else made, kind or indices.kind
        if kind:
            lookup("kind of forget set", kind, FORGET_KINDS)
        found, masked = as_indices(indices, what)
        if not found.size:
            raise BadSetting(f"{what}: expected at least 1 training example, got none")
        if found.min() < 0:
            raise BadSetting(f"{what}: expected indices from 0 on, got {found.min()}")
        require_once(found, what)
        if (np.diff(found) <= 0).any():
            raise BadSetting(f"{what}: expected indices in rising order; sort them: np.sort(indices)")
        for key, value in dict(name=name, indices=found, made=made, kind=kind or "", masked=masked).items():
            object.__setattr__(self, key, value)

    def __len__(self) -> int:
        return len(self.indices)

    def __repr__(self) -> str:
        ends = f"examples {self.indices[0]} to {self.indices[-1]}" if len(self) > 1 else f"example {self.indices[0]}"
        return f"ForgetSet({self.name!r}, {len(self):,} of training {ends}, digest {self.digest}: {self.made})"

    def require_fit(self, train: int, suite: str) -> None:
        """Refuse a set that reaches beyond ``train`` training examples, or leaves none of them."""
        require_mask(self.masked, train, f"forget set {self.name!r}")
        wrong = f"forget set {self.name!r} does not fit the {train} training examples of {suite!r}"
        if self.indices[-1] >= train:
            raise BadSetting(f"{wrong}: expected indices 0 to {train - 1}, got {self.indices[-1]}")
        if len(self) >= train:
            raise BadSetting(f"{wrong}: expected some to remain, got all of them")

    @cached_property
    def digest(self) -> str:
        """First 12 hexadecimal digits of :attr:`sha256`: enough for the name of a folder, too few for a proof."""
        return self.sha256[:12]

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the indices as little-endian int64, which proves which set it is."""
        return hashlib.sha256(self.indices.astype("<i8").tobytes()).hexdigest()

    @property
    def key(self) -> str:
        """Name and digest: what artefacts of this very set are filed under."""
        return f"{self.name}-{self.digest}"


@dataclass(frozen=True, eq=False)
class Unmade:
    """A forget set to be, of which all is known but the indices: those need the data, or time."""

    name: str
    make: Callable[[], ndarray]
    made: str
    kind: str = ""

    def __call__(self) -> ForgetSet:
        return ForgetSet(self.name, self.make(), self.made, self.kind)


class ForgetSets(Mapping[str, ForgetSet]):
    """Forget sets by name, each made when it is first asked for; an unknown name is answered with the nearest.

    A value is a :class:`ForgetSet`, whatever one can be made of (indices, a mask), or a function that returns either,
    such as :class:`Unmade`. The answer ends with ``hint``.
    """

    def __init__(self, sets: "Mapping[str, Any]", hint: str = "") -> None:
        if not isinstance(sets, Mapping):
            raise BadSetting(f"expected forget sets by name, as {{'mine': indices}}, got {type(sets).__name__}")
        # The values of another ForgetSets are taken as they are, so that none is made before its time.
        self._sets: dict[str, Any] = dict(sets._sets if isinstance(sets, ForgetSets) else sets)
        self._hint: str = hint or (sets._hint if isinstance(sets, ForgetSets) else "")
        self._fit: tuple[int, str] | None = sets._fit if isinstance(sets, ForgetSets) else None

    @classmethod
    def of(cls, *sets: "ForgetSet | Unmade") -> "ForgetSets":
        return cls({each.name: each for each in sets})

    def joined(self, others: "ForgetSets") -> "ForgetSets":
        """These and the others."""
        return ForgetSets({**self._sets, **others._sets})

    def __getitem__(self, name: str) -> ForgetSet:
        if not isinstance(name, str):
            raise UnknownName(f"expected the name of a forget set, got {type(name).__name__}; the names: {self._names}")
        if name not in self._sets:
            known = suggestion(name, self._sets) if self._sets else "there is none"
            raise UnknownName(f"unknown forget set {name!r}; {known}{self._hint}")
        held = self._sets[name]
        made = held() if callable(held) else held
        made = made if isinstance(made, ForgetSet) else ForgetSet(name, made, GIVEN)
        self._sets[name] = made
        return made

    def __repr__(self) -> str:
        """In a line; none is made for it."""
        told = [f"{name}: {self._size(name)}" for name, _ in self._first]
        more = [f"{len(self) - SHOWN} more"] if len(self) > SHOWN else []
        return f"ForgetSets({', '.join(told + more) or 'none'})"

    def _size(self, name: str) -> str:
        if callable(self._sets[name]):
            return "not made yet"
        try:
            return str(len(self[name]))
        except BadSetting:  # which says so when the set is asked for
            return "no forget set"

    def held(self, name: str) -> "ForgetSet | Unmade | Any":
        """What is held of a set now: itself, or what will make it."""
        return self._sets[name] if callable(self._sets[name]) else self.fitted(name)

    def fitted(self, name: str) -> ForgetSet:
        """The forget set; refused where it does not fit the training examples, if they are known."""
        found = self[name]
        if self._fit:
            found.require_fit(*self._fit)
        return found

    def fitting(self, train: int, suite: str) -> "ForgetSets":
        """These, of a suite with so many training examples."""
        found = ForgetSets(self)
        found._fit = train, suite
        return found

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name in self._sets

    def __iter__(self) -> Iterator[str]:
        return iter(self._sets)

    def __len__(self) -> int:
        return len(self._sets)

    @property
    def _first(self) -> list[tuple[str, Any]]:
        return list(self._sets.items())[:SHOWN]

    @property
    def _names(self) -> str:
        return ", ".join(map(str, list(self._sets)[:SHOWN])) or "none"
