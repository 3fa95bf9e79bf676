"""Tuned settings: what a search found for a suite, one JSON record for each method, and which ones a bench uses.

``SUITE/METHOD.json`` beside this file is the whole record of a search, as ``expunge tune --out`` writes it.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from expunge.errors import BadSetting, StoreError, lookup
from expunge.methods import find_method
from expunge.outside import read_bytes
from expunge.records import Setting
from expunge.shipped import read_shipped
from expunge.store import write_file
from expunge.suites import Suite, is_found, load_suite

SCHEMA = 1
SHIPPED = Path(__file__).parent

Settings = dict[str, Setting]


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One try of a search: ``settings`` differ from the defaults; numbers are absent where it failed."""

    number: int
    settings: Settings
    status: Literal["ok", "failed"]
    reason: str = ""
    objective: float | None = None  # nats, lower is better
    klom: dict[str, dict[str, float]] = field(default_factory=dict)  # P95 of each tuning set and split
    cost: float | None = None  # share of one retraining, the largest of the tuning sets
    seconds: float | None = None  # to unlearn one model, mean over the tuning sets


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """The best trial, with all of its settings, the defaults of today included."""

    trial: int
    objective: float
    settings: Settings


@dataclass(frozen=True, kw_only=True)
class Search:
    """All that is needed to make a search again, and what it found; ``chosen`` is absent where every trial failed."""

    method: str
    suite: str
    suite_digest: str
    objective: str
    sampler: str
    seed: int
    budget: int
    limit: float | None  # share of a retraining; absent for methods that train from scratch
    pretrained: list[int]  # numbers of the models that were unlearned: first and last
    oracles: list[int]
    space: dict[str, dict[str, Any]]
    sets: list[dict[str, Any]]
    untouched: float  # the objective of the pretrained models, nothing done
    trials: list[Trial]
    chosen: Chosen | None
    hardware: str
    versions: dict[str, str]
    start: str = ""  # the suite whose settings are trial 1, where there is one
    schema: int = SCHEMA


_SEARCH = TypeAdapter(Search)


def write_search(file: Path, search: Search) -> None:
    """Write the record, whole or not at all."""
    write_file(file, json.dumps(asdict(search), indent=1, allow_nan=False) + "\n")


def require_writable(file: Path) -> None:
    """Refuse a file that cannot be written, before any work is done."""
    try:
        if file.is_dir():
            raise BadSetting(f"expected a file to write the record to, got the folder {file}")
        file.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=file.parent) as probe:
            probe.write(b"is there room for a byte?")
    except OSError as error:
        raise BadSetting(f"cannot write {file}: {error.strerror}; choose an --out that can be written") from None


def read_search(file: Path) -> Search:
    """The record in ``file``; one that is no such record is refused."""
    try:
        own = SHIPPED in file.parents
        search = _SEARCH.validate_json(read_shipped(file) if own else read_bytes(file, StoreError), strict=True)
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(map(str, problem["loc"])) or "file"
        raise StoreError(f"{file} is no record of a search: {where}: {problem['msg']}; tune again") from None
    if search.schema != SCHEMA:
        raise StoreError(f"{file} has schema {search.schema}, this expunge reads {SCHEMA}; tune again")
    return search


def shipped(method: str) -> list[Search]:
    """The searches for a method that are shipped, one for each suite that has one."""
    return [read_search(file) for file in sorted(SHIPPED.glob(f"*/{method}.json"))]


def found_for(suite: str, method: str) -> Chosen:
    """The settings that are shipped for a method on the suite of this name."""
    searches = {search.suite: search for search in shipped(method)}
    if not searches:
        raise BadSetting(f"no tuned settings of {method!r} are shipped")
    chosen = lookup(f"suite with tuned settings of {method!r}", suite, searches).chosen
    if chosen is None:
        raise BadSetting(f"the search for {method!r} on {suite!r} found no settings to start from: every trial failed")
    return chosen


@dataclass(frozen=True)
class Used:
    """Settings that a bench uses, and what they are, in words: "default", "tuned", "tuned on digits; set: lr"."""

    settings: Mapping[str, object]
    label: str


CHOICES = {"tuned": "those found for the suite, else the defaults", "default": "the defaults of each method"}


def settings_for(
    suite: Suite, methods: Sequence[str], overrides: Mapping[str, Mapping[str, object]], wanted: str = "tuned"
) -> dict[str, Used]:
    """What each of ``methods`` is run with: what was found for the suite, if anything, and the overrides on top."""
    lookup("tuning", wanted, CHOICES)
    used = {}
    for name in methods:
        method = find_method(name)
        found = _found(suite, name) if wanted == "tuned" else None
        label = "" if method.anchor or ":" in name else _label(suite, found)
        mine = overrides.get(name, {})
        label += f"; set: {', '.join(sorted(mine))}" if mine else ""
        used[name] = Used({**(found.chosen.settings if found and found.chosen else {}), **mine}, label)
    return used


def _found(suite: Suite, method: str) -> Search | None:
    """The shipped search for a method on this very suite or, for a sparse one, on the dense one it is named after."""
    base, sparse, _ = suite.name.partition("@")
    file = SHIPPED / base / f"{method}.json"
    if ":" in method or not file.is_file():
        return None
    search = read_search(file)
    digest = load_suite(base).digest if sparse else suite.digest
    if search.suite_digest != digest:
        again = f"tune again with `expunge tune {method} {suite.address}`" if is_found(suite) else "tune again"
        raise BadSetting(
            f"the settings of {method!r} for suite {base!r} were tuned on digest {search.suite_digest}, this suite has "
            f"{digest}; {again}, or bench with --tuning default (in Python tuning='default')"
        )
    return search if search.chosen else None


def _label(suite: Suite, found: Search | None) -> str:
    if found is None:
        return "default"
    return "tuned" if found.suite == suite.name else f"tuned on {found.suite}"


def in_words(suite: str, labels: Mapping[str, str]) -> str:
    """One line that says which settings a bench uses.

    >>> in_words("digits", {"scrub": "tuned", "fine-tune": "tuned; set: lr", "gradient-ascent": "default"})
    'settings: tuned for digits (scrub, fine-tune with lr set), default: gradient-ascent'
    >>> in_words("digits", {"scrub": "default"})
    'settings: default: scrub'
    """
    groups: dict[str, list[str]] = {}
    for name, label in labels.items():
        kind, _, changed = label.partition("; set: ")
        groups.setdefault(kind, []).append(f"{name} with {changed} set" if changed else name)
    defaults = groups.pop("default", [])
    parts = [f"{_place(kind, suite)} ({', '.join(names)})" for kind, names in groups.items()]
    return "settings: " + ", ".join([*parts, *([f"default: {', '.join(defaults)}"] if defaults else [])])


def _place(kind: str, suite: str) -> str:
    return f"tuned for {suite}" if kind == "tuned" else kind


def settings_in_words(settings: Mapping[str, object], keys: Iterable[str]) -> str:
    """The named settings, as a command would set them.

    >>> settings_in_words({"lr": 0.1, "epochs": 1}, ["lr"])
    'lr = 0.1'
    """
    return ", ".join(f"{key} = {settings[key]}" for key in keys if key in settings)
