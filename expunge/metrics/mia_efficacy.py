"""MIA-efficacy: the share of the forget examples that a small attack takes for examples never trained on."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from scipy.special import expit

from expunge.ensembles.seeds import seed_of
from expunge.ensembles.stored_margins import EnsembleMargins
from expunge.metrics._compiled import LARGE, over_blocks
from expunge.metrics.gaps import AGGREGATES, BESIDE, share_with_gap
from expunge.metrics.metric import Metric, Scored
from expunge.metrics.row import Reference, Row
from expunge.suites import ForgetSet, Suite

MOST = 500  # members, and as many others: the time of a fit grows with the square of their number
MOST_PUBLISHED = 1000  # test examples, up to which the score as published is affordable for hundreds of models


def mia_efficacy(
    margins: Float[ndarray, "models examples"],
    retain: Int[ndarray, " retain"],
    test: Int[ndarray, " test"],
    forget: Int[ndarray, " forget"],
    seeds: Sequence[int],
) -> Float[ndarray, " models"]:
    """Share of the forget examples that an attack on each model calls non-members: ``TN / |forget|``, 0 to 1.

    The attack: ``SVC(C=3, gamma="auto", kernel="rbf")`` on the confidence ``p_y = 1 / (1 + exp(-margin))``, which is
    exact, fitted to retained examples (members) and test examples (non-members) of the same model. Higher means better
    hidden, yet higher is not better: a method should get what the oracles get, which is far from 1 on random sets.

    Mended here, for they change what is measured, are three things of :func:`mia_efficacy_published`: members, and
    non-members too, are drawn at random, from each model's own stream, where the first in the order of the data set
    were taken, which in a sorted data set are of some classes only; there are as many of either, at most 500, also
    where fewer examples are retained than tested; and the confidence is standardised, as ``gamma="auto"``, one over
    the number of features, supposes: most confidences lie above 0.99, where a kernel of width 1 sees one point.

    Kept, for they are choices: test examples as non-members, C, and the confidence rather than its log-odds, on which
    the boundary hangs on noise: its standard deviation over the oracles of `random-50` is 15 points, against 3.

    Args:
        margins: one row per model.
        retain: columns of the retained examples.
        test: columns of the test examples.
        forget: columns of the forget examples.
        seeds: one per model, of its draw of members and non-members.

    Returns:
        One value per model. Papers print it in per cent.

    Source: Jia et al. 2023, arXiv:2304.04934; the attack: Song and Mittal 2021, arXiv:2003.10595.

    >>> margins = np.repeat([[5.0, -5.0, 5.0, -5.0]], 50, axis=1)  # retain, test, forget: kept and lost
    >>> retain, test, kept, lost = np.arange(200).reshape(4, 50)
    >>> mia_efficacy(margins, retain, test, kept, [0]), mia_efficacy(margins, retain, test, lost, [0])
    (array([0.]), array([1.]))
    """
    size = min(len(retain), len(test), MOST)
    drawn = [[rng.choice(part, size, replace=False) for part in (retain, test)] for rng in map(_generator, seeds)]
    return _efficacies(margins, drawn, forget, standard=True)


def mia_efficacy_published(
    margins: Float[ndarray, "models examples"],
    retain: Int[ndarray, " retain"],
    test: Int[ndarray, " test"],
    forget: Int[ndarray, " forget"],
) -> Float[ndarray, " models"]:
    """MIA-efficacy as public code computes it, for comparison with published numbers: see :func:`mia_efficacy`.

    Members are the first ``|test|`` retained examples in the order of the data set, non-members all test examples;
    ``SVC(C=3, gamma="auto", kernel="rbf")`` on the bare confidence; ``TN / |forget|``. Benches leave it out where
    there are more than 1,000 test examples, since the time of a fit grows with the square of their number. On a class
    forget set the non-members hold that class too, which papers leave out.

    Args:
        margins: one row per model.
        retain: columns of the retained examples, in the order of the data set.
        test: columns of the test examples.
        forget: columns of the forget examples.

    Returns:
        One value per model. Papers print it in per cent.

    Source: Jia et al. 2023, arXiv:2304.04934, and its code, read, not copied.

    >>> margins = np.repeat([[5.0, -5.0, 5.0]], 50, axis=1)
    >>> retain, test, forget = np.arange(150).reshape(3, 50)
    >>> mia_efficacy_published(margins, retain, test, forget)
    array([0.])
    """
    return _efficacies(margins, [[retain[: len(test)], test]] * len(margins), forget, standard=False)


def _efficacies(
    margins: ndarray, drawn: Sequence[Sequence[ndarray]], forget: ndarray, *, standard: bool
) -> Float[ndarray, " models"]:
    """The share of non-members among ``forget`` of each model, whose members and non-members are ``drawn``."""
    out = np.empty(len(margins))

    def run(start: int, stop: int) -> None:
        for model in range(start, stop):
            members, others = drawn[model]
            picked = np.concatenate([members, others, forget])
            confidence = expit(margins[model, picked].astype(np.float64))
            known = len(members) + len(others)
            out[model] = _share_outside(confidence[:known], len(members), confidence[known:], standard)

    over_blocks(run, len(margins), LARGE, width=1)
    return out


def _share_outside(known: ndarray, members: int, asked: ndarray, standard: bool) -> float:
    from sklearn.svm import SVC  # half a second to import

    if standard:
        centre, scale = known.mean(), known.std()
        scale = scale if scale > 0 else 1.0  # of a model that is equally sure of everything
        known, asked = (known - centre) / scale, (asked - centre) / scale
    attack = SVC(C=3, gamma="auto", kernel="rbf")
    attack.fit(known[:, None], np.arange(len(known)) < members)
    return float(np.mean(~attack.predict(asked[:, None])))


def _generator(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def efficacy_per_model(suite: Suite, forget: ForgetSet, margins: EnsembleMargins) -> Float[ndarray, " models"] | None:
    """MIA-efficacy of each model, which draws its members from a stream of its own."""
    columns = suite.columns(forget)
    kind = "oracle" if margins.origin.kind == "oracle" else "pretrained"  # of what the models were before, too
    seeds = [seed_of(suite.digest, "mia-efficacy", forget.digest, kind, model) for model in margins.origin.models]
    return mia_efficacy(margins.values, columns["retain"], columns["test"], columns["forget"], seeds)


def published_per_model(suite: Suite, forget: ForgetSet, margins: EnsembleMargins) -> Float[ndarray, " models"] | None:
    """MIA-efficacy as published of each model; None where test examples are so many that it is too slow."""
    columns = suite.columns(forget)
    retain, test, chosen = columns["retain"], columns["test"], columns["forget"]
    if len(test) > min(MOST_PUBLISHED, len(retain)):
        return None
    return mia_efficacy_published(margins.values, retain, test, chosen)


def efficacy_scores(row: Row, reference: Reference) -> Scored:
    """MIA-efficacy, and its gap to the oracles."""
    return share_with_gap(row, reference, "mia-efficacy", "forget", efficacy_per_model)


def published_scores(row: Row, reference: Reference) -> Scored:
    """MIA-efficacy as published, and its gap to the oracles."""
    return share_with_gap(row, reference, "mia-efficacy-published", "forget", published_per_model)


EFFICACY, PUBLISHED = (
    Metric(
        function=function,
        scores=scores,
        aggregates=AGGREGATES,
        unit="share of forget examples",
        better="as the oracle",
        oracle=BESIDE,
        source=f"arXiv:2304.04934, {how}",
        asked=True,
        classic=True,
    )
    for function, scores, how in (
        (mia_efficacy, efficacy_scores, "mended"),
        (mia_efficacy_published, published_scores, "as its code has it"),
    )
)
