"""Annotations are checked while the tests run, shapes too: of all that is imported after :func:`check_annotations`.

A check is compiled where a function is defined, which takes milliseconds. A function within another is defined anew at
every call of the outer one, by loops thousands of times a test; so of each such function the first definition in a
test is checked, and later ones, which are the same code, run as they are.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import is_dataclass
from functools import partial, wraps
from inspect import isclass, isgeneratorfunction
from types import CodeType
from typing import Any, ForwardRef, get_args

import jaxtyping

FIRST = 1  # definitions in a test of a function within another that are checked
INT_AS_FLOAT = "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))"

_jaxtyped = jaxtyping.jaxtyped
_defined: Counter[CodeType] = Counter()


def check_annotations(modules: Sequence[str]) -> AbstractContextManager[object]:
    """Have every function of ``modules`` checked that is imported from now on; in a ``with`` block, until its end."""
    setattr(jaxtyping, "jaxtyped", _first_definitions)  # noqa: B010 - the hook's code looks it up there
    hook: AbstractContextManager[object] = jaxtyping.install_import_hook(modules, INT_AS_FLOAT)
    return hook


def start_anew() -> None:
    """Another test begins: the first definitions are checked again."""
    _defined.clear()


def _first_definitions(*, typechecker: Any) -> Callable[[Any], Any]:
    return partial(_decorated, typechecker=typechecker)


def _decorated(given: Any, typechecker: Any) -> Any:
    """``given``, checked: a function, a class, or a method with a decorator of its own."""
    if isclass(given):
        return _with_checked_fields(given, typechecker)
    code = getattr(given, "__code__", None)
    if code is not None and "<locals>" in code.co_qualname:
        _defined[code] += 1
        if _defined[code] > FIRST:
            return given
    return _checked(given, typechecker)


def _with_checked_fields(given: Any, typechecker: Any) -> Any:
    """A class whose methods are checked as they are defined, all but the one that a dataclass is given."""
    made = vars(given).get("__init__")
    if is_dataclass(given) and made is not None and not hasattr(made, "__wrapped__"):
        setattr(given, "__init__", _checked(made, typechecker))  # noqa: B010 - mypy refuses it the other way
    return given


def _checked(given: Any, typechecker: Any) -> Any:
    """A function or a method, checked by the quickest means that can do it: jaxtyping looks names up where it can."""
    hints = list(getattr(given, "__annotations__", {}).values())
    shapes = any(_holds(hint, _has_shape) for hint in hints)
    named = any(_holds(hint, _is_name) for hint in hints)
    if not hasattr(given, "__code__") or named or (shapes and isgeneratorfunction(given)):
        return _jaxtyped(given, typechecker=typechecker)
    return _with_shapes(given, typechecker) if shapes else typechecker(given)


def _with_shapes(given: Any, typechecker: Any) -> Any:
    """``given``, checked in half the time that jaxtyping takes, which binds the arguments and checks them twice.

    Sizes that a call has met are forgotten at its end.
    """
    checked, sizes = typechecker(given), _jaxtyped("context")  # which has no state of its own

    @wraps(given)
    def within_one_call(*args: Any, **kwargs: Any) -> Any:
        with sizes:
            return checked(*args, **kwargs)

    return within_one_call


def _holds(hint: Any, sought: Callable[[Any], bool]) -> bool:
    """Whether a hint, or one that it is made of, is one that is ``sought``."""
    return sought(hint) or any(_holds(part, sought) for part in get_args(hint))


def _is_name(hint: Any) -> bool:
    return isinstance(hint, str | ForwardRef)


def _has_shape(hint: Any) -> bool:
    return isclass(hint) and issubclass(hint, jaxtyping.AbstractArray)
