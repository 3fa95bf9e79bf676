"""The settings of a method of the user's own, as its file declares them: a config like those of the table."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any, Literal

from expunge.methods.method import NoSettings
from expunge.records import Setting

Kind = Literal["int", "float", "bool", "str"]
KINDS: dict[Kind, type] = {"int": int, "float": float, "bool": bool, "str": str}


@dataclasses.dataclass(frozen=True)
class Declared:
    """A setting of a method: its name, the kind of its values, and what it is unless said otherwise."""

    name: str
    kind: Kind
    default: Setting


def settings_class(declared: Sequence[Declared], vet: Callable[[Any], None] | None = None) -> type:
    """The config of a method with these settings, a frozen dataclass; ``vet`` is asked of each that is made.

    It is made anew in every process, so an instance is pickled as its settings and values.
    """
    return _settings_class(tuple(declared), vet) if declared else NoSettings


@functools.lru_cache(maxsize=100)
def _settings_class(declared: tuple[Declared, ...], vet: Callable[[Any], None] | None) -> type:
    fields = [(each.name, KINDS[each.kind], dataclasses.field(default=each.default)) for each in declared]

    def as_values(self: Any) -> tuple[Any, ...]:
        return _again, (declared, dataclasses.asdict(self))

    own: dict[str, Any] = {"__reduce__": as_values, "__doc__": "The settings of a method of the user's own."}
    if vet:
        own["__post_init__"] = lambda self: vet(self)  # a method of the class, which a partial would not be
    return dataclasses.make_dataclass("OwnSettings", fields, namespace=own, frozen=True, kw_only=True)


def _again(declared: tuple[Declared, ...], values: dict[str, Setting]) -> Any:
    """An instance in another process; its values were vetted where it was made."""
    return settings_class(declared)(**values)
