"""What is to be forgotten: the table of suites."""

from collections.abc import Callable

from expunge.errors import lookup
from expunge.suites.digits import digits
from expunge.suites.suite import Data, Examples, ForgetSet, ForgetSets, Recipe, Split, Suite

__all__ = ["SUITES", "Data", "Examples", "ForgetSet", "ForgetSets", "Recipe", "Split", "Suite", "load_suite"]

SUITES: dict[str, Callable[[], Suite]] = {
    "digits": digits,
}


def load_suite(name: str) -> Suite:
    """The suite ``name`` of :data:`SUITES`."""
    return lookup("suite", name, SUITES)()
