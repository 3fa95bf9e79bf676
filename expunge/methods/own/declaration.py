"""What the file of a user's own method says of it: read where the file is imported, told to where it is not.

A method is a function ``(model, retain, forget, seed, *, setting=default, ...)``, or a row ``METHOD = Method(...)`` as
those of the table are.
"""

import dataclasses
import inspect
import math
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType, ModuleType
from typing import Any

from pydantic import TypeAdapter

from expunge.errors import BadSetting, in_a_line, suggestion
from expunge.methods import needs
from expunge.methods.method import Method
from expunge.methods.own.settings import KINDS, Declared, Kind
from expunge.methods.spaces import Between, OneOf
from expunge.records import Setting

FOUR = ("model", "retain", "forget", "seed")
NEEDS = {name: each for name, each in vars(needs).items() if isinstance(each, needs.Need)}


@dataclass(frozen=True)
class Told:
    """What there is to know of ``file.py:NAME``; ``fault`` says why it is no method, "" where it is one.

    ``takes`` says whether a function must be given anything; that of a suite must not. Of a row there is more.
    """

    name: str
    doc: str = ""
    signature: str = ""
    takes: bool = True
    fault: str = ""
    settings: tuple[Declared, ...] = ()
    search: dict[str, Between | OneOf] = field(default_factory=dict)
    row: bool = False
    summary: str = ""
    needs: tuple[str, ...] = ()  # names in expunge.methods.needs
    published: tuple[tuple[str, dict[str, Setting]], ...] = ()
    whole_runs: bool = True  # of a function, which is asked once
    from_scratch: bool = False
    refuses: str = ""  # what its config says against the settings that were asked about


TOLD = TypeAdapter(Told)


def told_by(
    found: object, member: str, module: ModuleType | None, asked: Mapping[str, Setting] = MappingProxyType({})
) -> Told:
    """What ``found``, the ``member`` of a file, says of itself, and of the settings ``asked`` about."""
    if isinstance(found, Method):
        return _told_by_row(found, member, asked)
    if not callable(found):
        return Told(
            member,
            fault=f"expected a function (model, retain, forget, seed) or a row {member} = Method(...), got "
            f"{type(found).__name__}; {member} must be one of them",
        )
    name, doc = getattr(found, "__name__", member), inspect.getdoc(found) or ""
    try:
        signature = inspect.signature(found)
    except (TypeError, ValueError):  # of C, which does not tell
        return Told(name, doc, "(...)")
    told = Told(name, doc, str(signature), _takes(signature))
    try:
        settings = _settings_in(signature, found)
        where, searched = _where_searched(found, name, module)
        return dataclasses.replace(told, settings=settings, search=_search_in(searched, settings, where))
    except BadSetting as error:
        return dataclasses.replace(told, fault=str(error))


def _takes(signature: inspect.Signature) -> bool:
    return any(
        each.default is each.empty and each.kind is not inspect.Parameter.VAR_KEYWORD
        for each in signature.parameters.values()
    )


def _settings_in(signature: inspect.Signature, function: Callable[..., Any]) -> tuple[Declared, ...]:
    """The settings of a function: all that it takes by name beside the four."""
    names = list(signature.parameters)
    by_place = [each for each in signature.parameters.values() if each.kind in _BY_PLACE]
    called = f"{getattr(function, '__name__', 'it')}{signature}"
    if len(by_place) >= 4 and names[3] != "seed" and by_place[3].default is not inspect.Parameter.empty:
        raise BadSetting(
            f"{EXPECTED}, got {called}; its fourth, {names[3]}, would be given the seed: put seed before it"
        )
    rest = [each for each in signature.parameters.values() if each not in by_place[:4] and each.kind in _BY_NAME]
    for each in rest:
        if each.default is each.empty:
            raise BadSetting(
                f"{EXPECTED}, settings with defaults after them, got {called}; give {each.name} a default, which also "
                "says its type"
            )
    try:
        signature.bind(None, None, None, 0)
    except TypeError:
        raise BadSetting(f"{EXPECTED}, got {called}; write one around it that calls it") from None
    hints = _hints(function)
    return tuple(_declared(each.name, hints.get(each.name, inspect.Parameter.empty), each.default) for each in rest)


EXPECTED = f"expected a function ({', '.join(FOUR)})"
_BY_PLACE = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_BY_NAME = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    """Annotations, as what they name; where one of them names nothing, as they are written."""
    try:
        return typing.get_type_hints(function)
    except Exception:  # of a name that is not there
        return dict(getattr(function, "__annotations__", {}))


def _declared(name: str, hint: object, default: object) -> Declared:
    """A setting of this annotation, empty where it has none, and default."""
    kinds: dict[object, Kind] = {kind: named for named, kind in KINDS.items()}
    kind = kinds.get(type(default) if hint is inspect.Parameter.empty else hint)
    if kind is None:
        what = f"a default that is one, got {default!r:.40}" if hint is inspect.Parameter.empty else f"got {hint!s:.40}"
        raise BadSetting(f"setting {name!r}: expected int, float, bool or str, {what}")
    whole = isinstance(default, int) and not isinstance(default, bool)
    if not (type(default) is KINDS[kind] or (whole and kind == "float")):
        raise BadSetting(f"setting {name!r}: expected a default that is {kind}, as it says, got {default!r:.40}")
    if isinstance(default, float) and not math.isfinite(default):
        raise BadSetting(f"setting {name!r}: expected a default that is finite, got {default}")
    assert isinstance(default, bool | int | float | str)
    return Declared(name, kind, default)


