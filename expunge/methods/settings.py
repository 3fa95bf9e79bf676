"""The settings of a config as keys of the store and records have them."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from expunge.records import Setting

# On a field of a config: a setting that came after results were kept. At its default it is what all did before it
# came, and is not said: so keys and records stay those that they were, and what was found before still holds.
LATER: Mapping[str, bool] = {"later": True}


def settings_in(config: Any) -> dict[str, Setting]:
    """The settings of a config, but for those that came later (:data:`LATER`) and are what they were before."""
    return {
        each.name: value
        for each in dataclasses.fields(config)
        if (value := getattr(config, each.name)) != each.default or not each.metadata.get("later")
    }
