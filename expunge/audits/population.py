"""Attacks with one threshold for all examples, as most papers on unlearning run them: they miss what LiRA finds."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from scipy.special import log_softmax, logsumexp, softmax

from expunge.audits.audit import Audit, Audited
from expunge.audits.evidence import Evidence, Side
from expunge.audits.game import Game, auc
from expunge.audits.membership import BETTER, ORACLE, TWO_SIDED, UNIT, attack, record
from expunge.audits.outputs import signals_of
from expunge.metrics.modified_entropy import modified_entropy

AGAINST_TEST = "auc-test"


def loss(margins: Float[ndarray, "*models examples"]) -> Float[ndarray, "*models examples"]:
    """``-log p_y = log(1 + exp(-margin))``, nats, of each example and model; members of a training set have low ones.

    Args:
        margins: ``log p_y - log(1 - p_y)``, one row per model.

    Source: Yeom et al. 2018, arXiv:1709.01604.

    >>> loss(np.array([[0.0, 100.0]])).round(4)
    array([[0.6931, 0.    ]])
    """
    result: ndarray = np.logaddexp(0, -margins)
    return result


def label_only(correct: Bool[ndarray, "models examples"]) -> Float[ndarray, "models examples"]:
    """1 where the first choice of a model is the label, else 0: all that is seen where no probability is shown.

    Its AUC is 0.5 plus half of the difference in accuracy. At a low false positive rate it finds nobody, unless others
    are nearly always wrong.

    Source: the gap attack of Yeom et al. 2018, arXiv:1709.01604.

    >>> label_only(np.array([[True, False]]))
    array([[1., 0.]])
    """
    return correct.astype(np.float64)


def confidence(
    logits: Float[ndarray, "outputs classes"], labels: Int[ndarray, " outputs"]
) -> Float[ndarray, " outputs"]:
    """``log p_1 - log(1 - p_1)`` of the most probable class, whichever it is; members are surer.

    It orders as the largest probability does, and does not saturate. Labels are not looked at.

    Source: Salem et al. 2019, arXiv:1806.01246.

    >>> confidence(np.array([[2.0, 0.0], [0.0, 2.0]]), np.array([0, 0]))
    array([2., 2.])
    """
    ordered = np.sort(logits, axis=1)
    result: ndarray = ordered[:, -1] - logsumexp(ordered[:, :-1], axis=1)
    return result


def entropy(logits: Float[ndarray, "outputs classes"], labels: Int[ndarray, " outputs"]) -> Float[ndarray, " outputs"]:
    """``sum of p_i log p_i``, nats: minus the entropy of the prediction; members are surer. Labels are not looked at.

    Source: Salem et al. 2019, arXiv:1806.01246.

    >>> entropy(np.array([[0.0, 0.0]]), np.array([0])).round(4)
    array([-0.6931])
    """
    logs = log_softmax(logits, axis=1)
    result: ndarray = (np.exp(logs) * logs).sum(axis=1)
    return result


def surprise(logits: Float[ndarray, "outputs classes"], labels: Int[ndarray, " outputs"]) -> Float[ndarray, " outputs"]:
    """Minus the modified entropy, of :func:`~expunge.metrics.modified_entropy.modified_entropy`, of float64 softmax.

    Source: Song and Mittal 2021, arXiv:2003.10595, as it is there, not as much public code has it.

    >>> surprise(np.log([[0.5, 0.25, 0.25]]), np.array([0])).round(4)
    array([-0.4904])
    """
    found: ndarray = -modified_entropy(softmax(logits.astype(np.float64), axis=1), labels)
    return found


SIGNALS = {"confidence": confidence, "entropy": entropy, "modified-entropy": surprise}


def _from_outputs(name: str) -> Callable[[Evidence], Audited]:
    def scores(evidence: Evidence) -> Audited:
        return population(evidence, name, lambda side: signals_of(evidence, side, SIGNALS)[name])

    return scores


def loss_scores(evidence: Evidence) -> Audited:
    """Low loss, high score."""

    def signal(side: Side) -> tuple[ndarray, ndarray]:
        # the margin orders as the loss does, and has no ties where the loss is 0 in float64
        return evidence.margins(side), evidence.test_margins(side)

    return population(evidence, "loss", signal)


def label_only_scores(evidence: Evidence) -> Audited:
    """Right, high score."""

    def signal(side: Side) -> tuple[ndarray, ndarray]:
        test = evidence.side(side).correct
        assert test is not None
        return label_only(evidence.correct(side)), label_only(test[:, evidence.row.columns["test"]])

    return population(evidence, "label-only", signal)


def population(
    evidence: Evidence,
    name: str,
    signal: Callable[[Side], tuple[Float[ndarray, "models forget"], Float[ndarray, "models test"]]],
    module: str = __name__,
) -> Audited:
    """The records of an attack whose scores on forget and on test examples are ``signal(side)``.

    Against oracles, like all; and against test examples of the same model, as papers do. That is no game that an
    oracle plays at 0.5: examples to forget may be harder than test examples, and the record says what oracles get.
    """

    def games(side: Side) -> list[Game]:
        return [Game.against(signal(side)[0], signal("oracles")[0])]

    found = attack(evidence, name, module, games)
    sides: tuple[Side, ...] = ("row", "held-out")
    mine, best = (auc([_against_test(*signal(side))]).interval() for side in sides)
    beside = record(evidence, name, module, AGAINST_TEST, mine, best.value)
    return Audited([*found.scores, beside], found.unscored, found.examples, found.p_value)


def _against_test(forget: ndarray, test: ndarray) -> Game:
    member = np.repeat([True, False], [forget.shape[1], test.shape[1]])
    scores = np.concatenate([forget, test], axis=1)
    return Game(scores, np.broadcast_to(member, scores.shape))


def _row(
    function: Callable[..., ndarray], scores: Callable[[Evidence], Audited], summary: str, source: str, *reads: str
) -> Audit:
    return Audit(
        function=function,
        scores=scores,
        summary=summary,
        aggregates=(*TWO_SIDED, AGAINST_TEST),
        unit=UNIT,
        better=BETTER,
        oracle=ORACLE,
        source=source,
        reads=reads,
    )


LOSS = _row(loss, loss_scores, "is the loss lower, or higher, than oracles'?", "arXiv:1709.01604", "margins")
LABEL_ONLY = _row(
    label_only,
    label_only_scores,
    "are first choices right more often, or less, than oracles'?",
    "arXiv:1709.01604",
    "margins",
    "correct",
)
CONFIDENCE, ENTROPY, MODIFIED_ENTROPY = (
    _row(SIGNALS[name], _from_outputs(name), f"is {what} than oracles'?", source, "models")
    for name, what, source in (
        ("confidence", "the first choice surer, or less sure,", "arXiv:1806.01246"),
        ("entropy", "the entropy lower, or higher,", "arXiv:1806.01246"),
        ("modified-entropy", "the modified entropy lower, or higher,", "arXiv:2003.10595"),
    )
)