def _where_searched(function: object, name: str, module: ModuleType | None) -> tuple[str, object]:
    """The search of a function: its own, or that of its file; and what to call it."""
    own, shared = getattr(function, "search", None), getattr(module, "SEARCH", None)
    if own is None and shared is not None:
        return f"SEARCH (a search of {name} alone is {name}.search)", shared
    return f"{name}.search", {} if own is None else own


def _search_in(found: object, settings: Sequence[Declared], where: str) -> dict[str, Between | OneOf]:
    """Where tuning looks, as the file says it; refused where the method has no such setting, or it is no space."""
    if not isinstance(found, Mapping):
        raise BadSetting(f"{where}: expected a table of settings and spaces, got {type(found).__name__}")
    kinds = {each.name: each.kind for each in settings}
    for key, space in found.items():
        if key not in kinds:
            near = suggestion(str(key), kinds) if kinds else "it has none"
            raise BadSetting(f"{where}: the method has no setting {key!r}; {near}")
        if not isinstance(space, Between | OneOf):
            raise BadSetting(
                f"{where}: {key}: expected Between(low, high) or OneOf((one, another)) of "
                f"expunge.methods.spaces, got {space!r:.40}"
            )
        _require_space(f"{where}: {key}", space, kinds[key])
    return dict(found)


def _require_space(what: str, space: Between | OneOf, kind: Kind) -> None:
    """Refuse a space out of which no value of the setting can be drawn."""
    if isinstance(space, OneOf):
        fits = (int, float) if kind == "float" else (KINDS[kind],)
        bad = [each for each in space.values if type(each) not in fits]
        if bad or not space.values:
            raise BadSetting(f"{what}: expected values that are {kind}, got {bad[0] if bad else 'none'!r}")
        return
    if kind not in ("int", "float") or (kind == "int") != space.whole:
        raise BadSetting(f"{what}: it is {kind}, expected {_SPACES[kind]}, got {space}")
    ends = (space.low, space.high)
    if not all(map(math.isfinite, ends)) or not space.low < space.high or (space.log and space.low <= 0):
        least = "0 < low < high" if space.log else "low < high"
        raise BadSetting(f"{what}: expected {least}, got {space.low} and {space.high}")


_SPACES: dict[Kind, str] = {
    "int": "Between(low, high, whole=True) or OneOf",
    "float": "Between(low, high) or OneOf",
    "bool": "OneOf((False, True))",
    "str": "OneOf of words",
}


def _told_by_row(row: Method, member: str, asked: Mapping[str, Setting]) -> Told:
    doc = inspect.getdoc(row.config) or ""
    told = Told(member, doc, row=True, summary=row.summary)
    try:
        settings = _settings_of(row, member)
        return dataclasses.replace(
            told,
            settings=settings,
            search=_search_in(row.search, settings, f"search of {member}"),
            needs=_needs_of(row, member),
            published=tuple((each.source, dict(each.settings)) for each in row.published),
            whole_runs=row.whole_runs,
            from_scratch=row.from_scratch,
            refuses=_refuses(row, asked),
        )
    except BadSetting as error:
        return dataclasses.replace(told, fault=str(error))


def _settings_of(row: Method, member: str) -> tuple[Declared, ...]:
    """The settings of a row; refused where it is none that can be run out of a file."""
    lacking = {
        "unlearn, a generator over an Ensemble": row.unlearn is None,
        "no prepare: a file takes nothing out of the store": row.prepare is not None,
    }
    for what, lacks in lacking.items():
        if lacks:
            raise BadSetting(f"row {member}: expected {what}; a row of the table may do otherwise")
    config = row.config
    params = getattr(config, "__dataclass_params__", None)
    if params is None or not params.frozen:
        raise BadSetting(f"row {member}: expected config to be a frozen dataclass, got {config!r:.60}")
    hints, found = _hints(config), []
    for each in dataclasses.fields(config):
        if each.default is dataclasses.MISSING:
            raise BadSetting(
                f"row {member}: expected every setting to have a default, {each.name} has none; give it one"
            )
        found.append(_declared(each.name, hints.get(each.name, inspect.Parameter.empty), each.default))
    return tuple(found)


def _needs_of(row: Method, member: str) -> tuple[str, ...]:
    named = {each: name for name, each in NEEDS.items()}
    for each in row.needs:
        if each not in named:
            raise BadSetting(
                f"row {member}: expected needs out of expunge.methods.needs, got {getattr(each, 'name', each)!r}; "
                "ask for it where the method runs"
            )
    return tuple(named[each] for each in row.needs)


def _refuses(row: Method, asked: Mapping[str, Setting]) -> str:
    """Why the row's config does not take these settings; "" where it does."""
    try:
        row.config(**asked)
    except Exception as error:  # of the user's own
        return in_a_line(error) if not isinstance(error, ValueError) else in_a_line(str(error))
    return ""
