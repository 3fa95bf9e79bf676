"""Membership from a pair of models: what a model says of a record before and after tells that the record was removed.

The attacker asks the model before and the model after the removal about a record, and tells from both answers whether
it was among the removed or never in training. A classifier learns that from pairs of the attacker's own, see
:mod:`expunge.attacks.shadow_pairs`: pairs of the provider's method; for the oracle, of retraining. Beside it stand the
same classifiers that see one model alone.

On digits, whose models generalise, the effect does not show: over 10 models and 50 records each, removed by the
first-order update, the pair has an AUC of 0.558 +- 0.062, the model before alone 0.553 +- 0.053, and the pair where
others were removed 0.545 +- 0.052 (95 % intervals; models 100 to 109). It does on models that fit random labels by
heart: after retraining, over 6 models, the pair has 0.78 +- 0.07, the model after alone 0.54 +- 0.05, the model before
alone 0.55 +- 0.06; a test holds the first two apart. The paper's abstract has the effect largest where models
generalise well, of which nothing is seen here: of single removals (``budget=1``, 50 shadow pairs, sorted-diff,
models 100 to 149) the pair has 0.68 +- 0.15, others removed 0.54 +- 0.16, the model before alone 0.60 +- 0.16, which
cannot be told apart.

Chen et al. 2021, doi:10.1145/3460120.3484756: posteriors, five features, a classifier; ``DegCount`` and ``DegRate``.
Public code was read, not copied. The paper removes one record at a time by default; here ``budget`` are at once, its
group deletion, so that a victim has an AUC; features are standardised, which the code does not do.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from expunge.attacks.attack import Attack, Success
from expunge.attacks.lab.arms import Arm, Played, failed
from expunge.attacks.lab.provider import Provider, correct_on_test
from expunge.attacks.lab.request_play import Measured, arm, play_requests
from expunge.attacks.practice import USUAL, Practice
from expunge.attacks.shadow_pairs import Pairs, records_of, require_shadows, shadow_pairs
from expunge.attacks.suspects import (
    ARMS,
    OTHERS,
    Privacy,
    Suspects,
    answers,
    requests_about,
    require_suspects,
    suspects_of,
)
from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.seeds import seed_of
from expunge.errors import MethodFailed
from expunge.suites.request import Request
from expunge.suites.suite import Suite

Posteriors = Float[ndarray, "models n c"]
Seen = Callable[[Suite, Pairs], dict[str, ndarray]]  # what each classifier sees of records, (models, n, d) each
UNLEARNED, ORIGINAL, PAIR = "auc-unlearned-alone", "auc-original-alone", "pair"
COUNT, RATE = "deg-count", "deg-rate"
CLASSIFIERS = ("logistic-regression", "random-forest")
TREES = 100


def _sorted(before: Posteriors, after: Posteriors) -> tuple[Posteriors, Posteriors]:
    """Classes in the order in which the model before finds them likely, for both."""
    order = before.argsort(axis=-1)
    return np.take_along_axis(before, order, -1), np.take_along_axis(after, order, -1)


def _concat(before: Posteriors, after: Posteriors) -> Float[ndarray, "models n d"]:
    return np.concatenate([before, after], axis=-1)


def _diff(before: Posteriors, after: Posteriors) -> Posteriors:
    found: ndarray = before - after
    return found


FEATURES: dict[str, Callable[[Posteriors, Posteriors], Float[ndarray, "models n d"]]] = {
    "direct-concat": _concat,
    "sorted-concat": lambda before, after: _concat(*_sorted(before, after)),
    "direct-diff": _diff,
    "sorted-diff": lambda before, after: _diff(*_sorted(before, after)),
    "l2": lambda before, after: np.linalg.norm(before - after, axis=-1, keepdims=True),
}


@dataclass(frozen=True, kw_only=True)
class PairMembership(Privacy):
    """Settings: of ``budget`` records removed, and as many never seen, ``features`` of both posteriors.

    ``classifier`` learns from ``shadows`` pairs. ``removed=others`` asks about suspects of whom nothing was removed.
    """

    budget: int = 50
    features: str = "sorted-concat"
    classifier: str = "logistic-regression"
    shadows: int = 10

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.features not in FEATURES:
            raise ValueError(f"features must be one of {', '.join(FEATURES)}, got {self.features!r}")
        if self.classifier not in CLASSIFIERS:
            raise ValueError(f"classifier must be one of {', '.join(CLASSIFIERS)}, got {self.classifier!r}")


def check(suite: Suite, config: PairMembership) -> None:
    """Refuse what cannot be, before any work."""
    require_suspects(suite, config.budget)
    require_shadows(suite, config.models, config.shadows)


def play(provider: Provider, config: PairMembership) -> Played:
    """Learn from shadow pairs, then ask each victim about its suspects, after each arm."""
    return play_inference(provider, config, config.budget, partial(learned_by, provider, config))


def partly(provider: Provider, config: PairMembership, requests: Sequence[Request | None]) -> Arm:
    """What the attack comes to where a defence let a part of each request through: of all suspects, those too that
    were held back and stay."""
    return partly_inference(provider, config, config.budget, partial(learned_by, provider, config), requests)


def learned_by(provider: Provider, config: PairMembership) -> "list[Inference]":
    """What the attacker learns from shadow pairs of the provider's method, and of retraining."""
    both = shadow_pairs(provider, config.budget, config.shadows, config.seed)
    seen = PosteriorsOf(config.features, provider.practice)
    return [Inference.learned(provider.suite, pairs, seen, config.classifier, config.seed) for pairs in both]


