"""Of what kind the parts of a suite are: what is something else is refused by the name of its field."""

from collections.abc import Callable
from typing import Any

from torch import nn

from expunge.errors import BadSetting
from expunge.suites.arrays import shown
from expunge.suites.data import Data
from expunge.suites.recipe import Recipe


def require_kinds(suite: Any) -> None:
    """Raise :class:`BadSetting`, which says what a field is to be, where one of a suite is of another kind."""
    named = f"suite {shown(suite.name)}" if isinstance(suite.name, str) and suite.name else "suite"
    for name, (fits, expected) in _FIELDS.items():
        value = getattr(suite, name)
        if not fits(value):
            found = f"the class {value.__name__}" if isinstance(value, type) else shown(value)
            raise BadSetting(f"{named}: expected {name} to be {expected}, got {found}")


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _makes_networks(value: object) -> bool:
    return callable(value) and not isinstance(value, nn.Module)


def _is_size(value: object) -> bool:
    return value is None or (isinstance(value, tuple) and len(value) == 2 and all(map(_is_whole, value)))


_WHOLE = (_is_whole, "a whole number")
_FIELDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "name": (lambda value: isinstance(value, str) and bool(value.strip()), "a word, such as 'flowers'"),
    "version": _WHOLE,
    "data": (
        lambda value: isinstance(value, Data),
        "Data, as data_from_arrays(x_train, y_train, x_test, y_test) and its kin make them",
    ),
    "network": (_makes_networks, "the class or a function that makes one, such as network=Net"),
    "recipe": (
        lambda value: isinstance(value, Recipe),
        "a Recipe, such as Recipe(epochs=30, batch_size=16, lr=0.1)",
    ),
    "derive": (lambda value: value is None or callable(value), "a function (margins, masks) -> ForgetSets, or None"),
    "models": _WHOLE,
    "subsets": _WHOLE,
    "chunk": _WHOLE,
    "architecture": (lambda value: isinstance(value, str), "a name"),
    "images": (_is_size, "(height, width), or None"),
}
