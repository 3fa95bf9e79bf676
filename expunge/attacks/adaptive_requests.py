"""Adaptive requests: what is asked for depends on what was released before, and so a later release tells what is gone.

Somebody has one of two known records removed; which one is the secret. A second owner compares the releases before and
after, guesses as in deletion inference, and then asks for records of its own: of the class of the record that it
believes gone. An observer sees the last release alone, in which neither removed record has a part any more, and names
the class that has suffered. Requests that were fixed in advance tell it nothing; those that answer a release do, even
where every removal is exact: the removed record lives on in the choice of the others.

On digits, 80 models (100 to 179), first-order update: the last release tells 0.88 +- 0.07 of them (the second owner has
read 0.99 rightly), 0.53 +- 0.11 where requests were fixed in advance. By exact retraining 0.49 +- 0.11, for there one
record is not read off two releases (0.50); a second owner who knows the record writes it into retrained releases too,
0.93 +- 0.06: what carries it is the choice of requests, and no exactness of removal helps.

Chourasia and Shah 2023, arXiv:2210.08911, who show that unlearning is no deletion under adaptive requests and cached
state; what was at hand are its abstract and summaries. This game, its reader and its observer are made here.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from expunge.attacks.attack import Attack, Success
from expunge.attacks.deletion_inference import LEAD, changes_of
from expunge.attacks.lab.arms import ATTACK as ATTACKED
from expunge.attacks.lab.arms import HONEST, ITSELF, NO_REQUEST, ORACLE, UNPERTURBED, Played, completed, failed
from expunge.attacks.lab.owners import of_each, owned_by_attackers, require_budget
from expunge.attacks.lab.provider import ATTACKER, Provider, Served, as_they_lie, correct_on_test, honest_request
from expunge.attacks.lab.request_play import Measured, arm
from expunge.attacks.lab.settings import Lab
from expunge.attacks.practice import USUAL, Practice
from expunge.attacks.shadow_pairs import require_shadows
from expunge.attacks.suspects import answers
from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.seeds import seed_of
from expunge.ensembles.train import measure as margins_of
from expunge.errors import BadSetting, MethodFailed
from expunge.methods import find_method
from expunge.suites.request import Request
from expunge.suites.suite import Suite

RELEASES, RECORD = "releases", "record"
READ = "read-right"


@dataclass(frozen=True, kw_only=True)
class AdaptiveRequests(Lab):
    """Settings: the second owner has a share ``owned`` of the data and asks for ``budget`` records.

    It ``reads`` the secret off the releases, or knows the record that was removed. With ``adaptive=false`` its requests
    are fixed in advance. The observer knows how ``shadows`` other models do on each class.
    """

    models: int = 40  # of yes and no, ten tell little
    budget: int = 60
    owned: float = 0.6
    reads: str = RELEASES
    adaptive: bool = True
    shadows: int = 10

    def __post_init__(self) -> None:
        if self.reads not in (RELEASES, RECORD):
            raise ValueError(f"reads must be one of {RELEASES}, {RECORD}, got {self.reads!r}")


def check(suite: Suite, config: AdaptiveRequests) -> None:
    """Refuse what cannot be, before any work."""
    require_budget(suite, config.budget, config.owned)
    require_shadows(suite, config.models, config.shadows)
    lacking = np.setdiff1d(np.arange(suite.data.classes), suite.data.test.y.numpy())
    if len(lacking):
        raise BadSetting(
            f"suite {suite.name!r} has no test examples of class {lacking[0]}, by which an observer sees how a model "
            "does on it; attack a suite that has"
        )
    for each in config.methods:
        prepare = find_method(each.method).prepare
        if prepare is not None and prepare.plan is not None:
            raise BadSetting(
                f"{each.method!r} takes back at once all that was ever asked for: it knows no rounds; choose another "
                "--method"
            )


@dataclass(frozen=True, eq=False)
class Secrets:
    """Of each victim two records of different classes, of which the one at ``gone`` is removed; what the second owner
    has; and what it asks for where it fixes that in advance."""

    pairs: Int[ndarray, "victims 2"]
    gone: Int[ndarray, " victims"]
    owned: Int[ndarray, "victims owned"]
    fixed: Sequence[Request]

    @property
    def first(self) -> list[ndarray]:
        """What the first request removes."""
        return [pair[[bit]] for pair, bit in zip(self.pairs, self.gone, strict=True)]


def secrets_of(provider: Provider, config: AdaptiveRequests) -> Secrets:
    """Drawn uniformly in the world of each victim; the two records are not the second owner's."""
    suite, pairs, gone = provider.suite, [], []
    labels, owned = suite.data.train.y.numpy(), owned_by_attackers(provider, config.owned, config.seed)
    for own, model in zip(owned, provider.models, strict=True):
        rng = np.random.default_rng(seed_of(suite.digest, "secret", config.seed, model))
        free = rng.permutation(np.setdiff1d(np.arange(len(labels)), own))
        pairs.append([free[0], free[labels[free] != labels[free[0]]][0]])
        gone.append(rng.integers(2))
    fixed = [
        honest_request(suite, own, config.budget, config.seed, model)
        for own, model in zip(owned, provider.models, strict=True)
    ]
    return Secrets(np.array(pairs), np.array(gone), owned, fixed)


