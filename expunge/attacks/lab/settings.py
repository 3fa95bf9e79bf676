"""What every attack of the lab is told, how settings are read, and what is refused before any work."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, get_type_hints

import numpy as np

from expunge.attacks.defences import DEFENCES
from expunge.attacks.detection import HONEST
from expunge.attacks.removal import Attacked
from expunge.errors import BadSetting, UnknownName, lookup, suggestion
from expunge.methods import configure, find_method
from expunge.methods.method import parse_setting, require_needs
from expunge.names import require_name
from expunge.records import Setting
from expunge.suites.suite import ForgetSet, Suite
from expunge.suites.target import CLASSIFICATION

FEWEST, MOST_HONEST = 2 * HONEST, 10_000  # honest requests: half set a threshold, half say what it costs


@dataclass(frozen=True, kw_only=True)
class Lab:
    """Settings that all attacks have; an attack's own are a frozen dataclass on top of these.

    ``models`` victims, each in a world of its own: the first so many pretrained models of the suite. ``methods`` serve
    the requests, ``defences`` look at them among ``honest`` others.
    """

    models: int = 10
    methods: tuple[Attacked, ...] = (Attacked("first-order"),)
    defences: tuple[str, ...] = ()
    honest: int = FEWEST
    seed: int = 0

    @property
    def own(self) -> dict[str, Setting]:
        """The attack's own settings, by name."""
        shared = {each.name for each in fields(Lab)}
        return {each.name: getattr(self, each.name) for each in fields(self) if each.name not in shared}

    @property
    def facts(self) -> dict[str, Setting]:
        """What every record says of the attack."""
        return {f"attack.{key}": value for key, value in {**self.own, "seed": self.seed}.items()}


def own_settings(config: type) -> dict[str, Any]:
    """The names of an attack's own settings, with their types."""
    hints, shared = get_type_hints(config), {each.name for each in fields(Lab)}
    return {each.name: hints[each.name] for each in fields(config) if each.name not in shared}


def configured(name: str, config: type, given: Mapping[str, object], **lab: Any) -> Any:
    """The settings of the attack ``name`` with what is ``given``, as text or as it is; a wrong one is refused by name.

    ``lab`` are those that all attacks have; one that is None is the attack's default.
    """
    types, settings = own_settings(config), {}
    for key, value in given.items():
        if key not in types:
            raise UnknownName(f"attack {name!r} has no setting {key!r}; {suggestion(key, types)}")
        found = parse_setting(value, types[key]) if isinstance(value, str) else value
        wanted = (int, float) if types[key] is float else types[key]
        if not isinstance(found, wanted) or (isinstance(found, bool) and types[key] is not bool):
            words = {int: "a whole number", float: "a number", bool: "true or false"}
            raise BadSetting(f"{name}.{key}: expected {words.get(types[key], 'a word')}, got {value!r}")
        settings[key] = found
    try:
        return config(**settings, **{key: value for key, value in lab.items() if value is not None})
    except ValueError as error:
        raise BadSetting(f"{name}: {error}") from None


def require_lab(suite: Suite, config: Lab) -> None:
    """Refuse what no attack can do on a suite, before any work."""
    require_name("suite", suite.name)
    if suite.target != CLASSIFICATION:
        raise BadSetting(f"suite {suite.name!r}: attacks of the lab need one class label for each example")
    if not 2 <= config.models <= suite.models:
        raise BadSetting(
            f"expected 2 to {suite.models} victims, for one has no interval and suite {suite.name!r} has no more "
            f"models, got {config.models}; give --models"
        )
    for name in config.defences:
        lookup("defence", name, DEFENCES)
    looking = [name for name in config.defences if DEFENCES[name].practice is None]
    if looking and not FEWEST <= config.honest <= MOST_HONEST:
        raise BadSetting(
            f"expected {FEWEST} to {MOST_HONEST} honest requests for {looking[0]!r}, half to set a threshold that 1 % "
            f"lie above and half to count false alarms, got {config.honest}; give --honest {FEWEST}"
        )
    if config.seed < 0:
        raise BadSetting(f"expected a seed of at least 0, got {config.seed}")
    if not config.methods:
        raise BadSetting("expected at least 1 method that serves the requests, got none; give --method")
    for each in config.methods:
        require_serving(suite, each)


def require_serving(suite: Suite, attacked: Attacked) -> None:
    """Refuse a method that makes no models, wrong settings, and one whose needs the suite does not meet."""
    method = find_method(attacked.method)
    if method.unlearn is None:
        raise BadSetting(f"{attacked.method!r} makes no models, and so cannot serve a request; choose another method")
    configure(attacked.method, method, attacked.settings)
    require_needs(attacked.method, method, suite, [ForgetSet("asked", np.arange(1), "a request")])
