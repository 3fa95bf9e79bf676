"""Which settings a search tries: drawn at random, or proposed by Optuna from what it was told."""

import zlib
from collections.abc import Callable, Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np

from expunge.errors import BadSetting, lookup
from expunge.methods.spaces import OneOf, Space
from expunge.records import Setting

Settings = dict[str, Setting]
ATTEMPTS = 100  # to draw settings that were not tried yet
CEILING = 11.5129  # of KLoM, nats: what Optuna is told of a trial that failed


@runtime_checkable
class Sampler(Protocol):
    """Proposes settings; the same seed, and the same values told, give the same settings."""

    def ask(self, count: int) -> list[Settings]:
        """At most ``count`` settings to try next; none when there are no others."""

    def tell(self, values: list[float | None]) -> None:
        """The objective of each of the settings asked for last, absent where the trial failed."""


class RandomSearch:
    """Settings drawn independently, none twice. The first N are the same for every budget of N or more."""

    def __init__(self, space: Mapping[str, Space], seed: int, name: str) -> None:
        self._space = space
        self._rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
        self._seen: list[Settings] = []

    def ask(self, count: int) -> list[Settings]:
        return [settings for _ in range(count) if (settings := self._another()) is not None]

    def tell(self, values: list[float | None]) -> None:
        """Random search learns nothing."""

    def _another(self) -> Settings | None:
        for _ in range(ATTEMPTS):
            settings = {key: space.draw(self._rng) for key, space in self._space.items()}
            if settings not in self._seen:
                self._seen.append(settings)
                return settings
        return None


class OptunaSearch:
    """Tree-structured Parzen estimators, in batches of a fixed size, so that proposals do not depend on workers."""

    BATCH = 4

    def __init__(self, space: Mapping[str, Space], seed: int, name: str) -> None:
        try:
            import optuna
        except ImportError:
            raise BadSetting(
                "the sampler 'optuna' is not installed; run pip install -e '.[tune]' in the checkout of expunge"
            ) from None
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        sampler = optuna.samplers.TPESampler(seed=(seed + zlib.crc32(name.encode())) % 2**32)
        self._study = optuna.create_study(direction="minimize", sampler=sampler)
        self._space = space
        self._asked: list[Any] = []

    def ask(self, count: int) -> list[Settings]:
        self._asked = [self._study.ask() for _ in range(min(count, self.BATCH))]
        return [{key: _suggest(trial, key, space) for key, space in self._space.items()} for trial in self._asked]

    def tell(self, values: list[float | None]) -> None:
        for trial, value in zip(self._asked, values, strict=True):
            self._study.tell(trial, CEILING if value is None else value)


def _suggest(trial: Any, key: str, space: Space) -> Setting:
    """One value of a setting; others than whole numbers are rounded to 3 digits, as random search does."""
    if isinstance(space, OneOf):
        choice: Setting = trial.suggest_categorical(key, list(space.values))
        return choice
    if space.whole:
        return int(trial.suggest_int(key, round(space.low), round(space.high), log=space.log))
    value = float(f"{trial.suggest_float(key, space.low, space.high, log=space.log):.3g}")
    return min(max(value, space.low), space.high)


SAMPLERS: dict[str, Callable[[Mapping[str, Space], int, str], Sampler]] = {
    "random": RandomSearch,
    "optuna": OptunaSearch,
}


def make_sampler(name: str, space: Mapping[str, Space], seed: int, method: str) -> Sampler:
    """The sampler of this name; chance is a function of the seed and the method."""
    return lookup("sampler", name, SAMPLERS)(space, seed, method)
