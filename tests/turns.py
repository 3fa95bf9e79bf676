"""Cases that take turns: make test-all meets every pair of a method and a network, make test some of them."""

from collections.abc import Iterable
from typing import Any

import pytest


def by_turns(cases: Iterable[tuple[Any, ...]], of: int) -> list[Any]:
    """All cases; one in ``of`` is quick, the others are slow.

    Of pairs in the order of ``itertools.product`` with ``of`` second parts, each first part meets one of them, in turn.

    >>> from itertools import product
    >>> [case[0] for case in by_turns(product("abc", [1, 2, 3]), 3) if isinstance(case[1], int)]
    ['a', 'b', 'c']
    """
    return [
        case if (number + number // of) % of == 0 else pytest.param(*case, marks=pytest.mark.slow)
        for number, case in enumerate(cases)
    ]
