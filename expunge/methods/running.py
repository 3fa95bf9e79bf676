"""How a method is run: on copies, checked and metered."""

import contextlib
import math
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy import ndarray

from expunge.ensembles.chance import Chance
from expunge.ensembles.device import exact_arithmetic, resident_split, work_clock
from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.frozen import frozen_names, hold, release
from expunge.ensembles.origin import Making, Meter
from expunge.ensembles.seeds import Generators, seed_of
from expunge.errors import BadSetting, CostsTooMuch, MethodFailed, in_a_line
from expunge.jobs import one_thread
from expunge.methods.method import Method, Step, Unlearn
from expunge.methods.settings import settings_in
from expunge.suites.request import Request
from expunge.suites.suite import ForgetSet, Suite
from expunge.user_files import without_folder


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
    if not method.own:
        _hold(teacher, split.extra)
    retraining = 3 * split.retraining * len(ensemble)
    teacher.meter = meter = Meter(most=limit * retraining, seconds=timeout)
    watch = _Stopwatch(method, ensemble, meter)
    with watch:
        epochs = unlearn(teacher, split, config, rng)
    for epoch in range(1, 10**9):
        with watch:
            student = _next(epochs, meter, limit)
            if student is None:
                return
            student = _released(student)
            _keep_sparse(student, ensemble)
            _require_finite_weights(student, epoch)
        seconds = watch.seconds
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


class _Stopwatch:
    """The seconds that a method takes for one model: of its work, and none of what is done between two epochs.

    Of the user's own, which may start threads and processes, all that passed, but for what the meter says was away.
    """

    def __init__(self, method: Method, ensemble: Ensemble, meter: Meter) -> None:
        self._clock = time.perf_counter if method.own else work_clock(ensemble.device)
        self._own, self._models, self._meter = method.own, len(ensemble), meter
        self._first = self._began = self._clock()
        self._took = 0.0

    def __enter__(self) -> None:
        self._began = self._clock()

    def __exit__(self, *_: object) -> None:
        self._took += self._clock() - self._began

    @property
    def seconds(self) -> float:
        took = self._clock() - self._first - self._meter.away if self._own else self._took
        return took / self._models


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
