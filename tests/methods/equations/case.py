"""What a test must know of a method: its equation, its cost, and the traits by which laws hold for it or do not."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple


@dataclass(frozen=True)
class Counts:
    """Sizes that a cost is made of: epochs, retained and forgotten examples, and the epochs of one retraining."""

    epochs: int
    retain: int
    forget: int
    retraining_epochs: int
    classes: int = 10


class Pass(NamedTuple):
    """How a batch goes through a layer of BatchNorm: with autograd recording, and in training mode, or not."""

    recorded: bool
    training: bool


WALK = Pass(recorded=True, training=True)  # a step of a student
TAUGHT = Pass(recorded=False, training=False)  # a teacher's answer, or what a model is found to be
MEASURED = Pass(recorded=True, training=False)  # a gradient, where it is not to depend on a batch
ANSWERED = Pass(recorded=False, training=True)  # a student's own answer, in the statistics of its batch

Settings = Mapping[str, object]


@dataclass(frozen=True)
class Case:
    """``check(name)`` raises AssertionError unless the row ``name`` does what the equation of this method says.

    ``examples`` counts by hand the passes forward and backward of one example through one model; a pass that goes
    forward only is a third of one. What follows are traits, each with what most methods have for a default.
    """

    check: Callable[[str], None]
    examples: Callable[[Counts], float]
    refused: Sequence[Settings] = ()  # each is out of range, with one setting or with several that do not go together

    # What the split that it is checked on has, and what it needs itself.
    convolutions: bool = False  # the network has some
    given: type | None = None  # what its row takes out of a store
    makes_models: bool = True  # else it predicts margins
    own_models: bool = False  # it starts from models that are built for it alone
    searches: bool = False  # beside what is counted it costs what depends on where models err
    votes: bool = False  # its models are votes of networks, and cost what depends on where the forget set lies

    # What it does to models.
    draws_chance: bool = True  # else any seed gives the same models
    last_layers: bool = False  # nothing moves before them
    moves_statistics: bool = True  # of BatchNorm
    passes: frozenset[Pass] = frozenset({WALK})  # all that there are through BatchNorm
    rewinds: bool = False  # an epoch may give the models of an earlier one
    ends_on_forget: bool = False  # its last batches are of what is to be forgotten; BatchNorm may be told to skip them
    smoothed: bool = True  # its loss is that of training, smoothed labels included; else it has other targets, or none

    # Settings with which a law can be seen.
    moving: Settings = field(default_factory=dict)  # with which weights move at all on digits
    still: Settings = field(default_factory=dict)  # with which, beside a rate of nothing, a step goes nowhere
    beside: Mapping[str, Settings] = field(default_factory=dict)  # of a setting: those beside which alone it counts
    words: Settings = field(default_factory=dict)  # of a setting that is a word: another that is allowed

    # Of a certified method.
    claimed: frozenset[str] = frozenset()  # settings that change what is claimed, and need not move a weight
    allowed: frozenset[str] = frozenset()  # settings that only say what is refused