@dataclass(frozen=True, eq=False)
class Inference:
    """Classifiers that were fitted on shadow pairs: of the pair, and of each model alone.

    ``seen`` gives what each sees of the records of pairs, by name: PAIR, UNLEARNED and ORIGINAL.
    """

    seen: Seen
    fitted: dict[str, Any]

    @classmethod
    def learned(cls, suite: Suite, pairs: Pairs, seen: Seen, kind: str, seed: int) -> "Inference":
        """Fitted on these pairs: a record that was removed is a 1, one that was never in training a 0."""
        drawn = seed_of(suite.digest, "pair membership", seed) % 2**32
        member = np.tile(_members(pairs.suspects), len(pairs.before))
        fitted = {
            name: classifier(kind, drawn).fit(x.reshape(-1, x.shape[-1]), member)
            for name, x in seen(suite, pairs).items()
        }
        return cls(seen, fitted)

    def confidence(self, suite: Suite, pairs: Pairs) -> dict[str, Float[ndarray, "models n"]]:
        """How sure each classifier is that a record was removed, 0 to 1."""
        found = {}
        for name, x in self.seen(suite, pairs).items():
            sure = self.fitted[name].predict_proba(x.reshape(-1, x.shape[-1]))[:, 1]
            found[name] = sure.reshape(x.shape[:2])
        return found


def classifier(name: str, seed: int) -> Any:
    """A classifier of scikit-learn, not fitted yet; logistic regression on standardised features."""
    if name == "random-forest":
        from sklearn.ensemble import RandomForestClassifier  # half a second to import

        return RandomForestClassifier(TREES, min_samples_leaf=5, random_state=seed)
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))


def _members(suspects: Suspects) -> ndarray:
    found: ndarray = np.repeat([True, False], [suspects.seen.shape[1], suspects.unseen.shape[1]])
    return found


@dataclass(frozen=True)
class PosteriorsOf:
    """Posteriors of records as they are told, of both models by one of FEATURES, or of one."""

    features: str
    practice: Practice = USUAL

    def __call__(self, suite: Suite, pairs: Pairs) -> dict[str, Float[ndarray, "models n _d"]]:
        """What each classifier sees."""
        x, _ = records_of(suite, pairs.suspects)
        before, after = (
            answers(models, x, self.practice).softmax(-1).numpy() for models in (pairs.before, pairs.after)
        )
        alone = np.asarray if self.features.startswith("direct") else np.sort
        return {PAIR: FEATURES[self.features](before, after), UNLEARNED: alone(after), ORIGINAL: alone(before)}


