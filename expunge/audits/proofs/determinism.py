"""What cannot be done again as it was: operations without a deterministic algorithm, and chance that nobody records.

A provider may record in torch's deterministic mode, and the bundle says so; it is replayed in that mode then. Dropout
of an ensemble is no chance in this sense: its draws follow from a seed that is in the bundle.
"""

import contextlib
import random
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from expunge.audits.proofs.bundle import Bundle
from expunge.audits.proofs.finding import Finding
from expunge.audits.proofs.replay import Replayer, Segment
from expunge.ensembles.chance import Chance
from expunge.ensembles.device import device_name
from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.train import loss_of
from expunge.errors import NonDeterministic
from expunge.suites.suite import Suite

_REFUSED = re.compile(r"^(\S+) does not have a deterministic implementation")
_BLAS = "CUBLAS_WORKSPACE_CONFIG"
SOME = 8  # records, enough to see what a network does with them
UNNAMED = "something that differs from one pass to the next"


@contextlib.contextmanager
def deterministic_mode(wanted: bool = True) -> Iterator[None]:
    """Within, torch takes deterministic algorithms alone; whatever happens, its settings are given back.

    :class:`~expunge.errors.NonDeterministic`, which names the operation, where torch has none for it.
    """
    if not wanted:
        yield
        return
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(True)
    try:
        yield
    except RuntimeError as error:
        if told := _refusal(str(error)):
            raise NonDeterministic(told) from None
        raise
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])


def in_deterministic_mode() -> bool:
    """Whether torch refuses, and does not only warn of, operations without a deterministic algorithm."""
    return torch.are_deterministic_algorithms_enabled() and not torch.is_deterministic_algorithms_warn_only_enabled()


def _refusal(said: str) -> str:
    """What torch said of an operation that its deterministic mode refuses, in a line; "" where it said another thing.

    >>> _refusal("put_ does not have a deterministic implementation, but you set ...").partition(";")[0]
    'torch has no deterministic algorithm for operation put_'
    """
    if found := _REFUSED.match(said):
        return (
            f"torch has no deterministic algorithm for operation {found[1]}; do without the deterministic mode, or "
            "without the operation"
        )
    if _BLAS in said:
        return (
            "torch has no deterministic algorithm for matrix products on this GPU as it is set up; set "
            f"{_BLAS}=:4096:8 in the environment, or do without the deterministic mode"
        )
    return ""


class Draws(TorchDispatchMode):
    """Within, the operations are noted that draw from torch's generators: it is torch that says which do."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Not: to skip its compiler, torch imports it, which takes a second and 70 MB."""
        return False

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.names: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if torch.Tag.nondeterministic_seeded in func.tags:
            self.names.append(func.name().partition(".")[0])  # without the overload
        return func(*args, **(kwargs or {}))


def require_repeatable(suite: Suite, first: Ensemble, deterministic: bool) -> None:
    """Refuse, before anything is trained, a network whose steps nobody could do again: one that draws by chance what no
    bundle records or, where torch's ``deterministic`` mode is asked for, has an operation that this refuses.
    """
    examples = suite.data.train
    x, y = (part[None, : min(SOME, suite.recipe.batch_size)].to(first.device) for part in (examples.x, examples.y))

    def model() -> Ensemble:
        copy = first.copy().train()
        copy.chance = Chance(list(first.chance.seeds))
        return copy

    if name := what_draws(lambda: model()(x)):
        raise NonDeterministic(told_of_chance(suite, name))
    with deterministic_mode(deterministic):
        if deterministic:
            loss_of(suite.recipe, suite.target)(model(), (x, y)).sum().backward()


def told_of_chance(suite: Suite, name: str) -> str:
    """What is wrong with a network that draws, in a line."""
    return (
        f"the network of suite {suite.name!r} draws by chance, by {name}, and no proof records that: its steps cannot "
        "be done again; take torch.nn.Dropout, whose draws follow from a recorded seed, or do without"
    )


def what_draws(once: Callable[[], Tensor]) -> str:
    """What a pass draws by chance that nobody records, by the name of the first; "" where it draws nothing.

    Of torch its own operations are seen; of others that a second pass differs, and which of the generators that all
    share, numpy's and Python's, were drawn from. Generators are given back as they were.
    """
    with _generators_kept() as moved, torch.no_grad():
        with Draws() as drawn:
            one = once()
        names: list[str] = [*drawn.names, *moved(), UNNAMED]
        alike: bool = torch.allclose(one, once(), rtol=1e-4, equal_nan=True)
    return "" if alike and not drawn.names else names[0]


@contextlib.contextmanager
def _generators_kept() -> Iterator[Callable[[], list[str]]]:
    """The generators that all share are as they were afterwards; within one can ask which were drawn from."""
    places, state = np.random.get_state(), random.getstate()  # noqa: NPY002 (of a stranger's code)

    def moved() -> list[str]:
        now = np.random.get_state()  # noqa: NPY002
        by_numpy = any(not np.array_equal(one, other) for one, other in zip(places, now, strict=True))
        return ["numpy.random"] * by_numpy + ["Python's random"] * (random.getstate() != state)

    try:
        yield moved
    finally:
        np.random.set_state(places)  # noqa: NPY002
        random.setstate(state)


def check_determinism(replayer: Replayer, segment: Segment, asked: bool) -> tuple[list[Finding], bool]:
    """What stands against doing the steps again, by the names of operations; and whether to do it in torch's mode.

    That is where the bundle says that it was recorded so, and no operation is refused here.
    """
    bundle, found = replayer.bundle, list[Finding]()
    if name := what_draws(lambda: _pass(replayer, segment)):
        found.append(Finding("chance", "INCONCLUSIVE", told_of_chance(replayer.suite, name)))
    if not bundle.manifest.deterministic:
        reason = "the bundle does not say that it was recorded in torch's deterministic mode, which was asked for"
        return [*found, *[Finding("determinism", "FAIL", reason)] * asked], False
    try:
        with deterministic_mode():
            replayer.ended([segment], replayer.batches([segment]))
    except NonDeterministic as error:
        return [*found, _refused(bundle, str(error))], False
    reason = "torch's deterministic mode, in which the bundle says it was recorded, refuses no operation"
    return [*found, Finding("determinism", "PASS", reason)], True


def _pass(replayer: Replayer, segment: Segment) -> Tensor:
    """The outputs of one forward pass in training mode, from the first state of a segment."""
    bundle = replayer.bundle
    ensemble = replayer.stacked(bundle.states([segment.start]), bundle.step_of(segment.start))
    rows = torch.as_tensor(replayer.batches([segment])[0].astype(np.int64))
    outputs: Tensor = ensemble(replayer.suite.data.train.x[rows])
    return outputs


def _refused(bundle: Bundle, why: str) -> Finding:
    """A claim that cannot be true where it was made on a device and a torch as here; else nobody can tell."""
    facts = bundle.manifest.facts
    here = (device_name(torch.device("cpu")), torch.__version__)
    said = f"the bundle says that it was recorded in torch's deterministic mode, but {why.partition(';')[0]}"
    if (facts.device, facts.torch) == here:
        return Finding("determinism", "FAIL", said)
    return Finding("determinism", "INCONCLUSIVE", f"{said} here; there it was torch {facts.torch} on {facts.device}")
