"""Which settings a search tries: drawn at random, or proposed by Optuna from what it was told."""

import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np

from expunge.errors import BadSetting, lookup
from expunge.methods.searches import Settings
from expunge.methods.spaces import OneOf, Space
from expunge.records import Setting

ATTEMPTS = 100  # to draw settings that were not tried yet


@runtime_checkable
class Sampler(Protocol):
    """Proposes settings; the same seed, and the same values told, give the same settings."""

    name: str

    def ask(self, count: int) -> list[Settings]:
        """At most ``count`` settings to try next; none when there are no others."""

    def tell(self, tried: Sequence[Settings], values: Sequence[float]) -> None:
        """The objective of each of these settings, whoever proposed them: lower is better, infinite where it failed."""


class RandomSearch:
    """Settings drawn independently, none twice. The first N are the same however many are asked for."""

    name = "random"

    def __init__(self, space: Mapping[str, Space], seed: int, name: str) -> None:
        self._space = space
        self._rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
        self._seen: list[Settings] = []

    def ask(self, count: int) -> list[Settings]:
        return [settings for _ in range(count) if (settings := self._another()) is not None]

    def tell(self, tried: Sequence[Settings], values: Sequence[float]) -> None:
        """Random search learns only what was tried."""
        self._seen += [each for each in tried if each not in self._seen]

    def _another(self) -> Settings | None:
        for _ in range(ATTEMPTS):
            settings = {key: space.draw(self._rng) for key, space in self._space.items()}
            if settings not in self._seen:
                self._seen.append(settings)
                return settings
        return None


class OptunaSearch:
    """At random until RANDOM were tried, then tree-structured Parzen estimators; none twice.

    In batches of a fixed size, so that proposals do not depend on workers.
    """

    name, BATCH, RANDOM = "random, then optuna", 4, 10

    def __init__(self, space: Mapping[str, Space], seed: int, name: str) -> None:
        try:
            import optuna
        except ImportError:
            raise BadSetting(
                "the sampler 'optuna' is not installed; run pip install -e '.[tune]' in the checkout of expunge"
            ) from None
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        sampler = optuna.samplers.TPESampler(
            seed=(seed + zlib.crc32(name.encode())) % 2**32, n_startup_trials=self.RANDOM
        )
        self._study = optuna.create_study(direction="minimize", sampler=sampler)
        self._space, self._seen = space, list[Settings]()
        self._new = optuna.trial.create_trial
        self._distributions = {key: _distribution(optuna.distributions, each) for key, each in space.items()}

    def ask(self, count: int) -> list[Settings]:
        found: list[Settings] = []
        for _ in range(ATTEMPTS):
            if len(found) == min(count, self.BATCH):
                break
            trial = self._study.ask()
            settings = {key: _suggest(trial, key, space) for key, space in self._space.items()}
            if settings not in self._seen:
                self._seen.append(settings)
                found.append(settings)
        return found

    def tell(self, tried: Sequence[Settings], values: Sequence[float]) -> None:
        for settings, value in zip(tried, values, strict=True):
            known = {key: settings[key] for key in self._space}
            self._seen += [known] if known not in self._seen else []
            if any(known[key] not in space for key, space in self._space.items()):
                continue  # Optuna learns of no place outside of its space, where settings of another search may lie
            self._study.add_trial(self._new(params=known, distributions=self._distributions, value=value))


def _distribution(known: Any, space: Space) -> Any:
    """What Optuna calls a space."""
    if isinstance(space, OneOf):
        return known.CategoricalDistribution(list(space.values))
    if space.whole:
        return known.IntDistribution(round(space.low), round(space.high), log=space.log)
    return known.FloatDistribution(space.low, space.high, log=space.log)


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