def measure(
    suite: Suite,
    suspects: Suspects,
    learned: Sequence[Inference],
    before: Ensemble,
    after: Ensemble,
    *,
    practice: Practice = USUAL,
) -> Measured:
    """The AUC of the pair, of each model alone, and what the pair adds to the attack on the model before."""
    inference = learned[after.origin.kind == "oracle"]
    member = _members(suspects)
    sure = inference.confidence(suite, Pairs(before, after, suspects))
    found = {name: auc_of_each_row(each[:, member], each[:, ~member]) for name, each in sure.items()}
    count, rate = degradation(sure[PAIR], sure[ORIGINAL], member)
    success = found.pop(PAIR)
    return Measured(success, correct_on_test(after, suite, practice).mean(1), {**found, COUNT: count, RATE: rate})


def auc_of_each_row(
    mine: Float[ndarray, "victims n"], others: Float[ndarray, "victims m"]
) -> Float[ndarray, " victims"]:
    """The chance that one of ``mine`` is above one of the ``others``, ties counting half; 0.5 is guessing.

    >>> auc_of_each_row(np.array([[1.0, 3.0]]), np.array([[0.0, 2.0]]))
    array([0.75])
    """
    above = mine[:, :, None] - others[:, None, :]
    found: ndarray = ((above > 0) + 0.5 * (above == 0)).mean((1, 2))
    return found


def degradation(
    pair: Float[ndarray, "victims n"], alone: Float[ndarray, "victims n"], member: ndarray
) -> tuple[Float[ndarray, " victims"], Float[ndarray, " victims"]]:
    """DegCount, the share of records of which the pair is surer of the truth than the model before alone, and DegRate,
    by how much on average: of the probability, removed or not, that is true.

    Source: Chen et al. 2021; that records never seen count too, by the probability that they were not removed, is what
    the public code does.

    >>> degradation(np.array([[0.9, 0.5]]), np.array([[0.5, 0.25]]), np.array([True, False]))
    (array([0.5]), array([0.075]))
    """
    gain = np.where(member, pair - alone, alone - pair)
    return (gain > 0).mean(1), gain.mean(1)


def play_inference(provider: Provider, config: Privacy, budget: int, learn: Callable[[], list[Inference]]) -> Played:
    """What is learned from shadow pairs, asked about ``budget`` suspects of each victim, after each arm."""
    started = time.perf_counter()
    suspects = suspects_of(provider, budget, config.seed)
    attack, honest = requests_about(provider, suspects.seen, config.removed, config.seed)
    try:
        learned = learn()
    except MethodFailed as error:
        return failed(attack, f"on shadow models: {error}")
    effort = np.full(len(provider.models), (time.perf_counter() - started) / len(provider.models))
    look = partial(measure, provider.suite, suspects, learned, practice=provider.practice)
    return play_requests(provider, attack, honest, look, effort)


def partly_inference(
    provider: Provider,
    config: Privacy,
    budget: int,
    learn: Callable[[], list[Inference]],
    requests: Sequence[Request | None],
) -> Arm:
    """The same where parts of the requests are served, of all suspects."""
    try:
        learned = learn()
    except MethodFailed as error:
        return Arm(reason=f"on shadow models: {error}")
    suspects = suspects_of(provider, budget, config.seed)
    return arm(provider.victims, lambda: provider.serve(requests), partial(measure, provider.suite, suspects, learned))


ATTACK = Attack(
    play=play,
    check=check,
    config=PairMembership,
    success=Success(
        "AUC at which removed records are told from records that were never in training; chance 0.5", share=False
    ),
    reads="answers",
    idle={"removed": OTHERS},
    arms=ARMS,
    partly=partly,
    example="digits",
    summary="answers before and after tell which records were removed",
    roles=("requester", "model user"),
    goal="privacy",
    knowledge="black box",
    phases=("after unlearning",),
    cite=("chen2021",),
)
