"""What a search for a method's settings leaves behind: every trial, and the frontier of distance against cost."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, Literal, NamedTuple

from pydantic import TypeAdapter, ValidationError

from expunge.errors import BadSetting, StoreError, in_a_line
from expunge.files import write_file
from expunge.outside import read_bytes
from expunge.records import Setting
from expunge.shipped import PACKAGE, read_shipped

SCHEMA = 2
BUDGETS = (0.05, 0.15, 0.5, 1.0)  # shares of one retraining for which a search is good

Settings = dict[str, Setting]


class Point(NamedTuple):
    """Models after an epoch: what they had cost, as a share of one retraining, and their distance to the oracles.

    The distance is the mean over the examples of a split of Wasserstein-1, in standard deviations of the oracles.
    """

    epoch: int
    cost: float
    forget: float
    retain: float
    test: float

    @property
    def objective(self) -> float:
        """The mean over the splits; lower is better. Rounded as they are, so that what is written can be compared."""
        return round((self.forget + self.retain + self.test) / 3, 4)


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One try of a search: ``settings`` differ from the defaults; ``origin`` says who proposed them.

    ``points`` are the epochs after which it was nearer than at any before. ``reason`` says why it failed, or, where it
    has points, why it went no further. ``seconds`` are those of its one run, whichever search made it.
    """

    number: int
    origin: str
    settings: Settings
    status: Literal["ok", "failed"]
    reason: str = ""
    points: list[Point] = field(default_factory=list)
    seconds: float = field(default=0.0, compare=False)

    def objective(self, budget: float) -> float | None:
        """The least objective at a cost of at most ``budget``; None where nothing is as cheap."""
        return min((each.objective for each in self.points if each.cost <= budget), default=None)


@dataclass(frozen=True, kw_only=True)
class Stop:
    """A point of the frontier, with all settings that lead to it, the defaults of today included."""

    trial: int
    cost: float
    objective: float
    settings: Settings


@dataclass(frozen=True, kw_only=True)
class Search:
    """All that is needed to make a search again, and what it found.

    ``frontier`` has rising cost and falling objective: from each stop to the next, nothing cheaper came nearer. It is
    empty where every trial failed.
    """

    method: str
    suite: str
    suite_digest: str
    kind: str  # of the forget sets that it is for
    objective: str
    sampler: str
    seed: int
    wanted: int  # of trials that did not fail
    limit: float | None  # share of a retraining; absent for methods that train from scratch
    pretrained: list[int]  # numbers of the models that were unlearned: first and last
    oracles: list[int]
    space: dict[str, dict[str, Any]]
    forget_set: dict[str, Any]  # its examples too
    untouched: Point  # the pretrained models, nothing done
    trials: list[Trial]
    frontier: list[Stop]
    seconds: float  # of all its trials, one after the other, those found in the store too
    hardware: str
    versions: dict[str, str]
    start: str = ""  # the suite whose settings are a trial, where there is one
    schema: int = SCHEMA

    def at(self, budget: float) -> Stop | None:
        """The stop nearest to the oracles at a cost of at most ``budget``, a share of one retraining."""
        return next((each for each in reversed(self.frontier) if each.cost <= budget), None)

    @property
    def reach(self) -> float:
        """The largest share of a retraining that its trials might cost; 1, a whole one, where nothing bound them."""
        return 1.0 if self.limit is None else self.limit

    def served(self, budget: float) -> Stop:
        """The stop that a bench with this budget takes: :meth:`at`, or the cheapest where all cost more.

        Where even that costs a whole retraining, as an upper bound does that begins with an oracle, the budget is what
        may be spent on top of it.
        """
        least = self.frontier[0]
        over = self.at(least.cost + budget) if least.cost >= 1 else None
        return self.at(budget) or over or least


_SEARCH = TypeAdapter(Search)


def write_search(file: Path, search: Search) -> None:
    """Write the record, a trial a line, whole or not at all."""
    record = asdict(search)
    lines = [f"{json.dumps(key)}: {_told(value)}" for key, value in record.items()]
    write_file(file, "{\n" + ",\n".join(lines) + "\n}\n")


def _told(value: object) -> str:
    """JSON in a line, or with a line for each member of a list of records."""
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return "[\n" + ",\n".join(f" {json.dumps(each, allow_nan=False)}" for each in value) + "\n]"
    return json.dumps(value, allow_nan=False)


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
    own = PACKAGE in file.parents
    content = read_shipped(file) if own else read_bytes(file, StoreError)
    try:
        schema = json.loads(content).get("schema")
        if schema == SCHEMA:
            return _SEARCH.validate_json(content, strict=True)
    except (ValueError, AttributeError, RecursionError) as error:
        problem = error.errors()[0] if isinstance(error, ValidationError) else {"loc": (), "msg": "no JSON object"}
        where = in_a_line(".".join(map(str, problem["loc"]))) or "file"
        raise StoreError(f"{file} is no record of a search: {where}: {problem['msg']}; tune again") from None
    raise StoreError(f"{file} has schema {in_a_line(repr(schema))}, this expunge reads {SCHEMA}; tune again")


def settings_in_words(settings: Settings, keys: Iterable[str]) -> str:
    """The named settings, as a command would set them.

    >>> settings_in_words({"lr": 0.1, "epochs": 1}, ["lr"])
    'lr = 0.1'
    """
    return ", ".join(f"{key} = {settings[key]}" for key in keys if key in settings)
