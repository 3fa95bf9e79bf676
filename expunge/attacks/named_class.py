"""The class that a setting of an attack names."""

from expunge.errors import UnknownName
from expunge.suites.suite import Suite


def named_class(suite: Suite, name: str, setting: str, otherwise: str) -> int:
    """The number of class ``name``; one that does not exist is refused with the option that mends it.

    ``setting`` is what names it, ``otherwise`` the word that stands there for no class in particular.
    """
    try:
        return suite.data.label(name)
    except UnknownName as error:
        raise UnknownName(f"{setting}: {error}; give --set {setting}=CLASS, or {otherwise}") from None
