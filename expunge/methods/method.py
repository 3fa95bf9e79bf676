"""What an unlearning method is: a config, a function, a row in a table; and how one is run, checked and metered."""

import contextlib
import functools
import math
import sys
import time
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy import ndarray

from expunge.engine import one_thread
from expunge.ensembles.chance import Chance
from expunge.ensembles.device import exact_arithmetic, resident_split
from expunge.ensembles.ensemble import Ensemble, Making, Meter
from expunge.ensembles.frozen import frozen_names, hold, release
from expunge.ensembles.plan import Plan
from expunge.ensembles.seeds import Generators, seed_of
from expunge.errors import BadSetting, CostsTooMuch, MethodFailed, UnknownName, in_a_line, suggestion
from expunge.methods.needs import Need
from expunge.methods.references import REFERENCES, Reference
from expunge.methods.settings import settings_in
from expunge.methods.spaces import Published, Space
from expunge.records import Setting
from expunge.suites.arrays import plain
from expunge.suites.request import Request
from expunge.suites.suite import ForgetSet, Split, Suite
from expunge.user_files import without_folder

Unlearn = Callable[[Ensemble, Split, Any, Generators], Iterator[Ensemble]]
Predict = Callable[[ndarray, Any, Any], ndarray]  # margins of the pretrained models, what was prepared, config


@dataclass(frozen=True, kw_only=True)
class NoSettings:
    """The config of a method that has none."""


@dataclass(frozen=True)
class Preparation:
    """What a method takes out of a store, beside the examples, and finds in ``split.extra``.

    ``load(suite, forget, models, config)`` reads it for these models. What may be missing is known before any work:
    ``require(suite, forget, config)`` raises :class:`~expunge.errors.StoreError`, which names the command that makes
    it; ``plan(suite, forget, config)`` are models that ``expunge build SUITE --for METHOD`` makes, and no other.
    """

    load: Callable[[Suite, ForgetSet, Sequence[int], Any], object]
    require: Callable[[Suite, ForgetSet, Any], None] | None = None
    plan: Callable[[Suite, ForgetSet, Any], Plan] | None = None


@dataclass(frozen=True, kw_only=True)
class Method:
    """One row of METHODS; each method's own file ends with it.

    ``config`` is a frozen dataclass; ``unlearn`` yields the ensemble after each epoch, one that has no epochs yields
    once, and leaves its input as it is. A row that makes no models has ``predict`` in its place, which turns the
    margins of the pretrained models, ``(models, examples)``, into those of unlearned ones. An anchor has neither: its
    row is made of margins that exist already.
    """

    unlearn: Unlearn | None
    predict: Predict | None = None
    config: type = NoSettings
    summary: str
    cite: tuple[str, ...] = ()  # keys of references.toml, the source first
    needs: tuple[Need, ...] = ()  # predicates, asked before any work
    search: Mapping[str, Space] = field(default_factory=dict)  # where tuning looks for settings
    published: tuple[Published, ...] = ()  # where it looks first
    whole_runs: bool = False  # a run of fewer epochs is no beginning of a longer one: steps depend on their number
    prepare: Preparation | None = None
    deviations: str = ""  # what public code does otherwise, and what is done here
    moves_little: str = ""  # why it closes little of any gap, where it was measured to
    ranked: bool = True  # what uses retrained models, or retrains at full cost, has no rank
    handles_frozen: bool = False  # it is handed frozen parts as they are, not held; a method of the user's own
    from_scratch: bool = False  # its cost holds the training of models from their first weights

    @property
    def anchor(self) -> bool:
        return self.unlearn is None and self.predict is None

    @property
    def needed(self) -> tuple[str, ...]:
        """What it needs, in words."""
        return tuple(need.name for need in self.needs)

    @property
    def module(self) -> str:
        """The module that it is written in."""
        made = self.unlearn or self.predict
        return (made.func if isinstance(made, functools.partial) else made).__module__ if made else __name__

    @property
    def references(self) -> dict[str, Reference]:
        """What it cites, by key; :class:`UnknownName` where references.toml lacks a key."""
        for key in self.cite:
            if key not in REFERENCES:
                place = "expunge/methods/references.toml"
                hint = suggestion(key, REFERENCES, f"stand in {place}")
                raise UnknownName(
                    f"the method of {self.module} cites {key!r}, which {place} lacks; add it there, or {hint}"
                )
        return {key: REFERENCES[key] for key in self.cite}

    @property
    def source(self) -> str:
        """The first reference in a few words."""
        return next((each.short for each in self.references.values()), "none")


