"""Annotations are checked while the tests run, shapes too: of all that is imported after :func:`check_annotations`.

A check is compiled where a function is defined, which takes milliseconds. A function within another is defined anew at
every call of the outer one, by loops thousands of times a test; so of each such function the first definitions in a
test are checked, and later ones, which are the same code, run as they are.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from inspect import isclass
from types import CodeType
from typing import Any, ForwardRef, get_args

import jaxtyping

FIRST = 3  # definitions in a test of a function within another that are checked
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
    code = getattr(given, "__code__", None)
    if code is not None and "<locals>" in code.co_qualname:
        _defined[code] += 1
        if _defined[code] > FIRST:
            return given
    if code is None or any(map(_needs_shapes, given.__annotations__.values())):  # the others need not jaxtyping's pace
        return _jaxtyped(given, typechecker=typechecker)
    return typechecker(given)


def _needs_shapes(hint: Any) -> bool:
    """Whether a hint holds an array with a shape, or a name, which jaxtyping looks up where it can."""
    if isinstance(hint, str | ForwardRef) or (isclass(hint) and issubclass(hint, jaxtyping.AbstractArray)):
        return True
    return any(map(_needs_shapes, get_args(hint)))
