"""What an unlearning method is: a config, a function, a row in a table."""

import functools
import math
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from numpy import ndarray

from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.plan import Plan
from expunge.ensembles.seeds import Generators
from expunge.errors import BadSetting, UnknownName, suggestion
from expunge.methods.needs import Need
from expunge.methods.references import REFERENCES, Reference
from expunge.methods.spaces import Published, Space
from expunge.records import Setting
from expunge.suites.arrays import plain
from expunge.suites.suite import ForgetSet, Split, Suite

Unlearn = Callable[[Ensemble, Split, Any, Generators], Iterator[Ensemble]]
Predict = Callable[[ndarray, Any, Any], ndarray]  # margins of the pretrained models, what was prepared, config


@dataclass(frozen=True, kw_only=True)
class NoSettings:
    """The config of a method that has none."""


@dataclass(frozen=True)
class Preparation:
    """What a method takes out of a store, beside the examples, and finds in ``split.extra``.

    ``load(suite, forget, models, config)`` reads it for these models. What may be missing is known before any work:
    ``require(suite, forget, config)`` raises :class:`~expunge.errors.StoreError`, which names the command that makes
    it; ``plan(suite, forget, config)`` are models that ``expunge build SUITE --for METHOD`` makes, and no other.
    """

    load: Callable[[Suite, ForgetSet, Sequence[int], Any], object]
    require: Callable[[Suite, ForgetSet, Any], None] | None = None
    plan: Callable[[Suite, ForgetSet, Any], Plan] | None = None


@dataclass(frozen=True, kw_only=True)
class Method:
    """One row of METHODS; each method's own file ends with it.

    ``config`` is a frozen dataclass; ``unlearn`` yields the ensemble after each epoch, one that has no epochs yields
    once, and leaves its input as it is. A row that makes no models has ``predict`` in its place, which turns the
    margins of the pretrained models, ``(models, examples)``, into those of unlearned ones. An anchor has neither: its
    row is made of margins that exist already.
    """

    unlearn: Unlearn | None
    predict: Predict | None = None
    config: type = NoSettings
    summary: str
    cite: tuple[str, ...] = ()  # keys of references.toml, the source first
    needs: tuple[Need, ...] = ()  # predicates, asked before any work
    search: Mapping[str, Space] = field(default_factory=dict)  # where tuning looks for settings
    published: tuple[Published, ...] = ()  # where it looks first
    whole_runs: bool = False  # a run of fewer epochs is no beginning of a longer one: steps depend on their number
    prepare: Preparation | None = None
    deviations: str = ""  # what public code does otherwise, and what is done here
    moves_little: str = ""  # why it closes little of any gap, where it was measured to
    ranked: bool = True  # what uses retrained models, or retrains at full cost, has no rank
    own: bool = False  # the user's: it is handed frozen parts as they are, not held, and timed by the clock on the wall
    from_scratch: bool = False  # its cost holds the training of models from their first weights

    @property
    def anchor(self) -> bool:
        return self.unlearn is None and self.predict is None

    @property
    def needed(self) -> tuple[str, ...]:
        """What it needs, in words."""
        return tuple(need.name for need in self.needs)

    @property
    def module(self) -> str:
        """The module that it is written in."""
        made = self.unlearn or self.predict
        return (made.func if isinstance(made, functools.partial) else made).__module__ if made else __name__

    @property
    def references(self) -> dict[str, Reference]:
        """What it cites, by key; :class:`UnknownName` where references.toml lacks a key."""
        for key in self.cite:
            if key not in REFERENCES:
                place = "expunge/methods/references.toml"
                hint = suggestion(key, REFERENCES, f"stand in {place}")
                raise UnknownName(
                    f"the method of {self.module} cites {key!r}, which {place} lacks; add it there, or {hint}"
                )
        return {key: REFERENCES[key] for key in self.cite}

    @property
    def source(self) -> str:
        """The first reference in a few words."""
        return next((each.short for each in self.references.values()), "none")


@dataclass(frozen=True)
class Step:
    """An ensemble after one epoch of unlearning, and what it cost to get there.

    ``cost`` is the share of one retraining, ``seconds`` those of work for one model; ``alarms`` say why the models are
    not to be read as having forgotten.
    """

    epoch: int
    ensemble: Ensemble
    cost: float
    seconds: float
    alarms: tuple[str, ...] = ()


def configure(name: str, method: Method, settings: Mapping[str, object]) -> Any:
    """The config of ``method`` with ``settings`` in place of its defaults; a wrong one is refused by name."""
    types = typing.get_type_hints(method.config)
    settings = {key: plain(value) for key, value in settings.items()}  # a number of numpy's is as good as Python's
    for key, value in settings.items():
        if key not in types:
            choices = suggestion(key, types) if types else "it has no settings"
            raise UnknownName(f"method {name!r} has no setting {key!r}; {choices}")
        if not _fits(value, types[key]):
            raise BadSetting(f"{name}.{key}: expected {_type_name(types[key])}, got {value!r}")
    try:
        return method.config(**settings)
    except ValueError as error:
        raise BadSetting(f"{name}: {error}") from None


def parse_setting(text: str, wanted: Any) -> Setting:
    """The value that ``text`` spells for a setting of type ``wanted``; the text itself where it spells none."""
    if wanted is bool:
        return {"true": True, "false": False}.get(text.lower(), text)
    for kind in (int, float):
        if wanted in (kind, float):
            try:
                value: Setting = kind(text)
            except ValueError:
                continue
            return value
    return text


def require_needs(name: str, method: Method, suite: Suite, forget_sets: Iterable[ForgetSet]) -> None:
    """Refuse a method whose needs a suite does not meet, before anything is built for it."""
    for forget in forget_sets:
        for need in method.needs:
            if line := need.lacking(suite, forget):
                raise BadSetting(f"{name} {line}")


def _fits(value: object, wanted: Any) -> bool:
    kinds = typing.get_args(wanted) if isinstance(wanted, types.UnionType) else (wanted,)
    if isinstance(value, bool):
        return bool in kinds
    if isinstance(value, int | float) and not math.isfinite(value):
        return False
    return isinstance(value, kinds) or (isinstance(value, int) and float in kinds)


def _type_name(wanted: Any) -> str:
    names = {int: "a whole number", float: "a number", bool: "true or false", str: "a word"}
    return names.get(wanted, str(wanted))