@dataclass(frozen=True)
class Step:
    """An ensemble after one epoch of unlearning, and what it cost to get there.

    ``cost`` is the share of one retraining, ``seconds`` the wall time for one model; ``alarms`` say why the models are
    not to be read as having forgotten.
    """

    epoch: int
    ensemble: Ensemble
    cost: float
    seconds: float
    alarms: tuple[str, ...] = ()


def configure(name: str, method: Method, settings: Mapping[str, object]) -> Any:
    """The config of ``method`` with ``settings`` in place of its defaults; a wrong one is refused by name."""
    types = typing.get_type_hints(method.config)
    settings = {key: plain(value) for key, value in settings.items()}  # a number of numpy's is as good as Python's
    for key, value in settings.items():
        if key not in types:
            choices = suggestion(key, types) if types else "it has no settings"
            raise UnknownName(f"method {name!r} has no setting {key!r}; {choices}")
        if not _fits(value, types[key]):
            raise BadSetting(f"{name}.{key}: expected {_type_name(types[key])}, got {value!r}")
    try:
        return method.config(**settings)
    except ValueError as error:
        raise BadSetting(f"{name}: {error}") from None


def parse_setting(text: str, wanted: Any) -> Setting:
    """The value that ``text`` spells for a setting of type ``wanted``; the text itself where it spells none."""
    if wanted is bool:
        return {"true": True, "false": False}.get(text.lower(), text)
    for kind in (int, float):
        if wanted in (kind, float):
            try:
                value: Setting = kind(text)
            except ValueError:
                continue
            return value
    return text


def run_method(
    name: str,
    method: Method,
    config: Any,
    ensemble: Ensemble,
    suite: Suite,
    forget: ForgetSet,
    seed: int = 0,
    *,
    limit: float = math.inf,
    timeout: float | None = None,
    gone: ndarray | None = None,
    request: Request | None = None,
) -> Iterator[Step]:
    """Run ``method`` on ``ensemble`` and yield a :class:`Step` per epoch; what it does wrong is a MethodFailed.

    Its examples and its chance are where the ensemble is: no method speaks of devices. One that costs more than
    ``limit``, a share of one retraining, is stopped there; a method of the user's own also when a model takes it longer
    than ``timeout`` seconds. Training examples at ``gone`` were removed from the
    ensemble by earlier requests: a method sees them no more. With a ``request`` the owner's bytes are forgotten, which
    need not be those at the indices of ``forget`` that it claims: a provider that does not compare them.
    """
    unlearn = _runnable(name, method, suite, forget)
    device, models = ensemble.device, ensemble.origin.models
    split = resident_split(suite.split(_claiming(request, forget) if request else forget, gone), device)
    if method.prepare:
        split = replace(split, extra=method.prepare.load(suite, forget, models, config))
    seeds = [seed_of(suite.digest, "unlearn", without_folder(name), forget.digest, model, seed) for model in models]
    rng = Generators(seeds, device)
    teacher = ensemble.copy()
    teacher.chance = Chance(seeds)
    if not method.handles_frozen:
        _hold(teacher, split.extra)
    retraining = 3 * split.retraining * len(ensemble)
    teacher.meter = meter = Meter(most=limit * retraining, seconds=timeout)
    started = time.perf_counter()
    epochs = unlearn(teacher, split, config, rng)
    for epoch in range(1, 10**9):
        student = _next(epochs, meter, limit)
        if student is None:
            return
        student = _released(student)
        _keep_sparse(student, ensemble)
        _require_finite_weights(student, epoch)  # it reads the weights, so a GPU is done when the clock is read
        seconds = (time.perf_counter() - started - meter.away) / len(ensemble)
        cost, alarms = max(meter.units / retraining, meter.cpu / len(ensemble)), meter.alarms
        if ensemble.origin.made:  # it was unlearned before
            seconds, cost = seconds + ensemble.origin.made.seconds, cost + ensemble.origin.made.cost
            alarms = tuple(dict.fromkeys((*ensemble.origin.made.alarms, *alarms)))
        student.origin = replace(
            ensemble.origin,
            kind="unlearned",
            forget_set=forget.key,
            made=Making(name, settings_in(config), seed, epoch, cost, seconds, alarms),
        )
        student.meter = Meter()  # what is done with a result is no cost of the method
        yield Step(epoch, student, cost, seconds, alarms)