@dataclass(eq=False)
class Owner:
    """The second owner: what it asks for of each victim, by the releases it has seen, and what it read there."""

    suite: Suite
    config: AdaptiveRequests
    secrets: Secrets
    asked: list[Request] = field(default_factory=list)
    read: list[int] = field(default_factory=list)
    practice: Practice = USUAL

    def ask(self, before: Ensemble, after: Ensemble) -> list[Request]:
        """Records of the class of the record that it believes gone, of its own; others of its own where they lack."""
        guesses = self.guess(before, after) if self.config.reads == RELEASES else self.secrets.gone
        self.read = [int(each) for each in guesses]
        if not self.config.adaptive:
            self.asked = list(self.secrets.fixed)
            return self.asked
        labels = self.suite.data.train.y.numpy()
        self.asked = []
        for own, pair, guess in zip(self.secrets.owned, self.secrets.pairs, self.read, strict=True):
            ordered = own[np.argsort(labels[own] != labels[pair[guess]], kind="stable")]
            self.asked.append(as_they_lie(self.suite, ordered[: self.config.budget], ATTACKER))
        return self.asked

    def guess(self, before: Ensemble, after: Ensemble) -> Int[ndarray, " victims"]:
        """Which record's label has lost more of its lead, as in deletion inference."""
        train, rows = self.suite.data.train, self.secrets.pairs
        lost = changes_of(before, after, of_each(train.x, rows), of_each(train.y, rows), self.practice)[LEAD]
        found: ndarray = lost.argmax(1)
        return found


def play(provider: Provider, config: AdaptiveRequests) -> Played:
    """Two requests of each victim, the second by what the first has changed; and what the observer makes of the last
    release."""
    started = time.perf_counter()
    suite, secrets = provider.suite, secrets_of(provider, config)
    usual = usual_margins(provider, config.shadows)
    effort = np.full(len(provider.models), (time.perf_counter() - started) / len(provider.models))
    first = [as_they_lie(suite, rows, "another") for rows in secrets.first]
    owner, exact = (Owner(suite, config, secrets, practice=provider.practice) for _ in range(2))
    try:
        released = provider.serve(first)
        owner.ask(provider.victims, released.ensemble)
    except MethodFailed as error:
        return failed(secrets.fixed, str(error))

    def then(requests: Sequence[Request]) -> Served:
        after = provider.serve(requests, start=released.ensemble, gone=secrets.first)
        return Served(after.ensemble, released.cost + after.cost, released.seconds + after.seconds)

    ways: dict[str, tuple[Callable[[], Served], Owner | None]] = {
        ATTACKED: (lambda: then(owner.asked), owner),
        NO_REQUEST: (lambda: released, None),
        HONEST: (lambda: then(secrets.fixed), owner),
        ORACLE: (lambda: _exactly(provider, first, exact), exact),
    }
    arms = {
        name: arm(provider.victims, way, partial(measure, suite, secrets, usual, who, practice=provider.practice))
        for name, (way, who) in ways.items()
        if provider.plays(name)
    }
    return Played(completed({UNPERTURBED: arms[ATTACKED], **arms}), owner.asked, effort)


def _exactly(provider: Provider, first: Sequence[Request], owner: Owner) -> Served:
    """Both requests by retraining: the second answers a release that was retrained."""
    second = owner.ask(provider.victims, provider.retrained(first).ensemble)
    both = [
        as_they_lie(provider.suite, np.concatenate([one.indices, other.indices]), ATTACKER)
        for one, other in zip(first, second, strict=True)
    ]
    return provider.retrained(both)


def usual_margins(provider: Provider, shadows: int) -> Float[ndarray, " classes"]:
    """The mean margin on test examples of each class, of models of the observer's own: the suite's last ones."""
    models = range(provider.suite.models - shadows, provider.suite.models)
    found: ndarray = class_margins(provider.suite, provider.of(models).victims, provider.practice).mean(0)
    return found


def class_margins(suite: Suite, models: Ensemble, practice: Practice = USUAL) -> Float[ndarray, "models classes"]:
    """The mean margin of what each model is heard to say of the test examples of each class, nats."""
    labels = suite.data.test.y.numpy()
    if practice.tells is None:
        margins = margins_of(models, suite.data)[0].double().numpy()[:, suite.data.sizes[0] :]
    else:
        x = suite.data.test.x.unsqueeze(0).expand(len(models), *suite.data.test.x.shape)
        margins = suite.target.margins(answers(models, x, practice), suite.data.test.y).numpy()
    return np.stack([margins[:, labels == label].mean(1) for label in range(suite.data.classes)], axis=1)


def measure(
    suite: Suite,
    secrets: Secrets,
    usual: Float[ndarray, " classes"],
    owner: Owner | None,
    before: Ensemble,
    after: Ensemble,
    *,
    practice: Practice = USUAL,
) -> Measured:
    """Whether the observer names the removed record by the last release: the one whose class lies further below what
    is usual; and whether the second owner had read it rightly."""
    below = class_margins(suite, after, practice) - usual
    classes = suite.data.train.y.numpy()[secrets.pairs]
    named = np.take_along_axis(below, classes, axis=1).argmin(1)
    right = (named == secrets.gone).astype(np.float64)
    read = np.full(len(right), 0.5) if owner is None else (np.array(owner.read) == secrets.gone).astype(np.float64)
    return Measured(right, correct_on_test(after, suite, practice).mean(1), {READ: read})


ATTACK = Attack(
    play=play,
    check=check,
    config=AdaptiveRequests,
    success=Success("share of victims whose last release tells which of two records was removed; chance one half"),
    reads="answers",
    served="in rounds",
    idle={"adaptive": False},
    arms={
        NO_REQUEST: "the second owner asks for nothing: the last release is the first",
        HONEST: "the second owner's requests are fixed in advance",
        UNPERTURBED: ITSELF,
        ORACLE: "both requests by retraining; the second answers a release that was retrained",
    },
    example="digits",
    summary="requests that answer earlier releases write into later ones what was removed",
    roles=("requester", "model user"),
    goal="privacy",
    knowledge="grey box",
    phases=("unlearning", "after unlearning"),
    cite=("chourasia2023",),
)