def require_needs(name: str, method: Method, suite: Suite, forget_sets: Iterable[ForgetSet]) -> None:
    """Refuse a method whose needs a suite does not meet, before anything is built for it."""
    for forget in forget_sets:
        for need in method.needs:
            if line := need.lacking(suite, forget):
                raise BadSetting(f"{name} {line}")


def _runnable(name: str, method: Method, suite: Suite, forget: ForgetSet) -> Unlearn:
    """What a row runs; one that makes no models is refused, and one whose needs the suite does not meet fails."""
    if method.predict:
        raise BadSetting(
            f"{name!r} predicts margins and makes no models; it can be benched, but not run on an ensemble"
        )
    if method.unlearn is None:
        raise BadSetting(f"{name!r} is an anchor: its row is made of margins, there is nothing to run")
    for need in method.needs:
        if line := need.lacking(suite, forget):
            raise MethodFailed(f"{name} {line}")
    return method.unlearn


def _claiming(request: Request, forget: ForgetSet) -> Request:
    """``request``, refused where it claims others than the forget set by whose name and chance it is served."""
    if not np.array_equal(request.indices, forget.indices):
        raise BadSetting(
            f"expected a request for the {len(forget)} examples of {forget.name!r}, in their order, got one for "
            f"{len(request)}; make a ForgetSet of the indices that it claims"
        )
    return request


def _next(epochs: Iterator[Ensemble], meter: Meter, limit: float) -> Ensemble | None:
    """The ensemble after one more epoch, None after the last."""
    try:
        with (
            one_thread(),
            exact_arithmetic(),
            torch.enable_grad(),
            contextlib.redirect_stdout(sys.stderr),  # stdout is the result's alone
            contextlib.chdir("."),  # back to this folder afterwards, wherever the method goes
        ):
            student = next(epochs, None)
            meter.count(0)  # a method may add to the meter by itself
            return student
    except CostsTooMuch:
        raise MethodFailed(f"costs too much: more than {limit:.1%} of a retraining, the limit") from None
    except (MethodFailed, torch.OutOfMemoryError):  # of a GPU: the same on fewer models may fit
        raise
    except (KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as error:  # a stranger's code: whatever it raises is its row's failure
        raise MethodFailed(f"raised {in_a_line(error)}{_advice_on(error)}") from error


def _advice_on(error: BaseException) -> str:
    """What an error of torch means where it speaks of its own parts; else ""."""
    text = str(error)
    if isinstance(error, RuntimeError) and "erivative for" in text and "not implemented" in text:
        return ": the method differentiates twice, and torch cannot do that to a layer of the network"
    if isinstance(error, RuntimeError) and "does not require grad" in text:
        return ": nothing of what the method trains is used by the network, or not frozen"
    return ""


def _hold(*given: object) -> None:
    """Hold the frozen parts of the ensembles among what a method is given, which are of this run alone."""
    for each in given:
        if isinstance(each, Ensemble):
            hold(each.network)


def _released(student: Ensemble) -> Ensemble:
    """With frozen parts as they were; a copy, for the method may go on with its own."""
    if not frozen_names(student.network):
        return student
    student = student.copy()
    release(student.network)
    return student


def _keep_sparse(student: Ensemble, ensemble: Ensemble) -> None:
    """Whatever a method did, and to whatever copy: sparse models come out as sparse, with the masks they came with."""
    try:
        student.obey(ensemble.masks)
    except BadSetting as error:
        raise MethodFailed(f"returned models that cannot be kept sparse: {error}") from None


def _require_finite_weights(ensemble: Ensemble, epoch: int) -> None:
    floats = [tensor for tensor in ensemble.state().values() if tensor.is_floating_point()]
    finite = [tensor.reshape(len(ensemble), -1).isfinite().all(1) for tensor in floats]
    bad = (~torch.stack(finite).all(0)).nonzero().flatten().tolist()
    if bad:
        numbers = [ensemble.origin.models[row] for row in bad]
        raise MethodFailed(f"diverged: the weights of models {numbers} are not finite after epoch {epoch}")


def _fits(value: object, wanted: Any) -> bool:
    kinds = typing.get_args(wanted) if isinstance(wanted, types.UnionType) else (wanted,)
    if isinstance(value, bool):
        return bool in kinds
    if isinstance(value, int | float) and not math.isfinite(value):
        return False
    return isinstance(value, kinds) or (isinstance(value, int) and float in kinds)


def _type_name(wanted: Any) -> str:
    names = {int: "a whole number", float: "a number", bool: "true or false", str: "a word"}
    return names.get(wanted, str(wanted))
